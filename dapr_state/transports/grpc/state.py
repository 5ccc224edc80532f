"""The State calls over gRPC: messages in, one call into api/state, messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

from dapr_state_proto.runtime.v1 import dapr_pb2_grpc, state_pb2
from google.protobuf.empty_pb2 import Empty

from dapr_state.api import expiry
from dapr_state.api.state import MANY, Item, State
from dapr_state.serving.answer_memory import SMALL, AnswerMemory
from dapr_state.serving.pieces import LARGE, Pieces
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import StoredValue
from dapr_state.transports.grpc.query import query_answer, varint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state_proto.common.v1 import common_pb2
    from grpc.aio import ServicerContext

    from dapr_state.api.state import Outcome

    Context = ServicerContext[Any, Any]

A = TypeVar("A")
B = TypeVar("B")

# Numbers that are not in the enum mean "unspecified", as for daprd.
_CONCURRENCY: Mapping[int, str] = {1: "first-write", 2: "last-write"}
_CONSISTENCY: Mapping[int, str] = {1: "eventual", 2: "strong"}

_NO_METADATA: Mapping[str, str] = {}

LONG: Final = 64 * 1024  # octets of values, of which protobuf makes an answer in 50 us
AT_ONCE: Final = 64  # items of an answer that is longer: 50 us
# Tags of fields that are octets of some length: number * 8 + 2
_ITEM: Final = bytes((state_pb2.GetBulkStateResponse.ITEMS_FIELD_NUMBER << 3 | 2,))
_DATA: Final = bytes((state_pb2.BulkStateItem.DATA_FIELD_NUMBER << 3 | 2,))


class StateServicer(dapr_pb2_grpc.DaprServicer):
    def __init__(self, state: State, answers: AnswerMemory | None = None) -> None:
        self._state = state
        self._answers = answers or AnswerMemory()

    async def GetState(self, request: state_pb2.GetStateRequest, _: Context) -> state_pb2.GetStateResponse:
        row = await self._state.get(request.store_name, request.key)
        if row is not None and (octets := len(row.value)) > SMALL and not self._answers.has_room(octets):
            row = None  # not kept while it waits
            async with self._answers.room(octets):
                row = await self._state.get(request.store_name, request.key)
        if row is None:
            return state_pb2.GetStateResponse()
        if row.expires_at is None:
            return state_pb2.GetStateResponse(data=row.value, etag=row.etag)
        return state_pb2.GetStateResponse(data=row.value, etag=row.etag, metadata=expiry.metadata(row))

    async def GetBulkState(  # type: ignore[override]  # Pieces is the same message, encoded: every server here takes it
        self, request: state_pb2.GetBulkStateRequest, _: Context
    ) -> state_pb2.GetBulkStateResponse | Pieces:
        # to go through the message's own list takes longer each time
        keys = list(request.keys) if len(request.keys) <= MANY else await Work().each(str, request.keys)
        found = await self._state.get_bulk(request.store_name, keys)
        octets = found.octets
        if octets <= LONG and len(keys) <= MANY:
            return _bulk_answer(keys, found)
        if not self._answers.has_room(octets):
            found.clear()  # not kept while they wait
        async with self._answers.room(octets):
            if not found:
                found = await self._state.get_bulk(request.store_name, keys)
            return await _long_bulk_answer(keys, found)

    async def SaveState(self, request: state_pb2.SaveStateRequest, _: Context) -> Empty:
        if len(request.states) <= MANY:
            await self._state.save(request.store_name, [_saved(each) for each in request.states])
            return Empty()
        items = await Work().each(_saved, request.states)
        try:
            await self._state.save(request.store_name, items)
        finally:
            await Work().free(items)
        return Empty()

    async def DeleteState(self, request: state_pb2.DeleteStateRequest, _: Context) -> Empty:
        await self._state.delete(request.store_name, _item(request))
        return Empty()

    async def DeleteBulkState(self, request: state_pb2.DeleteBulkStateRequest, _: Context) -> Empty:
        items = await _each(_item, request.states)
        try:
            await self._state.delete_bulk(request.store_name, items)
        finally:
            if len(items) > MANY:
                await Work().free(items)
        return Empty()

    async def ExecuteStateTransaction(self, request: state_pb2.ExecuteStateTransactionRequest, _: Context) -> Empty:
        steps = await _each(lambda each: (each.operationType, _saved(each.request)), request.operations)
        try:
            await self._state.transact(request.storeName, steps, request.metadata or None)
        finally:
            if len(steps) > MANY:
                await Work().free(steps)
        return Empty()

    async def QueryStateAlpha1(  # type: ignore[override]  # see GetBulkState
        self, request: state_pb2.QueryStateRequest, _: Context
    ) -> state_pb2.QueryStateResponse | Pieces:
        async with self._state.queries.ask(request.store_name, request.query.encode()) as results:
            if results.octets <= SMALL:
                return await query_answer(results)
            async with self._answers.room(results.octets):
                return await query_answer(results)


def _bulk_answer(keys: Sequence[str], outcomes: Sequence[Outcome]) -> state_pb2.GetBulkStateResponse:
    # as dicts the items become messages in a sixth of the time that messages take
    items = [
        {"key": key, "data": outcome.value, "etag": outcome.etag}
        if isinstance(outcome, StoredValue) and outcome.expires_at is None
        else _rare_item(key, outcome)
        for key, outcome in zip(keys, outcomes, strict=True)
    ]
    return state_pb2.GetBulkStateResponse(items=items)


async def _long_bulk_answer(keys: Sequence[str], outcomes: Sequence[Outcome]) -> Pieces:
    """Its items are the answer's one field: one after another they are the answer."""
    whole, work = Pieces(), Work()
    group: list[tuple[str, Outcome]] = []
    for key, outcome in zip(keys, outcomes, strict=True):
        is_large = isinstance(outcome, StoredValue) and len(outcome.value) > LARGE
        if not is_large:
            group.append((key, outcome))
        if group and (is_large or len(group) == AT_ONCE):
            whole.add(_bulk_answer(*zip(*group, strict=True)).SerializeToString())
            group.clear()
        if is_large:
            _add_large(whole, key, cast("StoredValue", outcome))
        if work.is_over():
            await work.pause()
    if group:
        whole.add(_bulk_answer(*zip(*group, strict=True)).SerializeToString())
    return whole


