"""The calls of a client: a request's messages out, its answer or its error in, with the codes and words of grpc-go.

Rules that a change must keep:
1. A call ends once: with all of its answer, or with an error; whoever waits for it hears of that.
2. Whoever is cancelled while he waits for a call has given it up: the server is told.
3. What has come and nobody has read yet is two windows and one message at most, which is no longer than the limit.
"""

from __future__ import annotations

import asyncio
from collections import deque
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Protocol

import grpc
from grpc.aio import EOF, AioRpcError, Metadata

from dapr_state.clock import WAITING
from dapr_state.serving.grpc.parsing import LONG, parse
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import headers
from dapr_state.wire.http2.faults import ErrorCode

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Generator, Iterable, Sequence

    from google.protobuf.message import Message

    from dapr_state.serving.grpc.connection import Connection
    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.stream import Stream

SMALL: Final = 16 * 1024  # octets of an answer that cost no account
LEAST: Final = 2048  # octets in memory of a call, and of what waits for it
STATUSES: Final = {code.value[0]: code for code in grpc.StatusCode}
OK: Final = grpc.StatusCode.OK
_HTTP_OK: Final = b"200"
_LAST_INTERIM: Final = b"199"
_OF_HTTP: Final = {  # gRPC's document http-grpc-status-mapping.md; what is not here is UNKNOWN
    b"400": grpc.StatusCode.INTERNAL,
    b"401": grpc.StatusCode.UNAUTHENTICATED,
    b"403": grpc.StatusCode.PERMISSION_DENIED,
    b"404": grpc.StatusCode.UNIMPLEMENTED,
    b"429": grpc.StatusCode.UNAVAILABLE,
    b"502": grpc.StatusCode.UNAVAILABLE,
    b"503": grpc.StatusCode.UNAVAILABLE,
    b"504": grpc.StatusCode.UNAVAILABLE,
}
_OF_RESET: Final = {  # gRPC's document PROTOCOL-HTTP2.md; what is not here is INTERNAL
    ErrorCode.REFUSED_STREAM: grpc.StatusCode.UNAVAILABLE,
    ErrorCode.CANCEL: grpc.StatusCode.CANCELLED,
    ErrorCode.ENHANCE_YOUR_CALM: grpc.StatusCode.RESOURCE_EXHAUSTED,
    ErrorCode.INADEQUATE_SECURITY: grpc.StatusCode.PERMISSION_DENIED,
}


class Holder(Protocol):
    """An account of what has come of answers that are not whole."""

    def hold(self, holder: object, octets: int) -> str:
        """Why so many octets of it cannot be kept, or ""."""

    def drop(self, holder: object) -> None: ...


class Line:
    """What a method's calls have in common: its head, and what turns its messages into octets and back."""

    __slots__ = ("block", "deserialize", "holder", "max_receive", "max_send", "message", "serialize")

    def __init__(
        self,
        block: bytes,
        serialize: Callable[[Any], bytes],
        deserialize: Any,
        max_send: int,
        max_receive: int,
        *,
        holder: Holder | None = None,
    ) -> None:
        self.block = block
        self.holder = holder
        self.serialize = serialize
        self.deserialize: Callable[[bytes], Any] = deserialize
        owner = getattr(deserialize, "__self__", None)
        self.message: type[Message] | None = owner if hasattr(owner, "MergeFromString") else None
        self.max_send = max_send
        self.max_receive = max_receive

    def head(self, metadata: Iterable[tuple[str, str | bytes]] | None, seconds: float | None) -> bytes:
        fields = framing.write_metadata(metadata) if metadata else []
        if seconds is not None:
            fields.append((b"grpc-timeout", b"%dm" % max(1, min(int(seconds * 1000), 99_999_999))))
        return self.block + headers.encode(fields) if fields else self.block

    def pack(self, request: Any) -> bytes:
        """Raises Refused if it is longer than the server may be sent."""
        body = self.serialize(request)
        if len(body) > self.max_send:
            text = f"trying to send message larger than max ({len(body)} vs. {self.max_send})"
            raise framing.Refused(framing.RESOURCE_EXHAUSTED, text)
        return framing.message(body)

    async def unpack(self, body: bytes) -> Any:
        """Raises AioRpcError if it is none."""
        try:
            if len(body) > LONG and self.message:
                return await parse(self.message, body)
            return self.deserialize(body)
        except Exception as error:  # protobuf's own, of which there are several
            raise rpc_error(
                grpc.StatusCode.INTERNAL, f"grpc: failed to unmarshal the received message: {error}"
            ) from error


