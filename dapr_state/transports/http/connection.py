"""One HTTP/1.1 connection: requests are answered one after another, in the order in which they came."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from dapr_state.clock import SYSTEM
from dapr_state.transports.http import own
from dapr_state.transports.http.h2 import Http2Connection
from dapr_state.transports.http.message import Response, render
from dapr_state.transports.steps import Steps
from dapr_state.wire.frames import PREFACE
from dapr_state.wire.http1 import RefusedError, Request, RequestReader

if TYPE_CHECKING:
    from dapr_state.transports.http.server import Shared
    from dapr_state.transports.http2 import Bounds

HEAD_SECONDS = 10.0  # as daprd: a client that is slower to say what it wants is let go
LINGER_SECONDS = (
    0.5  # as Go: without it, what a client still sends would reset the connection before it reads the answer
)
# What a client may send ahead while it is being answered; beyond, it has to wait. Four times the usual socket read.
MAX_AHEAD = 64 * 1024 * 4

_now = SYSTEM.monotonic

_HTTP2_HEAD = PREFACE[:18]  # the part of HTTP/2's preface that looks like a request's head: all of it may not be here
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL = "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{}"
_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"  # said only to HTTP/1.0, where it is not the rule


class _Answering(Steps):
    """The handler at work: most requests are answered in its first step, without a task."""

    __slots__ = ("_connection",)

    def __init__(self, connection: Connection) -> None:
        super().__init__(asyncio.get_running_loop())
        self._connection = connection

    def _returned(self, result: Response) -> None:
        self._connection.answer(result)

    def _raised(self, error: BaseException) -> None:
        self._connection.fail(error)


class Connection(asyncio.Protocol):
    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._answering = _Answering(self)
        self.request: Request | None = None  # the one that is being answered
        self._reader = RequestReader(shared.max_head, shared.max_body, shared.known)
        self._transport: asyncio.Transport
        self._timer: asyncio.TimerHandle | None = None
        self._is_new = True  # no head has been read yet
        self._is_full = False  # the client does not read what it was sent
        self._is_paused = False  # we do not read what the client sends
        self._is_ending = False  # the answer under way is the last one
        self._is_over = False  # nothing more is answered
        self._is_serving = False  # further up in the stack

    def __repr__(self) -> str:
        return f"<Connection {'busy' if self.request else 'idle'}, {self._reader.waiting} bytes waiting>"

    # What happens to the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._shared.connections.add(self)
        self._start_timer()

    def data_received(self, data: bytes) -> None:
        if self._is_over:
            return
        self._reader.feed(data)
        if self.request is None and not self._is_full:
            self._serve()
        elif self._reader.waiting > MAX_AHEAD:
            self._is_paused = True
            self._transport.pause_reading()

    def eof_received(self) -> bool:
        self._is_ending = True
        self._give_up_in_vain()
        return self.request is not None  # a client that half-closes still wants its answer

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self.request is None and not self._is_over:
            self._serve()

    def connection_lost(self, _: Exception | None) -> None:
        self._is_over = True
        self._stop_timer()
        self._give_up_in_vain()
        self._shared.forget(self)

    def _give_up_in_vain(self) -> None:
        """The client has gone: there are answers that only make sense while somebody waits."""
        if (request := self.request) and request.needs_client:
            self._answering.cancel()

    # What the server asks of it

    def finish(self) -> None:
        """Answer the request that is under way or has begun to arrive, then close."""
        self._is_ending = True
        if self.request is None and self._reader.is_between_requests:
            self._close()

    def abort(self) -> None:
        """Give up the request under way, and tell its client."""
        if not self._answering.cancel():
            self._transport.abort()

    # Requests and answers

    def _serve(self) -> None:
        """Answer what has arrived, until an answer has to wait or there is nothing left."""
        self._is_serving = True
        try:
            while request := self._reader.next_request():
                if self._timer:
                    self._stop_timer()
                self._begin(request)
                if self.request or self._is_full or self._is_over:
                    return
            self._await_more()
        except RefusedError as refusal:
            bounds = self._shared.http2
            if bounds and self._is_new and self._reader.unread.startswith(_HTTP2_HEAD):
                self._speak_http2(bounds)
                return
            self._transport.write(_REFUSAL.format(refusal.status, refusal.text).encode())
            self._linger()
        finally:
            self._is_serving = False

    def _speak_http2(self, bounds: Bounds) -> None:
        """The client knows that HTTP/2 is spoken here, and has begun with it (RFC 9113, 3.3)."""
        successor = Http2Connection(self._shared, bounds)
        self._transport.set_protocol(successor)
        successor.connection_made(self._transport)
        self.connection_lost(None)
        if self._is_ending:
            successor.finish()
        successor.data_received(self._reader.unread)

    def _begin(self, request: Request) -> None:
        if (request.expect or request.target == b"*") and (response := own.answer(request)):
            request.ended = _now()
            self._send(request, response)
        else:
            self.request = request
            request.began = _now()
            try:
                answering = self._shared.handler(request)
            except Exception as error:  # noqa: BLE001 - as if the first step had raised it
                self.fail(error)
            else:
                self._answering.run(answering)

    def answer(self, response: Response) -> None:
        """Send the answer to the request under way, and go on."""
        request, self.request = self.request, None
        if request is None:
            return
        request.ended = _now()
        try:
            for note in self._shared.notes:
                note(request, response)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client waits
            response = own.failure(request, error)
        if self._is_over:  # the client has gone
            return
        self._send(request, response)
        if not (self._is_serving or self._is_full or self._is_over):
            self._serve()

    def fail(self, error: BaseException) -> None:
        """Answer the request under way with what went wrong."""
        self.answer(own.failure(self.request, error))

    def _send(self, request: Request, response: Response) -> None:
        date = self._shared.date.at(request.ended)
        keep = request.keep_alive and not self._is_ending
        if keep and not request.is_http10 and request.method != "HEAD":
            self._transport.write(render(response, date))
            return
        connection = b""
        if not keep:
            connection = b"" if request.is_http10 and not request.keep_alive else _CLOSE
        elif request.is_http10:
            connection = _KEEP_ALIVE
        head = request.method == "HEAD"
        self._transport.write(render(response, date, connection=connection, is_http10=request.is_http10, head=head))
        if not keep:
            self._linger() if request.body_error else self._close()

    def _await_more(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()
        if self._reader.is_between_requests:
            if self._is_ending:
                self._close()
            return
        if self._reader.expects_continue():
            self._transport.write(_CONTINUE)
        if self._reader.is_in_head:
            if not self._timer:
                self._start_timer()
        elif self._timer:
            self._stop_timer()

    # Its end

    def _close(self) -> None:
        self._is_over = True
        self._stop_timer()
        self._transport.close()

    def _linger(self) -> None:
        """Close, but only after the client had a chance to read the answer."""
        self._is_over = True
        self._stop_timer()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._timer = asyncio.get_running_loop().call_later(LINGER_SECONDS, self._transport.close)

    def _start_timer(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(HEAD_SECONDS, self._close)

    def _stop_timer(self) -> None:
        self._is_new = False
        if self._timer:
            self._timer.cancel()
            self._timer = None


class NamingConnection(Connection):
    """Says in each request whose it is: what only spans tell costs nothing without them."""

    def _begin(self, request: Request) -> None:
        request.peer = self._transport.get_extra_info("peername")
        super()._begin(request)
