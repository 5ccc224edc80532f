"""Long messages that are parsed in slices: they are what protobuf makes of them in one go."""

from __future__ import annotations

import pytest
from dapr_state_proto.placement.v1.placement_pb2 import Host, PlacementOrder, PlacementTable, PlacementTables

from dapr_state import slices
from dapr_state.serving.grpc.parsing import LONG, parse

LOAD = {f"10.0.{number >> 8}.{number & 255}:50002": Host(id=f"app-{number}", port=number) for number in range(10_000)}
LARGE = {"cart": PlacementTable(load_map=LOAD), "": PlacementTable(load_map={"x": Host(id="a" * 2 * LONG)})}


def order(entries: dict[str, PlacementTable]) -> PlacementOrder:
    return PlacementOrder(operation="update", version=7, tables=PlacementTables(entries=entries, replication_factor=9))


async def test_a_long_map_of_messages() -> None:
    """Is what it would be at once; meanwhile others have their turns."""
    message = order(LARGE)
    before = slices.taken()

    assert await parse(PlacementOrder, message.SerializeToString()) == message
    assert slices.taken() > before + 1


async def test_a_key_that_comes_twice() -> None:
    """The value that comes last is the one, as protobuf has it."""
    octets = order(LARGE).SerializeToString() + order({"cart": PlacementTable(total_load=3)}).SerializeToString()
    octets += order({"cart": PlacementTable(load_map={"y": Host(id="b" * 2 * LONG)})}).SerializeToString()

    assert await parse(PlacementOrder, octets) == PlacementOrder.FromString(octets)


@pytest.mark.parametrize("cut", [1, 100, LONG])
async def test_a_map_that_is_cut_off(cut: int) -> None:
    """Is refused."""
    with pytest.raises(Exception, match=r"."):
        await parse(PlacementOrder, order(LARGE).SerializeToString()[:-cut])