def _add_large(whole: Pieces, key: str, row: StoredValue) -> None:
    """One item as protobuf would write it, but for a copy of its value."""
    before = state_pb2.BulkStateItem(key=key).SerializeToString() + _DATA + varint(len(row.value))
    metadata = expiry.metadata(row) if row.expires_at is not None else None
    behind = state_pb2.BulkStateItem(etag=row.etag, metadata=metadata).SerializeToString()
    whole.add(_ITEM + varint(len(before) + len(row.value) + len(behind)) + before)
    whole.add(row.value)
    whole.add(behind)


async def _each(make: Callable[[A], B], messages: Sequence[A]) -> list[B]:
    return list(map(make, messages)) if len(messages) <= MANY else await Work().each(make, messages)


def _saved(message: common_pb2.StateItem) -> Item:
    # each field that is not there costs 0.1 us to read
    if message.HasField("options") or message.HasField("etag") or message.metadata:
        return _item(message, message.value)
    return Item(message.key, message.value)


def _item(message: common_pb2.StateItem | state_pb2.DeleteStateRequest, value: bytes = b"") -> Item:
    options = message.options
    return Item(
        message.key,
        value,
        message.etag.value,
        message.metadata or _NO_METADATA,  # a plain dict is asked several times faster
        _CONCURRENCY.get(options.concurrency, ""),
        _CONSISTENCY.get(options.consistency, ""),
    )


def _rare_item(key: str, outcome: Outcome) -> dict[str, Any]:
    if outcome is None:
        return {"key": key}
    if isinstance(outcome, StoreError):
        return {"key": key, "error": str(outcome)}
    return {"key": key, "data": outcome.value, "etag": outcome.etag, "metadata": expiry.metadata(outcome)}
