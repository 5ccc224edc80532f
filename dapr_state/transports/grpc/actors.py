"""The Actors calls over gRPC: messages in, one call into api/actors, messages out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dapr_state_proto.runtime.v1 import actors_pb2, dapr_pb2_grpc
from google.protobuf.empty_pb2 import Empty

from dapr_state import errors
from dapr_state.api import expiry
from dapr_state.api.actors import ActorId, Put, Remove, check_type
from dapr_state.slices import Work
from dapr_state.transports.grpc.traced import context_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from grpc.aio import ServicerContext

    from dapr_state.api.actors import Actors

    Context = ServicerContext[Any, Any]
    FromApp = actors_pb2.SubscribeActorEventsRequestAlpha1
    ToApp = actors_pb2.SubscribeActorEventsResponseAlpha1
    Subscribe = Callable[[AsyncIterator[FromApp]], AsyncIterator[ToApp]]


class ActorsServicer(dapr_pb2_grpc.DaprServicer):
    def __init__(self, actors: Actors, subscribe: Subscribe | None = None, *, traces: bool = True) -> None:
        """`subscribe` takes an application's stream; None: the application is not one that speaks gRPC.

        `traces` False: the caller's trace is not passed on.
        """
        self._traces = traces
        self._actors = actors
        self._subscribe = subscribe

    async def InvokeActor(self, request: actors_pb2.InvokeActorRequest, context: Context) -> Any:
        # daprd delivers no content type
        headers = tuple(pair for pair in request.metadata.items() if pair[0].lower() != "content-type")
        if self._traces and (trace := context_of(context)):  # the first of two counts
            headers = (("traceparent", str(trace)), *headers)
        answer = await self._actors.invoke(
            ActorId(request.actor_type, request.actor_id), request.method, request.data, headers
        )
        return actors_pb2.InvokeActorResponse(data=answer.body)

    async def GetActorState(
        self, request: actors_pb2.GetActorStateRequest, _: Context
    ) -> actors_pb2.GetActorStateResponse:
        row = await self._actors.get_state(ActorId(request.actor_type, request.actor_id), request.key)
        if row is None:
            return actors_pb2.GetActorStateResponse()
        return actors_pb2.GetActorStateResponse(data=row.value, metadata=expiry.metadata(row))

    async def ExecuteActorStateTransaction(
        self, request: actors_pb2.ExecuteActorStateTransactionRequest, _: Context
    ) -> Empty:
        check_type(request.actor_type)
        changes: list[Put | Remove] = []
        octets = 0
        work = Work()
        for each in request.operations:
            changes.append(_change(each))
            octets += len(each.key) + len(each.value.value)
            if work.is_over():
                await work.pause()
        actor = ActorId(request.actor_type, request.actor_id)
        await self._actors.check_active(actor, octets)
        await self._actors.transact(actor, changes)
        return Empty()

    async def SubscribeActorEventsAlpha1(self, messages: AsyncIterator[FromApp], _: Context) -> Any:
        if self._subscribe is None:
            raise errors.ACTOR_STREAM_WITHOUT_GRPC_APP()  # noqa: RSE102  a row is called to make its error
        async for message in self._subscribe(messages):
            yield message


def _change(operation: actors_pb2.TransactionalActorStateOperation) -> Put | Remove:
    if operation.operationType == "upsert":
        return Put(operation.key, operation.value.value, metadata=dict(operation.metadata))
    if operation.operationType == "delete":
        return Remove(operation.key)
    raise errors.STATE_OPERATION_UNKNOWN(operation=operation.operationType)
