"""One call: the context that a servicer is given, from the request's messages to the answer's status.

A call is its own task (see eager_task.py). It is over when its status is sent or its stream is gone; the servicer's
coroutine may take longer to end, and what it still sends is dropped.

It is longer than most modules: the interface that it implements, grpc.aio.ServicerContext, is that wide.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections import deque
from types import CoroutineType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from grpc.aio import EOF, AbortError, UsageError

from dapr_state.clock import SYSTEM
from dapr_state.serving.answer_memory import CrowdedError
from dapr_state.serving.eager_task import EagerTask
from dapr_state.serving.grpc import parsing
from dapr_state.serving.grpc.inflating import inflated
from dapr_state.serving.pieces import Pieces
from dapr_state.serving.request_memory import SMALL
from dapr_state.serving.upload import Upload
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import headers
from dapr_state.wire.http2.frames import DEFAULT_WINDOW

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Sequence

    from dapr_state.serving.grpc.methods import Meaning
    from dapr_state.serving.grpc.shared import Shared
    from dapr_state.serving.http2 import Http2Protocol
    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.stream import Stream

    Metadata = Iterable[tuple[str, str | bytes]]

log = logging.getLogger("dapr.grpc")
monotonic = SYSTEM.monotonic

_CANCELLED: Final = grpc.StatusCode.CANCELLED.value[0]
_EXPIRED: Final = grpc.StatusCode.DEADLINE_EXCEEDED.value[0]
_DEADLINE: Final = "context deadline exceeded"
_COMPRESSIONS: Final = {
    grpc.Compression.NoCompression: None,
    grpc.Compression.Gzip: framing.ENCODINGS[b"gzip"],
    grpc.Compression.Deflate: framing.ENCODINGS[b"deflate"],
}


class Call(EagerTask):
    """As much of grpc.aio.ServicerContext as there is without TLS; see there what its methods promise."""

    __slots__ = (
        "_began",
        "_callbacks",
        "_cancelled",
        "_code",
        "_complete",
        "_compress_next",
        "_connection",
        "_deadline",
        "_details",
        "_encoding",
        "_headers_sent",
        "_meaning",
        "_messages",
        "_method",
        "_moved",
        "_over",
        "_plain",
        "_protocol",
        "_readers",
        "_request",
        "_shared",
        "_stream",
        "_timer",
        "_trailing",
        "_trailing_fields",
        "_unread",
        "_unread_octets",
        "_upload",
        "_writers",
    )

    def __init__(self, protocol: Http2Protocol[Meaning], shared: Shared, stream: Stream[Meaning]) -> None:
        super().__init__(protocol.loop)
        self._protocol = protocol
        self._shared = shared
        self._connection = protocol.connection
        self._stream = stream
        self._meaning = meaning = stream.request.meaning
        self._method = meaning.method
        self._began = protocol.last_received  # on the clock of metrics
        self._deadline = None if meaning.timeout is None else self._loop.time() + meaning.timeout
        self._timer: asyncio.TimerHandle | None = None
        self._request: bytes | framing.Packed = b""  # the one message of a unary request
        self._messages: framing.Messages | None = None
        self._unread: deque[bytes | framing.Packed] | None = None  # messages of a stream that came, and nobody took
        self._unread_octets = 0  # of them, as they came
        self._upload: Upload | None = None  # of a request that did not come at once
        self._moved = protocol.last_received  # when a piece of the request came
        self._complete = False  # all of a streaming request is in `_unread`; the stream may have ended before that
        self._readers: list[asyncio.Future[None]] | None = None  # wait for one of them, or for the end
        self._writers: list[asyncio.Future[None]] | None = None  # wait until the peer has taken what was written
        self._plain = True  # the servicer has said nothing of the answer yet: it is to be one message, with OK
        self._headers_sent = False
        self._over = False
        self._cancelled = False
        self._code = framing.OK
        self._details = ""
        self._trailing: Sequence[tuple[str, str | bytes]] = ()
        self._trailing_fields: Sequence[Field] = ()
        self._encoding: framing.Encoding | None = None
        self._compress_next = True
        self._callbacks: list[Callable[[Any], Any]] | None = None

    def __repr__(self) -> str:
        state = "cancelled" if self._cancelled else "over" if self._over else "running" if self._running else "opening"
        return f"<Call {self._method.path} {state}>"

    # Receiving: the protocol's side

    def open(self, data: bytes, ended: bool) -> None:
        """The headers have come, and with them `data`, if that is all there is."""
        if self._method.request_streaming:
            self._unread = deque()
            self._protocol.start(self)
        if ended:
            self.receive(data, ended)

    def receive(self, data: bytes, ended: bool) -> None:
        """A piece of the request has come."""
        if ended and self._messages is None and self._unread is None:
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
        self._moved = self._protocol.last_received
        if self._messages is None:
            self._messages = framing.Messages(self._shared.settings.max_receive, self._meaning.encoding)
            self._upload = Upload(self._shared.memory, self._go_on)
            self._arm()
        messages = self._messages.feed(data)
        if ended and self._messages.missing:
            raise framing.Refused(framing.INTERNAL, "unexpected EOF")
        if self._unread is None:
            self._unread = deque()
        self._unread += messages
        self._unread_octets += sum(map(len, messages)) + framing.PREFIX_SIZE * len(messages)
        self._complete = ended
        if self._method.request_streaming:
            self._wake_readers()
        elif len(self._unread) > 1:
            raise framing.Refused(framing.INTERNAL, "the request has more than one message")
        elif ended and not self._unread:
            raise framing.Refused(framing.INTERNAL, "EOF")
        elif ended:
            self._request = request = self._unread.popleft()
            octets = request.most if type(request) is framing.Packed else len(request)
            if self._may_hold(octets, len(request)):
                self._protocol.start(self)
        self._open_window()

    def _open_window(self) -> None:
        if self._messages is None or self._stream.ended:
            return
        missing, unread = self._messages.missing, self._unread_octets
        if self._upload is not None and not (missing or unread):
            self._upload.give_back()  # of a stream, one message is over and another may begin
        if self._may_hold(self._messages.size):
            self._connection.open_window(self._stream, missing, unread)

    def _may_hold(self, octets: int, here: int = DEFAULT_WINDOW) -> bool:
        return self._upload is None or self._upload.may_hold(octets, here)

    def _go_on(self) -> None:
        """The memory that was waited for is there."""
        if self._over:
            return
        if self._stream.ended and not self._method.request_streaming:
            self._protocol.start(self)
        else:
            self._open_window()
        self._protocol.flush_soon()

    def check_body(self, now: float) -> None:
        """End a request whose message does not go on, or waits for memory for too long."""
        bounds = self._protocol.bounds
        if self._upload is not None and self._upload.is_waiting:
            if now - self._moved > bounds.memory_timeout:
                self._give_up(CrowdedError())
        elif not self._stream.ended and now - self._moved > bounds.body_timeout and self._is_incomplete():
            self._refuse(_EXPIRED, "the request's message did not come in time")

    def _is_incomplete(self) -> bool:
        """Whether a message is awaited: between two of a stream, a client may take its time."""
        return bool(self._messages.missing) if self._messages is not None else not self._method.request_streaming

    def _wake_readers(self) -> None:
        readers, self._readers = self._readers, None
        _wake(readers)

    # Running

    def start(self) -> None:
        """Begin the servicer's work."""
        if self._over:
            return
        if self._deadline is not None and self._loop.time() >= self._deadline:
            self._expire()
            return
        method, request = self._method, self._request
        if type(request) is framing.Packed or (len(request) > parsing.LONG and method.message):
            coroutine = self._answer_slowly(request)
        elif (answering := self._answering(request)) is not None:
            coroutine = answering
        else:
            return
        self.run(coroutine)
        if self._running:
            self._arm()

    def _answering(self, request: bytes) -> Coroutine[Any, Any, Any] | None:
        """The servicer's work; None when it has failed already, or the request is none."""
        method = self._method
        try:
            argument = self._requests() if method.request_streaming else method.deserialize(request)
        except Exception:  # noqa: BLE001 - whatever a deserializer raises
            self._refuse(framing.INTERNAL, framing.UNREADABLE)
            return None
        if method.response_streaming:
            return self._answer_all(argument)
        try:
            coroutine = method.behavior(argument, self)
        except Exception as error:  # noqa: BLE001 - a plain function may raise anything
            self._raised(error)
            return None
        return coroutine if type(coroutine) is CoroutineType else _awaited(coroutine)

    async def _answer_slowly(self, request: bytes | framing.Packed) -> Any:
        """As `start` does, where it takes long to read the request's message."""
        method = self._method
        if type(request) is framing.Packed:
            request = self._request = await inflated(request)
            if self._upload is not None:
                self._upload.shrink(len(request))
        try:
            if len(request) > parsing.LONG and method.message:
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
            body = result if type(result) is Pieces else method.serialize(result)
        except Exception as error:  # noqa: BLE001 - whatever a serializer raises
            self._raised(error)
            return
        if len(body) > self._shared.settings.max_send:
            self._refuse_answer(len(body))
            self._tell(self._code)
            return
        self._send_answer(body)
        if method.after is not None:
            method.after(self, framing.OK, len(self._request), len(body), monotonic() - self._began, None)

    def _send_answer(self, body: bytes | Pieces) -> None:
        if isinstance(body, Pieces) or len(body) > SMALL:
            self._send_large(body)
        elif self._plain:
            message = framing.PREFIX.pack(0, len(body)) + body
            self._connection.send_answer(self._stream, self._meaning.headers, message, framing.TRAILERS_OK)
            self._finish()
        else:
            self._send_framed(body)

    def _send_framed(self, body: bytes) -> None:
        if not self._headers_sent:
            self._send_headers(())
        self._connection.send_data(self._stream, self._framed(body))
        self._end()

    def _send_large(self, body: bytes | Pieces) -> None:
        """Without a copy of what is large in it, unless it is compressed."""
        if self._encoding:
            self._send_framed(bytes(body))
        else:
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
            self._connection.send_trailers(self._stream, framing.answer_headers(self._meaning.content_type) + trailers)
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
            self._timer = self._loop.call_at(self._deadline, self._expire)

    def on_lost(self) -> None:
        """The stream is gone: the peer has cancelled, or is lost."""
        if self._over:
            return
        self._cancelled = True
        self._finish()
        self.cancel()

    def on_shutdown(self) -> None:
        """The server ends, and the grace with it."""
        self._refuse(grpc.StatusCode.UNAVAILABLE.value[0], "the server is shutting down")

    def on_drained(self) -> None:
        """The peer has taken all that was written."""
        writers, self._writers = self._writers, None
        _wake(writers)

    def _unwound(self) -> None:
        """The servicer of a call that was over has ended."""
        self._protocol.unwinding.discard(self)
        if self._upload is not None:
            self._upload.give_back()

    def _finish(self) -> None:
        self._over = True
        self._stream.call = None  # a circle less for the collector: a tenth of a small call
        if self._running:
            self._protocol.unwinding.add(self)
        elif self._upload is not None:
            self._upload.give_back()
        if self._timer is not None:
            self._timer.cancel()
        if self._writers is not None or self._readers is not None:
            self.on_drained()
            self._wake_readers()
        self._protocol.flush_soon()
        if self._callbacks:
            for callback in self._callbacks:
                self._loop.call_soon(callback, self)

    # Messages: the servicer's side

    async def read(self) -> Any:
        while not self._unread:
            if self._over and not self._complete:
                raise asyncio.CancelledError
            if self._complete or self._unread is None:
                return EOF
            # a servicer may read and write in several tasks: each waits by itself
            if self._readers is None:
                self._readers = []
            reader = self._loop.create_future()
            self._readers.append(reader)
            await reader
        message = self._unread.popleft()
        self._unread_octets -= len(message) + framing.PREFIX_SIZE
        self._open_window()
        self._protocol.flush_soon()
        if type(message) is framing.Packed:
            async with self._shared.inflating:
                message = await inflated(message)
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
        sent = self._connection.send_data(self._stream, self._framed(body))
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
        meaning = self._meaning
        plain = not metadata and not self._encoding
        block = meaning.headers if plain else framing.answer_headers(meaning.content_type, self._encoding, metadata)
        self._connection.send_headers(self._stream, block)

    def _framed(self, body: bytes) -> bytes:
        if self._encoding and self._compress_next:
            return framing.compressed_message(body, self._encoding)
        self._compress_next = True
        return framing.message(body)

    # Status

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        if code is grpc.StatusCode.OK:
            log.error("%s aborted with OK", self._method.path)
            code, details = grpc.StatusCode.UNKNOWN, ""
        self._set_status(code, details, trailing_metadata)
        raise AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details, status.trailing_metadata)

    def _set_status(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata) -> None:
        self.set_code(code)
        self.set_details(details)
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)

    def set_code(self, code: grpc.StatusCode | int) -> None:
        self._plain = False
        self._code = code if isinstance(code, int) else code.value[0]

    def set_details(self, details: str) -> None:
        self._plain = False
        self._details = details or ""

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self._plain = False
        given = tuple(trailing_metadata or ())
        self._trailing_fields = framing.write_metadata(given)  # here it can still tell the servicer what is wrong
        self._trailing = given

    def code(self) -> int:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._trailing

    def set_compression(self, compression: grpc.Compression) -> None:
        if self._headers_sent:
            raise UsageError("Compression must be set before the initial metadata is sent")
        self._plain = False
        encoding = _COMPRESSIONS[compression]
        accepted = encoding is not None and encoding.name in self._meaning.accepts
        self._encoding = encoding if accepted else None

    def disable_next_message_compression(self) -> None:
        self._compress_next = False

    # What is known about the call

    def invocation_metadata(self) -> tuple[framing.Metadatum, ...]:
        return self._meaning.metadata

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - self._loop.time(), 0)

    def peer(self) -> str:
        return self._protocol.peer

    def done(self) -> bool:
        return self._over

    def cancelled(self) -> bool:
        return self._cancelled

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)


# by name only: as a base class it would cost every call a dictionary
grpc.aio.ServicerContext.register(Call)


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
