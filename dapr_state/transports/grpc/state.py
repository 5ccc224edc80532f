"""The State calls over gRPC: messages in, one call into api/state, messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

from dapr_state_proto.runtime.v1 import dapr_pb2_grpc, state_pb2
from google.protobuf.empty_pb2 import Empty

from dapr_state.api import expiry
from dapr_state.api.state import MANY, Item, State
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Row

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


class StateServicer(dapr_pb2_grpc.DaprServicer):
    def __init__(self, state: State) -> None:
        self._state = state

    async def GetState(self, request: state_pb2.GetStateRequest, _: Context) -> state_pb2.GetStateResponse:
        row = await self._state.get(request.store_name, request.key)
        if row is None:
            return state_pb2.GetStateResponse()
        if row.expires_at is None:
            return state_pb2.GetStateResponse(data=row.value, etag=row.etag)
        return state_pb2.GetStateResponse(data=row.value, etag=row.etag, metadata=expiry.metadata(row))

    async def GetBulkState(self, request: state_pb2.GetBulkStateRequest, _: Context) -> state_pb2.GetBulkStateResponse:
        # to go through the message's own list takes longer each time
        keys = list(request.keys) if len(request.keys) <= MANY else await Work().each(str, request.keys)
        outcomes = await self._state.get_bulk(request.store_name, keys)
        if len(keys) <= MANY:
            return _bulk_answer(keys, outcomes)
        response, work = state_pb2.GetBulkStateResponse(), Work()
        for first in range(0, len(keys), MANY):
            response.MergeFrom(_bulk_answer(keys[first : first + MANY], outcomes[first : first + MANY]))
            await work.pause()
        return response

    async def SaveState(self, request: state_pb2.SaveStateRequest, _: Context) -> Empty:
        await self._state.save(request.store_name, await _each(_saved, request.states))
        return Empty()

    async def DeleteState(self, request: state_pb2.DeleteStateRequest, _: Context) -> Empty:
        await self._state.delete(request.store_name, _item(request))
        return Empty()

    async def DeleteBulkState(self, request: state_pb2.DeleteBulkStateRequest, _: Context) -> Empty:
        await self._state.delete_bulk(request.store_name, await _each(_item, request.states))
        return Empty()

    async def ExecuteStateTransaction(self, request: state_pb2.ExecuteStateTransactionRequest, _: Context) -> Empty:
        steps = await _each(lambda each: (each.operationType, _saved(each.request)), request.operations)
        await self._state.transact(request.storeName, steps, request.metadata or None)
        return Empty()

    async def QueryStateAlpha1(self, request: state_pb2.QueryStateRequest, _: Context) -> state_pb2.QueryStateResponse:
        await self._state.query(request.store_name)
        return state_pb2.QueryStateResponse()


def _bulk_answer(keys: Sequence[str], outcomes: Sequence[Outcome]) -> state_pb2.GetBulkStateResponse:
    # as dicts the items become messages in a sixth of the time that messages take
    items = [
        {"key": key, "data": outcome.value, "etag": outcome.etag}
        if isinstance(outcome, Row) and outcome.expires_at is None
        else _rare_item(key, outcome)
        for key, outcome in zip(keys, outcomes, strict=True)
    ]
    return state_pb2.GetBulkStateResponse(items=items)


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
