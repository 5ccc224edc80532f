"""One call, from the request's headers to the answer's status.

A call is its own task (see eager_task.py). It is over when its status is sent or its stream is gone; the servicer's
coroutine may take longer to end, and what it still sends is dropped.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final

import grpc
from grpc.aio import EOF, AbortError, UsageError

from dapr_state.clock import WAITING
from dapr_state.serving.answer_memory import CrowdedError
from dapr_state.serving.grpc import parsing
from dapr_state.serving.grpc.context import Context
from dapr_state.serving.grpc.inflating import inflated
from dapr_state.serving.grpc.observed import ENCODED
from dapr_state.serving.grpc.parsing import LONG
from dapr_state.serving.grpc.request_stream import RequestStream
from dapr_state.serving.pieces import Pieces
from dapr_state.serving.request_memory import SMALL
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import headers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Sequence

    from dapr_state.serving.grpc.methods import ParsedHeaders
    from dapr_state.serving.grpc.shared import Shared
    from dapr_state.serving.http2 import Http2Protocol
    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.stream import Stream

    Metadata = Iterable[tuple[str, str | bytes]]

log = logging.getLogger("dapr.grpc")
monotonic = WAITING.monotonic

_CANCELLED: Final = grpc.StatusCode.CANCELLED.value[0]
_EXPIRED: Final = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
_DEADLINE: Final = "context deadline exceeded"
_TOO_SLOW: Final = "the request's message did not come in time"


class Call(Context):
    """From the request's headers to the answer's status."""

    __slots__ = (
        "_began",
        "_connection",
        "_headers_sent",
        "_incoming",
        "_method",
        "_request",
        "_shared",
        "_stream",
        "_timer",
        "_writers",
    )

    def __init__(self, protocol: Http2Protocol[ParsedHeaders], shared: Shared, stream: Stream[ParsedHeaders]) -> None:
        parsed = stream.request.parsed
        Context.__init__(self, protocol, parsed)  # `super()` costs a small call 0.1 us each time
        self._shared = shared
        self._connection = protocol.connection
        self._stream = stream
        self._method = parsed.method
        self._began = protocol.last_received  # on the clock of metrics
        self._timer: asyncio.TimerHandle | None = None
        self._request: bytes | framing.Packed = b""  # the one message of a unary request
        self._incoming: RequestStream | None = None  # of a request that did not come at once
        self._writers: list[asyncio.Future[None]] | None = None  # wait until the peer has taken what was written
        self._headers_sent = False

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled else "over" if self._over else "running" if self._running else "opening"
        return f"<Call {self._method.path} {state}>"

    @property
    def octets(self) -> bytes:
        """Its one message, for whoever is told of its end; of one that came packed, nothing."""
        return self._request if isinstance(self._request, bytes) else b""

    # Receiving: the protocol's side

    def open(self) -> None:
        """Begin with the headers alone, as the request is a stream."""
        self._incoming = self._request_stream()
        self._protocol.start(self)

    def receive(self, data: bytes, ended: bool) -> None:
        """A piece of the request has come."""
        if ended and self._incoming is None:
            message = framing.only_message(data)
            if message is not None and len(message) <= self._shared.settings.max_receive:
                self._request = message
                self._protocol.start(self)
                return
        try:
            self._collect(data, ended)
        except (framing.Refused, CrowdedError) as error:
            self._give_up(error)

    def _collect(self, data: bytes, ended: bool) -> None:
        incoming = self._incoming = self._incoming or self._request_stream()
        self._arm()
        incoming.receive(data, ended)
        if not self._method.request_streaming and (message := incoming.only()) is not None:
            self._request = message
            if incoming.may_hold(message):
                self._protocol.start(self)
        incoming.open_window()

    def _request_stream(self) -> RequestStream:
        return RequestStream(self._protocol, self._shared, self._stream)

    def on_memory(self) -> None:
        """The memory that the request waited for is there."""
        if self._stream.ended and not self._method.request_streaming:
            self._protocol.start(self)
        self._protocol.flush_soon()

    def on_standstill(self) -> None:
        """Others wait for what the request holds, and it does not go on."""
        self._refuse(_EXPIRED, _TOO_SLOW)

    def check_body(self, now: float) -> None:
        """End a request whose message does not go on, or waits for memory for too long."""
        protocol, incoming = self._protocol, self._incoming
        moved = incoming.moved if incoming else self._began
        if incoming and incoming.waits_for_memory:
            if now - moved > protocol.timeouts.memory:
                self._give_up(CrowdedError())
        elif not self._stream.ended and protocol.is_body_late(moved, now):
            if self._method.request_streaming and not (incoming and incoming.is_incomplete):
                return  # between two messages of a stream, a client may take its time
            self._refuse(_EXPIRED, _TOO_SLOW)

    # Running

    def start(self) -> None:
        """Begin the servicer's work, once."""
        if self._over or self._running:
            return
        if self._deadline is not None and monotonic() >= self._deadline:
            self._expire()
            return
        method, request = self._method, self._request
        if type(request) is not bytes or (len(request) > LONG and method.message):
            coroutine = self._answer_slowly(request)
        else:
            try:
                argument = self._requests() if method.request_streaming else method.deserialize(request)
            except Exception:  # noqa: BLE001 - whatever a deserializer raises
                self._refuse(framing.INTERNAL, framing.UNREADABLE)
                return
            try:
                coroutine = self._answer_all(argument) if method.response_streaming else method.behavior(argument, self)
            except Exception as error:  # noqa: BLE001 - a plain function may raise anything
                self._raised(error)
                return
            if type(coroutine) is not CoroutineType:
                coroutine = _awaited(coroutine)
        self.run(coroutine)
        if self._running:
            self._arm()

    async def _answer_slowly(self, request: bytes | framing.Packed) -> Any:
        """As `start` does, where it takes long to read the request's message."""
        method = self._method
        if type(request) is framing.Packed:
            request = self._request = await inflated(request)
            if self._incoming is not None:
                self._incoming.shrink(request)
        try:
            if len(request) > LONG and method.message:
                argument = await parsing.parse(method.message, request)
            else:
                argument = method.deserialize(request)
        except Exception as error:
            raise framing.Refused(framing.INTERNAL, framing.UNREADABLE) from error
        if method.response_streaming:
            return await self._answer_all(argument)
        return await _awaited(method.behavior(argument, self))

    def _requests(self) -> AsyncIterator[Any]:
        return _Requests(self)

    async def _answer_all(self, argument: Any) -> None:
        """Run a behaviour that answers with a stream: a generator of messages, or a coroutine that writes them."""
        answers = self._method.behavior(argument, self)
        if hasattr(answers, "__aiter__"):
            async with contextlib.AsyncExitStack() as stack:
                if hasattr(answers, "aclose"):
                    stack.push_async_callback(answers.aclose)
                async for message in answers:
                    await self.write(message)
        elif inspect.isawaitable(answers):
            await answers
        else:
            for message in answers:
                await self.write(message)

    def _returned(self, result: Any) -> None:
        method = self._method
        if self._over:
            self._unwound()
            self._tell(self._code or _CANCELLED)
            return
        if method.response_streaming or self._code:
            self._end()
            self._tell(self._code)
            return
        try:
            body = result if type(result) in ENCODED else method.serialize(result)
        except Exception as error:  # noqa: BLE001 - whatever a serializer raises
            self._raised(error)
            return
        size = len(body)
        if size > self._shared.settings.max_send:
            self._refuse_answer(size)
            self._tell(self._code)
            return
        if type(body) is Pieces or size > SMALL:
            self._send_large(body)
        elif self._plain:
            message = framing.PREFIX.pack(0, size) + body
            self._connection.send_answer(self._stream, self._parsed.headers, message, framing.TRAILERS_OK)
            self._finish()
        else:
            self._send_framed(body)
        if method.after is not None:
            method.after(self, framing.OK, len(self._request), size, monotonic() - self._began, None)

    def _send_framed(self, body: bytes) -> None:
        if not self._headers_sent:
            self._send_headers(())
        self._connection.send_data(self._stream, framing.message(body))
        self._end()

    def _send_large(self, body: bytes | Pieces) -> None:
        """Without a copy of what is large in it."""
        connection, stream = self._connection, self._stream
        if not self._headers_sent:
            self._send_headers(())
        connection.send_data(stream, framing.PREFIX.pack(0, len(body)))
        for piece in body if isinstance(body, Pieces) else (body,):
            connection.send_data(stream, piece)
        self._end()
        self._protocol.count_unsent()

    def _raised(self, error: BaseException) -> None:
        if not self._over:
            self._fail(error)
        else:
            self._unwound()
            if not isinstance(error, (asyncio.CancelledError, AbortError, UsageError)):
                log.debug("%s failed after its end", self._method.path, exc_info=error)
        self._tell(self._code or _CANCELLED, error)

    def _tell(self, code: int, error: BaseException | None = None) -> None:
        """Tell who wants to know that the servicer has ended, without an answer of one message."""
        if self._method.after is not None:
            self._method.after(self, code, len(self._request), 0, monotonic() - self._began, error)

    def _fail(self, error: BaseException) -> None:
        status = self._method.status_of(error)
        if status is not None:
            self._set_status(status.code, status.details, status.trailing_metadata)
            self._end()
        elif isinstance(error, AbortError):
            self._end()
        elif isinstance(error, framing.Refused):
            self._refuse(error.code, error.details)
        elif isinstance(error, CrowdedError):
            self._refuse(framing.RESOURCE_EXHAUSTED, str(error))
        elif isinstance(error, asyncio.CancelledError):
            self._refuse(_CANCELLED, "the call was cancelled")
        else:
            log.error("%s failed", self._method.path, exc_info=error)
            self._refuse(framing.UNKNOWN, f"Unexpected {type(error)}: {error}")  # as grpc.aio says it

    # Ending

    def _end(self) -> None:
        """Send the status."""
        if self._over:
            return
        if not self._code and not self._trailing and not self._details:
            trailers = framing.TRAILERS_OK
        else:
            fields = framing.status_fields(self._code, self._details, self._trailing_fields)
            trailers = headers.encode(fields)
        if self._headers_sent:
            self._connection.send_trailers(self._stream, trailers)
        else:
            # the status alone, without a message before it, comes in one block
            self._connection.send_trailers(self._stream, framing.answer_headers(self._parsed.content_type) + trailers)
        self._finish()

    def _refuse(self, code: int, details: str) -> None:
        """End with this status, whatever the servicer is doing."""
        if self._over:
            return
        self._code, self._details, self._trailing, self._trailing_fields = code, details, (), ()
        self._end()
        self.cancel()

    def _give_up(self, error: framing.Refused | CrowdedError) -> None:
        """End because of what the peer sends, whatever the servicer is doing."""
        if not self._over:
            self._fail(error)
            self.cancel()

    def _refuse_answer(self, size: int) -> None:
        limit = self._shared.settings.max_send
        self._refuse(framing.RESOURCE_EXHAUSTED, f"grpc: trying to send message larger than max ({size} vs. {limit})")

    def _expire(self) -> None:
        self._refuse(_EXPIRED, _DEADLINE)

    def _arm(self) -> None:
        """Watch the deadline, now that the call takes its time."""
        if self._deadline is not None and self._timer is None and not self._over:
            self._timer = WAITING.call_later(self._deadline - monotonic(), self._expire)

    def on_lost(self) -> None:
        """The stream is gone: the peer has cancelled, or is lost."""
        if self._over:
            return
        self._cancelled = True
        self._finish()
        self.cancel()

    def on_shutdown(self) -> None:
        """The grace period is over."""
        self._refuse(grpc.StatusCode.UNAVAILABLE.value[0], "the server is shutting down")

    def on_drained(self) -> None:
        """The peer has taken all that was written."""
        writers, self._writers = self._writers, None
        _wake(writers)

    def _unwound(self) -> None:
        """The servicer of a call that was over has ended."""
        self._protocol.unwinding.discard(self)
        if self._incoming is not None:
            self._incoming.give_back()

    def _finish(self) -> None:
        self._over = True
        self._stream.call = None  # a circle less for the collector: a tenth of a small call
        if self._running:
            self._protocol.unwinding.add(self)
        if self._timer is not None:
            self._timer.cancel()
        if self._writers is not None:
            self.on_drained()
        if self._incoming is not None:
            if not self._running:
                self._incoming.give_back()
            self._incoming.close()
        self._protocol.flush_soon()
        if self._callbacks:
            for callback in self._callbacks:
                self._loop.call_soon(callback, self)

    # Messages: the servicer's side

    async def read(self) -> Any:
        message = await self._incoming.read() if self._incoming is not None else None
        if message is None:
            return EOF
        try:
            return self._method.deserialize(message)
        except Exception as error:
            raise framing.Refused(framing.INTERNAL, framing.UNREADABLE) from error

    async def write(self, message: Any) -> None:
        if self._over:
            raise UsageError("RPC already finished.")
        body = self._method.serialize(message)
        if len(body) > self._shared.settings.max_send:
            self._refuse_answer(len(body))
            raise UsageError("the message is too large, and the call has ended")
        if not self._headers_sent:
            self._send_headers(())
        sent = self._connection.send_data(self._stream, framing.message(body))
        self._protocol.flush_soon()
        if sent:
            return
        if self._writers is None:
            self._writers = []
        writer = self._loop.create_future()
        self._writers.append(writer)
        await writer

    async def send_initial_metadata(self, initial_metadata: Metadata) -> None:
        if self._over:
            raise UsageError("RPC already finished.")
        if self._headers_sent:
            raise UsageError("Send initial metadata failed: already sent")
        self._send_headers(framing.write_metadata(initial_metadata))
        self._protocol.flush_soon()

    def _send_headers(self, metadata: Sequence[Field]) -> None:
        self._headers_sent = True
        self._plain = False
        parsed = self._parsed
        block = framing.answer_headers(parsed.content_type, metadata) if metadata else parsed.headers
        self._connection.send_headers(self._stream, block)


class _Requests:
    """The messages of a streaming request, one by one."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __aiter__(self) -> _Requests:
        return self

    async def __anext__(self) -> Any:
        message = await self._call.read()
        if message is EOF:
            raise StopAsyncIteration
        return message


def _wake(waiting: list[asyncio.Future[None]] | None) -> None:
    for each in waiting or ():
        if not each.done():  # it may have been cancelled
            each.set_result(None)


async def _awaited(result: Any) -> Any:
    """What a behaviour that is not an `async def` returned: something to await, or the answer itself."""
    return await result if inspect.isawaitable(result) else result
