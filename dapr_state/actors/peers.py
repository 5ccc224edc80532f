"""The way out to other sidecars: calls and ticks for actors that live there, over Dapr's internal gRPC service."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import grpc
from dapr_state_proto.common.v1.common_pb2 import HTTPExtension, InvokeRequest
from dapr_state_proto.internals.v1.apiversion_pb2 import V1
from dapr_state_proto.internals.v1.reminders_pb2 import Reminder
from dapr_state_proto.internals.v1.service_invocation_pb2 import Actor, InternalInvokeRequest, ListStringValue
from dapr_state_proto.internals.v1.service_invocation_pb2_grpc import ServiceInvocationStub
from google.protobuf.wrappers_pb2 import BytesValue

from dapr_state.actors.router import AgainError, Remote, RemoteError
from dapr_state.app.callbacks import OK, canonical, passed_on
from dapr_state.app.model import CANCEL_HEADER, AppAnswer, AppError, UnreachableError

if TYPE_CHECKING:
    from dapr_state_proto.internals.v1.service_invocation_pb2 import InternalInvokeResponse

    from dapr_state.app.model import ActorCall, Tick

MOVED: Final = "remote actor moved"  # these three are daprd's words, by which callers know that they may call again
INVOKE_MOVED: Final = f"error invoke actor method: {MOVED}"
DISSEMINATING: Final = ": placement is disseminating"
CANCELED: Final = "reminder has been canceled"

PEERS_AT_MOST: Final = 1000  # connections; of more, the one that has not been used for the longest is closed
IDLE: Final = 180.0  # seconds after which a connection is closed: as daprd
PING: Final = 10.0  # daprd takes no more than one in 8 s
PING_ANSWER: Final = 5.0  # seconds, as daprd
BYTES_VALUE: Final = "type.googleapis.com/google.protobuf.BytesValue"
_YEAR_ONE: Final = -62_135_596_800  # what daprd says for a time that is not there


class Peers(Remote):
    """`close` it at the end."""

    def __init__(self, max_message: int) -> None:
        """`max_message` octets at most, either way."""
        self._channels: OrderedDict[str, grpc.aio.Channel] = OrderedDict()
        self._stubs: dict[str, ServiceInvocationStub] = {}
        self._closing: set[asyncio.Task[None]] = set()
        self._options = (
            ("grpc.max_receive_message_length", max_message),
            ("grpc.max_send_message_length", max_message),
            ("grpc.keepalive_time_ms", int(PING * 1000)),
            ("grpc.keepalive_timeout_ms", int(PING_ANSWER * 1000)),
            ("grpc.http2.max_pings_without_data", 0),
            ("grpc.client_idle_timeout_ms", int(IDLE * 1000)),
            ("grpc.initial_reconnect_backoff_ms", 100),  # a peer that has come back is not kept waiting
            ("grpc.max_reconnect_backoff_ms", 1000),
            ("grpc.enable_retries", 0),
        )

    def __repr__(self) -> str:
        return f"<Peers {', '.join(self._channels) or 'none'}>"

    async def close(self) -> None:
        channels, self._channels = self._channels, OrderedDict()
        self._stubs.clear()
        for channel in channels.values():
            await channel.close()
        if self._closing:
            await asyncio.wait(self._closing)

    async def invoke(self, address: str, call: ActorCall) -> AppAnswer:
        request, metadata = _request(call)
        try:
            return _answer(await self._stub(address).CallActor(request, metadata=metadata))
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from None

    async def deliver_reminder(self, address: str, tick: Tick) -> AppAnswer:
        return await self._deliver(address, _reminder(tick, is_timer=False))

    async def deliver_timer(self, address: str, tick: Tick) -> AppAnswer:
        return await self._deliver(address, _reminder(tick, is_timer=True))

    async def _deliver(self, address: str, reminder: Reminder) -> AppAnswer:
        try:
            await self._stub(address).CallActorReminder(reminder)
        except grpc.aio.AioRpcError as error:
            if error.details() == CANCELED:
                return AppAnswer(((CANCEL_HEADER, "true"),))
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise UnreachableError(str(_remote(error))) from None
            raise _refused(error) from None
        return AppAnswer()

    def _stub(self, address: str) -> ServiceInvocationStub:
        stub = self._stubs.get(address)
        if stub is None:
            while len(self._channels) >= PEERS_AT_MOST:
                self._drop_oldest()
            channel = grpc.aio.insecure_channel(address, self._options)
            self._channels[address] = channel
            stub = self._stubs[address] = ServiceInvocationStub(channel)
        else:
            self._channels.move_to_end(address)
        return stub

    def _drop_oldest(self) -> None:
        address, channel = self._channels.popitem(last=False)
        del self._stubs[address]
        closing = asyncio.ensure_future(channel.close(grace=None))
        self._closing.add(closing)
        closing.add_done_callback(self._closing.discard)


def _request(call: ActorCall) -> tuple[InternalInvokeRequest, tuple[tuple[str, str], ...]]:
    metadata: dict[str, ListStringValue] = {}
    content_type = ""
    trace: tuple[tuple[str, str], ...] = ()
    for name, value in passed_on(call.headers):
        metadata.setdefault(name, ListStringValue()).values.append(value)
        if name == "Content-Type":
            content_type = value
        elif name == "Traceparent":
            trace = (("traceparent", value),)
    metadata["Dapr-Api-Call"] = ListStringValue(values=["true"])
    message = InvokeRequest(
        method=call.method,
        # a dict, for the Any of our messages is not the class of the protobuf package: generated/ has a pool of its own
        data={"value": call.body},
        content_type=content_type,
        http_extension=HTTPExtension(verb=HTTPExtension.PUT, querystring=call.query),
    )
    actor = Actor(actor_type=call.actor.type, actor_id=call.actor.id)
    return InternalInvokeRequest(ver=V1, metadata=metadata, message=message, actor=actor), trace


def _answer(response: InternalInvokeResponse) -> AppAnswer:
    body = response.message.data.value
    code = response.status.code or OK  # absent: as if it were a success
    if code != OK:
        raise AppError(f"error from actor service: ({code}) {body.decode(errors='replace')}")
    headers = [("Content-Type", response.message.content_type or "application/json")]
    headers += [
        (name, value)
        for name, values in response.headers.items()
        if canonical(name) != "Content-Type"
        for value in values.values
    ]
    return AppAnswer(tuple(headers), body)


def _reminder(tick: Tick, *, is_timer: bool) -> Reminder:
    reminder = Reminder(
        actor_id=tick.actor.id,
        actor_type=tick.actor.type,
        name=tick.name,
        period=tick.period,
        due_time=tick.due_time,
        registered_time={"seconds": _YEAR_ONE},
        expiration_time={"seconds": _YEAR_ONE},
        is_timer=is_timer,
    )
    if tick.data is not None:
        reminder.data.type_url = BYTES_VALUE
        reminder.data.value = BytesValue(value=tick.data).SerializeToString()
    return reminder


def _remote(error: grpc.aio.AioRpcError) -> RemoteError:
    code = error.code()
    name = "".join(word.capitalize() for word in code.name.split("_"))
    return RemoteError(code.value[0], name, error.details() or "")


def _refused(error: grpc.aio.AioRpcError) -> Exception:
    """What the router is told: whether to look up anew, and what to say if that does not help."""
    code, details = error.code(), error.details() or ""
    is_moved = code is grpc.StatusCode.INTERNAL and (details == INVOKE_MOVED or details.endswith(DISSEMINATING))
    if is_moved or details == MOVED or code is grpc.StatusCode.UNAVAILABLE:
        return AgainError(_remote(error))
    return _remote(error)
