"""The State calls over gRPC: messages in, one call into api/state, messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state_proto.runtime.v1 import dapr_pb2_grpc, state_pb2
from google.protobuf.empty_pb2 import Empty

from dapr_state.api.state import MANY, Item, State
from dapr_state.serving.answer_memory import SMALL, AnswerMemory
from dapr_state.slices import Work
from dapr_state.stores.model import Hints
from dapr_state.transports.grpc import encoding
from dapr_state.transports.grpc.query import query_answer

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state_proto.common.v1 import common_pb2
    from grpc.aio import ServicerContext

    from dapr_state.serving.pieces import Pieces

    Context = ServicerContext[Any, Any]

# Numbers that are not in the enum mean "unspecified", as for daprd.
_CONCURRENCY: Mapping[int, str] = {1: "first-write", 2: "last-write"}
_CONSISTENCY: Mapping[int, str] = {1: "eventual", 2: "strong"}

_NO_METADATA: Mapping[str, str] = {}

LONG: Final = 64 * 1024  # octets of values, of which an answer is made in 50 us
_DONE: Final = Empty()  # one for all: to make it takes longer than to send it


class StateServicer(dapr_pb2_grpc.DaprServicer):
    def __init__(self, state: State, answers: AnswerMemory | None = None) -> None:
        self._state = state
        self._answers = answers or AnswerMemory()

    # What is returned as octets is the message, encoded: every server here takes it.

    async def GetState(self, request: state_pb2.GetStateRequest, _: Context) -> bytes:  # type: ignore[override]
        hints = _hints(request) if request.metadata or request.consistency else None
        row = await self._state.get(request.store_name, request.key, hints)
        if row is not None and (octets := len(row.value)) > SMALL and not self._answers.has_room(octets):
            row = None  # not kept while it waits
            async with self._answers.room(octets):
                row = await self._state.get(request.store_name, request.key, hints)
        return encoding.value(row)

    async def GetBulkState(  # type: ignore[override]
        self, request: state_pb2.GetBulkStateRequest, _: Context
    ) -> bytes | Pieces:
        wanted = request.keys
        # to go through the message's own list takes longer each time
        keys = list(wanted) if len(wanted) <= MANY else await Work().each(str, wanted)
        hints = Hints(dict(request.metadata)) if request.metadata else None
        found = await self._state.get_bulk(request.store_name, keys, hints)
        octets = found.octets
        if octets <= LONG and len(keys) <= MANY:
            return encoding.values(keys, found)
        if not self._answers.has_room(octets):
            found.clear()  # not kept while they wait
        async with self._answers.room(octets):
            if not found:
                found = await self._state.get_bulk(request.store_name, keys, hints)
            return await encoding.long_values(keys, found)

    async def SaveState(self, request: state_pb2.SaveStateRequest, _: Context) -> Empty:
        states = request.states
        if len(states) <= MANY:
            await self._state.save(request.store_name, [_saved(each) for each in states])
            return _DONE
        items = await Work().each(_saved, states)
        try:
            await self._state.save(request.store_name, items)
        finally:
            await Work().free(items)
        return _DONE

    async def DeleteState(self, request: state_pb2.DeleteStateRequest, _: Context) -> Empty:
        await self._state.delete(request.store_name, _item(request))
        return _DONE

    async def DeleteBulkState(self, request: state_pb2.DeleteBulkStateRequest, _: Context) -> Empty:
        states = request.states
        items = list(map(_item, states)) if len(states) <= MANY else await Work().each(_item, states)
        try:
            await self._state.delete_bulk(request.store_name, items)
        finally:
            if len(items) > MANY:
                await Work().free(items)
        return _DONE

    async def ExecuteStateTransaction(self, request: state_pb2.ExecuteStateTransactionRequest, _: Context) -> Empty:
        operations, metadata = request.operations, request.metadata or None
        if len(operations) <= MANY:
            steps = [(each.operationType, _saved(each.request)) for each in operations]
            await self._state.transact(request.storeName, steps, metadata)
            return _DONE
        steps = await Work().each(lambda each: (each.operationType, _saved(each.request)), operations)
        try:
            await self._state.transact(request.storeName, steps, metadata)
        finally:
            await Work().free(steps)
        return _DONE

    async def QueryStateAlpha1(  # type: ignore[override]  # see GetBulkState
        self, request: state_pb2.QueryStateRequest, _: Context
    ) -> state_pb2.QueryStateResponse | Pieces:
        async with self._state.queries.ask(
            request.store_name, request.query.encode(), dict(request.metadata)
        ) as results:
            if results.octets <= SMALL:
                return await query_answer(results)
            async with self._answers.room(results.octets):
                return await query_answer(results)


def _hints(request: state_pb2.GetStateRequest) -> Hints:
    return Hints(dict(request.metadata), consistency=_CONSISTENCY.get(request.consistency, ""))


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