class OutgoingCall:
    """What both kinds of calls are: they begin on a connection, and end with a status."""

    def __init__(self, line: Line, head: bytes) -> None:
        self.stream: Stream[Any] | None = None
        self.line = line
        self.head = head
        self.body: bytes | None = None  # of the request, where it is known at once
        self.is_repeated = False
        self._connection: Connection | None = None
        self._alarm: asyncio.TimerHandle | None = None
        self._messages = framing.Messages(line.max_receive, None)
        self._has_head = False
        self._code: grpc.StatusCode | None = None
        self._details = ""
        self._initial: Sequence[Field] = ()
        self._trailing: Sequence[Field] = ()
        self._begin_again: Callable[[OutgoingCall], None] | None = None
        self.on_end: Callable[[OutgoingCall], None] | None = None  # told when it ends before it has begun

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._code.name if self._code else 'under way'}>"

    # What the channel does with it

    def due_in(self, seconds: float | None) -> None:
        if seconds is not None:
            self._alarm = WAITING.call_later(seconds, self._expire)

    def begin(self, connection: Connection) -> None:
        self._connection = connection
        connection.begin(self, self.head, self.body)

    def fail(self, code: grpc.StatusCode, details: str) -> None:
        """End it here, whatever the server does."""
        if self._code is None:
            if self.stream is not None and self._connection is not None:
                self._connection.end(self)
            self._finish(code, details)

    def repeat_by(self, begin: Callable[[OutgoingCall], None]) -> None:
        """How it is begun anew if the server has not looked at it."""
        self._begin_again = begin

    @property
    def sent(self) -> int:
        """Octets of the request, where it was known at once."""
        return len(self.body) - framing.PREFIX_SIZE if self.body else 0

    @property
    def weight(self) -> int:
        """What it takes in memory, about."""
        return LEAST + len(self.body or b"") + len(self.head)

    @property
    def is_done(self) -> bool:
        return self._code is not None

    def cancel(self) -> bool:
        if self.is_done:
            return False
        self.fail(grpc.StatusCode.CANCELLED, "context canceled")
        return True

    def _expire(self) -> None:
        self.fail(grpc.StatusCode.DEADLINE_EXCEEDED, "context deadline exceeded")

    # What the connection tells

    def on_head(self, fields: Sequence[Field], *, ended: bool) -> None:
        if self._code is not None:
            return
        if not self._has_head:
            self._take_head(fields, ended=ended)
        elif ended:
            self._take_trailers(fields)

    def _take_head(self, fields: Sequence[Field], *, ended: bool) -> None:
        found = dict(fields)
        status = found.get(b":status", b"")
        if status <= _LAST_INTERIM and not ended:
            return
        self._has_head = True
        self._initial = fields
        if status != _HTTP_OK and b"grpc-status" not in found:
            text = f"unexpected HTTP status code received from server: {status.decode('latin-1')}"
            self.fail(_OF_HTTP.get(status, grpc.StatusCode.UNKNOWN), text)
        elif ended:
            self._take_trailers(fields)

    def on_data(self, data: bytes, *, ended: bool) -> None:
        if self._code is not None:
            return
        try:
            for message in self._messages.feed(data):
                self._take(message if isinstance(message, bytes) else b"".join(message.parts()))
        except framing.Refused as refused:
            self.fail(STATUSES[refused.code], refused.details)
            return
        if self.line.holder and (here := self._messages.here) > SMALL and (why := self.line.holder.hold(self, here)):
            self.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, why)
            return
        if ended:
            self._finish(grpc.StatusCode.INTERNAL, "server closed the stream without sending trailers")
        elif self._connection is not None:
            self._connection.heard(self, self._unread)

    def on_drained(self) -> None:
        """A call with a whole request need not know."""

    def on_reset(self, code: int) -> None:
        if code == ErrorCode.REFUSED_STREAM and self._begin_again and not self.is_repeated and not self.is_done:
            self.is_repeated = True  # the server has not looked at it
            self.stream = self._connection = None
            self._begin_again(self)
            return
        status = _OF_RESET.get(code, grpc.StatusCode.INTERNAL)  # type: ignore[call-overload]  # unknown ones, too
        self._finish(status, f"stream terminated by RST_STREAM with error code: {_name(code)}")

    def on_lost(self, reason: str) -> None:
        self.stream = None
        self._finish(grpc.StatusCode.UNAVAILABLE, f"error reading from server: {reason}")

    def on_stuck(self) -> None:
        self.fail(grpc.StatusCode.UNAVAILABLE, "the server takes nothing of the request")

    def _take_trailers(self, fields: Sequence[Field]) -> None:
        found = dict(fields)
        self._trailing = fields
        status = found.get(b"grpc-status", b"")
        if status == b"0":
            self._finish(OK, "")
        elif status.isdigit():
            details = framing.percent_decoded(found.get(b"grpc-message", b"").decode("latin-1").encode("latin-1"))
            self._finish(STATUSES.get(int(status[:9]), grpc.StatusCode.UNKNOWN), details)
        else:
            self._finish(grpc.StatusCode.INTERNAL, "server closed the stream without sending trailers")

    def _finish(self, code: grpc.StatusCode, details: str) -> None:
        if self._code is not None:
            return
        self._code, self._details = code, details
        self._begin_again = None
        if self.on_end is not None:
            self.on_end(self)
        if self.line.holder:
            self.line.holder.drop(self)
        if self._alarm is not None:
            self._alarm.cancel()
        self._on_finished()

    def _error(self) -> AioRpcError:
        code = self._code or grpc.StatusCode.UNKNOWN
        return rpc_error(code, self._details, metadata_of(self._initial), metadata_of(self._trailing))

    @property
    def _unread(self) -> int:
        return 0

    def _take(self, message: bytes) -> None:
        raise NotImplementedError

    def _on_finished(self) -> None:
        raise NotImplementedError


