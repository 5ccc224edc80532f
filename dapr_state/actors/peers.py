"""The way out to other sidecars: calls and triggers for actors that live there, over Dapr's internal gRPC service.

A peer that is gone without a word is noticed by its silence, 15 s after. One that placement does not name any more is
asked for a sign of life; without one its calls are made again where the actors live now. One that is on its way out
gives it, and ends what it has begun.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.common.v1.common_pb2 import HTTPExtension
from dapr_state_proto.internals.v1.apiversion_pb2 import V1
from dapr_state_proto.internals.v1.reminders_pb2 import Reminder
from dapr_state_proto.internals.v1.service_invocation_pb2 import (
    InternalInvokeRequest,
    InternalInvokeResponse,
    ListStringValue,
)
from dapr_state_proto.internals.v1.service_invocation_pb2_grpc import ServiceInvocationStub
from google.protobuf.wrappers_pb2 import BytesValue
from msgspec import Struct

from dapr_state.actors.router import AgainError, Remote, RemoteError
from dapr_state.app.answers import Answers
from dapr_state.app.callbacks import OK, canonical, passed_on
from dapr_state.app.model import CANCEL_HEADER, AppAnswer, AppError, UnreachableError
from dapr_state.app.remembered import Remembered, octets_of
from dapr_state.clock import WAITING
from dapr_state.golang import codes
from dapr_state.serving.grpc.channel import Channel, Reach
from dapr_state.serving.grpc.connection import Patience
from dapr_state.serving.turns import Turns

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from dapr_state.actors.placement.base import Claim
    from dapr_state.app.model import ActorCall, Headers, Trigger
    from dapr_state.serving.grpc.calling import UnaryCall
    from dapr_state.serving.tls import Tls

    # a status, octets of answer and request, and seconds
    Count = Callable[[int, int, int, float], None]

CALL: Final = "CallActor"  # the two methods that are called here
REMIND: Final = "CallActorReminder"
MOVED: Final = "remote actor moved"  # these three are daprd's words, by which callers know that they may call again
INVOKE_MOVED: Final = f"error invoke actor method: {MOVED}"
DISSEMINATING: Final = ": placement is disseminating"
CANCELED: Final = "reminder has been canceled"

PEERS_AT_MOST: Final = 1000  # connections; of more, the one that has not been used for the longest is closed
IDLE: Final = 180.0  # seconds after which a connection is closed: as daprd
PING: Final = 10.0  # daprd takes no more than one in 8 s
PING_ANSWER: Final = 5.0  # seconds, as daprd
PROBE: Final = 2.0  # seconds in which a peer that has left the table answers, or it is gone
BYTES_VALUE: Final = "type.googleapis.com/google.protobuf.BytesValue"
_YEAR_ONE: Final = -62_135_596_800  # what daprd says for a time that is not there


class _Peer:
    """The way to one sidecar, and what is under way on it."""

    __slots__ = ("calls", "channel", "idle", "stub")

    def __init__(self, channel: Channel) -> None:
        self.channel = channel
        self.stub = ServiceInvocationStub(channel)
        self.calls: set[UnaryCall] = set()
        self.idle: asyncio.Event | None = None  # made when it is waited for

    async def answer(self, call: Any) -> Any:
        """Of a call that was made just now. Raises AioRpcError."""
        self.calls.add(call)
        try:
            return await call
        finally:
            self.calls.discard(call)
            if self.idle and not self.calls:
                self.idle.set()

    async def probe(self) -> None:
        """Give up what is under way unless it answers anything at all."""
        try:
            await self.stub.CallActor(InternalInvokeRequest(), timeout=PROBE)  # no version: it is refused at once
        except grpc.aio.AioRpcError as error:
            if error.code() not in _SILENT:
                return
        for call in tuple(self.calls):
            call.fail(grpc.StatusCode.UNAVAILABLE, "the sidecar has left, and does not answer")

    async def rest(self) -> None:
        """Return when nothing is under way."""
        self.idle = asyncio.Event()
        if self.calls:
            await self.idle.wait()


_SILENT: Final = (grpc.StatusCode.DEADLINE_EXCEEDED, grpc.StatusCode.UNAVAILABLE)


class Peers(Remote):
    """`close` it at the end."""

    def __init__(
        self,
        max_message: int,
        tls: Callable[[str], Tls] | None = None,
        counts: Mapping[str, Count] | None = None,
    ) -> None:
        """`max_message` octets at most, either way; `tls` secures the way to a sidecar of this app id.

        `counts` are told, for each method, how a call of it has ended.
        """
        self._counts = counts
        self._peers: OrderedDict[Claim, _Peer] = OrderedDict()
        self._tasks: set[asyncio.Task[None]] = set()
        self._reach = Reach(
            max_message, max_message, patience=Patience(PING, PING_ANSWER, IDLE), holder=Answers(), turns=Turns()
        )
        self._tls = tls

    def __repr__(self) -> str:
        return f"<Peers {', '.join(each.address for each in self._peers) or 'none'}>"

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        peers, self._peers = self._peers, OrderedDict()
        for peer in peers.values():
            await peer.channel.close()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def keep(self, hosts: Mapping[str, str]) -> None:
        """Part from those whom placement does not name (any more): it names these, with their app ids."""
        for claim in [claim for claim in self._peers if hosts.get(claim.address) != claim.app_id]:
            self._spawn(self._part(self._peers.pop(claim)))

    async def _part(self, peer: _Peer) -> None:
        if peer.calls:
            await peer.probe()
        await peer.rest()
        await peer.channel.close()

    async def invoke(self, claim: Claim, call: ActorCall) -> AppAnswer:
        request, metadata = _request(call)
        try:
            return _answer(await self._ask(claim, CALL, request, metadata))
        except grpc.aio.AioRpcError as error:
            raise _refused(error) from None

    async def deliver_reminder(self, claim: Claim, trigger: Trigger) -> AppAnswer:
        return await self._deliver(claim, _reminder(trigger, is_timer=False))

    async def deliver_timer(self, claim: Claim, trigger: Trigger) -> AppAnswer:
        return await self._deliver(claim, _reminder(trigger, is_timer=True))

    async def _deliver(self, claim: Claim, reminder: Reminder) -> AppAnswer:
        try:
            await self._ask(claim, REMIND, reminder)
        except grpc.aio.AioRpcError as error:
            if error.details() == CANCELED:
                return AppAnswer(((CANCEL_HEADER, "true"),))
            if error.code() is grpc.StatusCode.UNAVAILABLE:
                raise UnreachableError(str(_remote(error))) from None
            raise _refused(error) from None
        return AppAnswer()

    async def _ask(self, claim: Claim, method: str, request: Any, metadata: Any = ()) -> Any:
        peer = self._peer(claim)
        call = getattr(peer.stub, method)(request, metadata=metadata)
        if self._counts is None:
            return await peer.answer(call)
        began = WAITING.monotonic()
        code = grpc.StatusCode.CANCELLED
        try:
            answer = await peer.answer(call)
            code = grpc.StatusCode.OK
        except grpc.aio.AioRpcError as error:
            code = error.code()
            raise
        finally:
            self._counts[method](code.value[0], call.received, call.sent, WAITING.monotonic() - began)
        return answer

    def _peer(self, claim: Claim) -> _Peer:
        peer = self._peers.get(claim)
        if peer is None:
            while len(self._peers) >= PEERS_AT_MOST:
                self._spawn(self._part(self._peers.popitem(last=False)[1]))
            tls = self._tls(claim.app_id) if self._tls else None
            peer = self._peers[claim] = _Peer(Channel(claim.address, tls, self._reach))
        else:
            self._peers.move_to_end(claim)
        return peer

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


class _Head(Struct):
    """Of a call, what its headers say."""

    request: InternalInvokeRequest  # without its message and actor
    content_type: str
    trace: tuple[tuple[str, str], ...]


def _head(headers: Headers) -> _Head:
    metadata: dict[str, ListStringValue] = {}
    content_type = ""
    trace: tuple[tuple[str, str], ...] = ()
    for name, value in passed_on.of(headers):
        metadata.setdefault(name, ListStringValue()).values.append(value)
        if name == "Content-Type":
            content_type = value
        elif name == "Traceparent":
            trace = (("traceparent", value),)
    metadata["Dapr-Api-Call"] = ListStringValue(values=["true"])
    return _Head(InternalInvokeRequest(ver=V1, metadata=metadata), content_type, trace)


_HEADS: Final = Remembered(_head, octets_of)


def _request(call: ActorCall) -> tuple[InternalInvokeRequest, tuple[tuple[str, str], ...]]:
    head = _HEADS.of(call.headers)
    request = InternalInvokeRequest()
    request.CopyFrom(head.request)
    message, actor = request.message, request.actor
    message.method = call.method
    message.data.value = call.body
    message.data.SetInParent()
    message.content_type = head.content_type
    message.http_extension.verb = HTTPExtension.PUT
    message.http_extension.querystring = call.query
    actor.actor_type = call.actor.type
    actor.actor_id = call.actor.id
    return request, head.trace


def _headers(octets: bytes) -> Headers:
    """Of an answer that has nothing else."""
    headers = InternalInvokeResponse.FromString(octets).headers
    return tuple(
        (name, value)
        for name, values in headers.items()
        if canonical(name) != "Content-Type"
        for value in values.values
    )


_HEADERS: Final = Remembered(_headers, len)


def _answer(response: InternalInvokeResponse) -> AppAnswer:
    message = response.message
    body = message.data.value
    code = response.status.code or OK  # absent: as if it were a success
    if code != OK:
        raise AppError(f"error from actor service: ({code}) {body.decode(errors='replace')}")
    content_type = message.content_type or "application/json"
    response.ClearField("message")
    # the octets of what is left say it all; a map of Go's has another order each time
    headers = _HEADERS.of(response.SerializeToString(deterministic=True))
    return AppAnswer((("Content-Type", content_type), *headers), body)


def _reminder(trigger: Trigger, *, is_timer: bool) -> Reminder:
    reminder = Reminder(
        actor_id=trigger.actor.id,
        actor_type=trigger.actor.type,
        name=trigger.name,
        period=trigger.period,
        due_time=trigger.due_time,
        registered_time={"seconds": _YEAR_ONE},
        expiration_time={"seconds": _YEAR_ONE},
        is_timer=is_timer,
    )
    if trigger.data is not None:
        reminder.data.type_url = BYTES_VALUE
        reminder.data.value = BytesValue(value=trigger.data).SerializeToString()
    return reminder


def _remote(error: grpc.aio.AioRpcError) -> RemoteError:
    code = error.code()
    return RemoteError(code.value[0], codes.shown(code.name), error.details() or "")


def _refused(error: grpc.aio.AioRpcError) -> Exception:
    """What the router is told: whether to look up anew, and what to say if that does not help."""
    code, details = error.code(), error.details() or ""
    is_moved = code is grpc.StatusCode.INTERNAL and (details == INVOKE_MOVED or details.endswith(DISSEMINATING))
    if is_moved or details == MOVED or code is grpc.StatusCode.UNAVAILABLE:
        return AgainError(_remote(error))
    return _remote(error)
