"""The table of a round: what is read of it, and what is too much for any cluster."""

from __future__ import annotations

import pytest
from dapr_state_proto.placement.v1.placement_pb2 import Host, PlacementTable, PlacementTables

from dapr_state.actors.placement.table import NAME_AT_MOST, Table, TableError


def tables(types: int, hosts: int, factor: int, name: str = "h") -> PlacementTables:
    load = {f"{name}{number}:": Host(id="app") for number in range(hosts)}
    entries = {f"t{number}": PlacementTable(load_map=load) for number in range(types)}
    return PlacementTables(entries=entries, replication_factor=factor)


@pytest.mark.parametrize(
    ("size", "why"),
    [
        ((1, 10_001, 1), "10001 hosts of t0"),
        ((1, 2, 10**12), "1000000000000 points"),
        ((1, 2_000, 1_000), "more than 1000000 points"),
        ((1_100, 100, 0), "100 hosts of t"),
    ],
)
async def test_a_table_beyond_any_cluster_is_refused(size: tuple[int, int, int], why: str) -> None:
    """Before anything is computed of it that would take all memory, or the loop."""
    with pytest.raises(TableError, match=why):
        await Table.read(tables(*size), Table())


async def test_a_name_beyond_any_is_refused() -> None:
    """It would be hashed for each point."""
    with pytest.raises(TableError, match="a name of 514 letters"):
        await Table.read(tables(1, 1, 100, "h" * NAME_AT_MOST), Table())


@pytest.mark.parametrize("size", [(1, 3_000, 100), (200, 100, 100), (1_000, 1, 1_000)])
async def test_a_table_of_the_largest_clusters_is_read(size: tuple[int, int, int]) -> None:
    """Types that have the same hosts share a ring."""
    table = await Table.read(tables(*size), Table())

    assert len(table.rings) == size[0]
    assert len({*table.rings.values()}) == 1
    assert len(table.rings["t0"].points) == size[1] * size[2]
