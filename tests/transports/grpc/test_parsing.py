"""Long gRPC messages are parsed in slices, to the same messages, and answered without holding the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import state_pb2
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.api.state import BoundStore, Item, State
from dapr_state.errors import DaprError
from dapr_state.serving.grpc import parsing
from dapr_state.stores.base import StoreError
from dapr_state.stores.memory import MemoryStore
from dapr_state.transports.grpc.state import StateServicer
from tests.support.client import item
from tests.support.components import component
from tests.support.held import ALLOWED, longest_turn
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from pathlib import Path

    from google.protobuf.message import Message

SIZE = 4_000_000
Save, BulkGet, BulkDelete = state_pb2.SaveStateRequest, state_pb2.GetBulkStateRequest, state_pb2.DeleteBulkStateRequest
Transaction, Operation = state_pb2.ExecuteStateTransactionRequest, state_pb2.TransactionalStateOperation

texts = st.text(max_size=12)
maps = st.dictionaries(texts, texts, max_size=6)
items = st.builds(
    common_pb2.StateItem,
    key=texts,
    value=st.binary(max_size=40),
    etag=st.none() | st.builds(common_pb2.Etag, value=texts),
    metadata=maps,
    options=st.none() | st.builds(common_pb2.StateOptions, concurrency=st.integers(0, 2)),
)
messages = (
    st.builds(Save, store_name=texts, states=st.lists(items, max_size=8))
    | st.builds(BulkGet, store_name=texts, keys=st.lists(texts, max_size=20), metadata=maps)
    | st.builds(
        Transaction,
        storeName=texts,
        operations=st.lists(st.builds(Operation, operationType=texts, request=items), max_size=6),
        metadata=maps,
    )
)


@given(messages, st.integers(0, 60), st.integers(0, 60))
def test_a_message_in_slices_is_the_same_message(message: Message, long: int, piece: int) -> None:
    """Wherever it is cut: at fields, and inside the messages and maps within."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "LONG", long)
        patch.setattr(parsing, "PIECE", piece)
        parsed = asyncio.run(parsing.parse(type(message), message.SerializeToString()))

    assert parsed == message


@given(st.binary(max_size=60))
def test_octets_that_are_no_message_are_refused(data: bytes) -> None:
    """What protobuf cannot parse cannot be parsed in slices either, and what it can has the same meaning."""
    try:
        expected = Save.FromString(data)
    except DecodeError:
        expected = None
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parsing, "LONG", 0)
        patch.setattr(parsing, "PIECE", 0)
        try:
            parsed = asyncio.run(parsing.parse(Save, data))
        except (DecodeError, ValueError, IndexError):
            parsed = None

    if parsed is not None:  # groups are refused here alone: no message of ours has one
        assert parsed == expected


def numbered(count: int) -> list[str]:
    return [f"{number:x}" for number in range(count)]


WORST: dict[str, Any] = {
    "items": lambda: Save(store_name="s", states=[common_pb2.StateItem(key=key) for key in numbered(400_000)]),
    "keys": lambda: BulkGet(store_name="s", keys=numbered(500_000)),
    "deletes": lambda: BulkDelete(store_name="s", states=[common_pb2.StateItem(key=key) for key in numbered(400_000)]),
    "operations": lambda: Transaction(
        storeName="s",
        operations=[Operation(operationType="upsert", request=item(key)) for key in numbered(150_000)],
    ),
    "metadata": lambda: Save(store_name="s", states=[item("k", metadata=dict.fromkeys(numbered(150_000), ""))]),
}


@pytest.mark.parametrize("make", WORST.values(), ids=WORST)
async def test_no_message_holds_the_loop_while_it_is_parsed(make: Any) -> None:
    """The largest messages of the most parts are parsed in slices."""
    message = make()
    data = message.SerializeToString()

    tries = [await longest_turn(parsing.parse(type(message), data)) for _ in range(3)]

    assert tries[0][0] == message
    assert min(longest for _, longest in tries) < ALLOWED


async def test_a_bulk_get_of_very_many_keys_does_not_hold_the_loop() -> None:
    """Keys are asked for, and items answered, some at a time, each at its place."""
    servicer = StateServicer(State("app", {"s": BoundStore("s", "app||", MemoryStore())}))
    request: Any = BulkGet(store_name="s", keys=numbered(300_000))
    context: Any = None

    tries = [await longest_turn(servicer.GetBulkState(request, context)) for _ in range(3)]

    answer = state_pb2.GetBulkStateResponse.FromString(bytes(tries[0][0]))
    assert [each.key for each in answer.items] == list(request.keys)
    assert min(longest for _, longest in tries) < ALLOWED


def test_very_many_items_are_saved_read_and_deleted(tmp_path: Path) -> None:
    """A real sidecar does with forty thousand items what it does with one."""
    keys = numbered(40_000)
    with Sidecar(tmp_path, [component("mem", "state.in-memory")]) as sidecar, sidecar.client() as client:
        assert client.save("mem", *(item(key, key.encode()) for key in keys)).ok
        found = client.bulk_get("mem", *keys).response["items"]
        assert [each["data"] for each in found] == [key.encode() for key in keys]
        assert client.bulk_delete("mem", *(item(key) for key in keys)).ok
        unreadable = client.call("SaveState", b"\x12\x7f" * 50_000)
        assert (unreadable.code, unreadable.message[:36]) == ("INTERNAL", "grpc: error unmarshalling request: p")
        assert "data" not in client.bulk_get("mem", "1").response["items"][0]


async def test_a_store_that_fails_is_not_asked_for_the_rest_of_very_many_items() -> None:
    """A save of thousands of items ends with the first thousand that the store as a whole fails at, and names why."""

    class Failing(MemoryStore):
        asked = 0

        async def write(self, operations: Any) -> Any:  # noqa: ARG002 - the contract names it
            self.asked += 1
            raise StoreError("down")

    store = Failing()
    state = State("app", {"s": BoundStore("s", "app||", store)})

    with pytest.raises(DaprError, match="failed saving state in state store s: down"):
        await state.save("s", [Item(key) for key in numbered(5000)])

    assert store.asked == 1