class UnaryCall(OutgoingCall):
    """One request, one answer: await it."""

    def __init__(self, line: Line, head: bytes) -> None:
        super().__init__(line, head)
        self._answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._message: bytes | None = None

    @property
    def received(self) -> int:
        """Octets of the answer."""
        return len(self._message or b"")

    def __await__(self) -> Generator[Any, Any, Any]:
        return self._result().__await__()

    async def _result(self) -> Any:
        try:
            body = await self._answer
        except asyncio.CancelledError:
            self.cancel()
            raise
        return await self.line.unpack(body)

    def _take(self, message: bytes) -> None:
        if self._message is not None:
            self.fail(grpc.StatusCode.INTERNAL, "cardinality violation: received multiple response messages")
        self._message = message

    def _on_finished(self) -> None:
        if self._answer.done():
            return
        if self._code is not OK:
            self._answer.set_exception(self._error())
        elif self._message is None:
            text = "cardinality violation: expected message for non server-streaming RPCs, but received none"
            self._answer.set_exception(rpc_error(grpc.StatusCode.INTERNAL, text))
        else:
            self._answer.set_result(self._message)


class StreamCall(OutgoingCall):
    """Messages one after the other: `write` and `read` them; `read` gives EOF behind the last."""

    def __init__(self, line: Line, head: bytes) -> None:
        super().__init__(line, head)
        self._come: deque[bytes] = deque()
        self._octets = 0  # of them, as they came: one without content takes memory, too
        self._changed = asyncio.Event()  # something has come, or it is over
        self._begun = asyncio.Event()
        self._drained = asyncio.Event()

    def begin(self, connection: Connection) -> None:
        super().begin(connection)
        self._begun.set()

    async def write(self, request: Any) -> None:
        """Return when it has left. Raises AioRpcError if the call is over."""
        try:
            data = self.line.pack(request)
        except framing.Refused as refused:
            self.fail(STATUSES[refused.code], refused.details)
        await self._begun.wait()
        if self._code is not None or self._connection is None:
            raise self._error()
        self._drained.clear()
        if not self._connection.say(self, data):
            await self._drained.wait()
            if self._code is not None:
                raise self._error()

    async def done_writing(self) -> None:
        await self._begun.wait()
        if self._code is None and self._connection is not None:
            self._connection.said(self)

    async def read(self) -> Any:
        """The next message, or EOF. Raises AioRpcError."""
        while not self._come:
            if self._code is OK:
                return EOF
            if self._code is not None:
                raise self._error()
            self._changed.clear()
            await self._changed.wait()
        body = self._come.popleft()
        self._octets -= framing.PREFIX_SIZE + len(body)
        if self._code is None and self._connection is not None:
            self._connection.heard(self, self._unread)
        return await self.line.unpack(body)

    async def __aiter__(self) -> AsyncIterator[Any]:
        try:
            while (message := await self.read()) is not EOF:
                yield message
        finally:
            self.cancel()

    async def code(self) -> grpc.StatusCode:
        """How it has ended, once it has."""
        await self._over()
        return self._code or grpc.StatusCode.UNKNOWN

    async def details(self) -> str:
        await self._over()
        return self._details

    async def _over(self) -> None:
        while self._code is None:
            self._changed.clear()
            await self._changed.wait()

    @property
    def _unread(self) -> int:
        return self._octets

    def _take(self, message: bytes) -> None:
        self._come.append(message)
        self._octets += framing.PREFIX_SIZE + len(message)
        self._changed.set()

    def on_drained(self) -> None:
        self._drained.set()

    def _on_finished(self) -> None:
        self._begun.set()
        self._drained.set()
        self._changed.set()


def rpc_error(
    code: grpc.StatusCode, details: str, initial: Metadata | None = None, trailing: Metadata | None = None
) -> AioRpcError:
    return AioRpcError(code, initial or Metadata(), trailing or Metadata(), details=details)


def metadata_of(fields: Sequence[Field]) -> Metadata:
    try:
        return Metadata(*framing.read_metadata(field for field in fields if field[0][:1] != b":"))
    except ValueError:  # nothing that a caller needs
        return Metadata()


@cache
def _name(code: int) -> str:
    return ErrorCode(code).name if code in {*ErrorCode} else str(code)
