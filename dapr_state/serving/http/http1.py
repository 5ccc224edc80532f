"""One HTTP/1.1 connection: requests are answered one after another, in the order in which they came.

The laws that a change must keep:
1. In READING, and only there, the next request is looked for. ANSWERING ends by `answer`, once for each request.
2. What the client sends while it cannot be served is not read beyond one read of the socket.
3. Whatever a connection waits for has a time limit, but for the next request and the handler.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import TYPE_CHECKING, cast

from dapr_state.clock import WAITING
from dapr_state.serving.answer_memory import CrowdedError, reset
from dapr_state.serving.http.exchange import Exchange
from dapr_state.serving.http.http2 import HttpOverHttp2Protocol
from dapr_state.serving.http.request import Request
from dapr_state.serving.http.response import LAST_CHUNK, LONG, chunk, pieces, render, stream_head
from dapr_state.serving.http.settings import LITTLE, TURN
from dapr_state.serving.http.streaming import Streamed, Streaming
from dapr_state.serving.request_memory import JSON_PARTS, SMALL, weight
from dapr_state.wire.http1.request import RefusedError, RequestReader
from dapr_state.wire.http2.frames import PREFACE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dapr_state.serving.http.response import Response
    from dapr_state.serving.http.shared import Shared
    from dapr_state.wire.http2.limits import Limits

_HTTP2_HEAD = PREFACE[:18]  # the part of HTTP/2's preface that looks like a request's head: all of it may not be here
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_REFUSAL = "HTTP/1.1 {}\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n{}"
_TIMEOUT = "408 Request Timeout"
_CLOSE = b"Connection: close\r\n"
_KEEP_ALIVE = b"Connection: keep-alive\r\n"  # said only to HTTP/1.0, where it is not the rule


class State(Enum):
    """What a connection does."""

    READING = "reading"  # a request is arriving, or the next one is waited for
    WAITING = "waiting"  # for memory; nothing is read
    ANSWERING = "answering"
    LINGERING = "lingering"  # the last answer was sent; what still comes is thrown away
    CLOSED = "closed"


_READING, _WAITING, _ANSWERING, _LINGERING, _CLOSED = State  # a look into an Enum costs as much as a small function


class _Http1Exchange(Exchange):
    __slots__ = ("cut", "send")

    cut: Callable[[], None]
    send: Callable[[Request, Response], None]  # type: ignore[assignment] # a frame less than a method

    def __init__(self, connection: Http1Protocol, shared: Shared) -> None:
        super().__init__(shared)
        self.send = connection.answer
        self.cut = connection.end


class Http1Protocol(asyncio.Protocol):
    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._exchange = _Http1Exchange(self, shared)
        self.request: Request | None = None  # the one that is being answered, or is whole and waits for memory
        self._reader = RequestReader(Request, shared.settings.max_head, shared.settings.max_body, shared.known)
        self._transport: asyncio.Transport
        self._peer: object = None  # the client's address, where requests are to say it
        self._state = _READING
        self._timer: asyncio.TimerHandle | None = None  # of what the state waits for
        self._stall: asyncio.TimerHandle | None = None  # of what the client is to take
        self._has_memory = False  # something of this connection is on the process's account
        self._is_new = True  # no head has been read yet
        self._is_body_timed = False  # `_timer` is that of a body
        self._is_full = False  # the client does not read what it was sent
        self._long = 0  # octets of the long answer of which it has not read all
        self._is_paused = False  # we do not read what the client sends
        self._is_serving = False  # further up in the stack, or in the next turn of the loop
        self._client_ended = False  # nothing more is taken from it; it may still read
        self._is_stopping = False  # the next answer is the last one
        self._streaming: Streaming | None = None  # an answer that is sent as it comes

    def __repr__(self) -> str:
        return f"<Http1Protocol {self._state.value}, {self._reader.waiting} bytes waiting>"

    # What happens to the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        if self._shared.names_peers:
            self._peer = transport.get_extra_info("peername")
        self._shared.connections.add(self)
        self._start_timer(self._shared.timeouts.head, self._close)

    def data_received(self, data: bytes) -> None:
        if self._state is _READING and not (self._is_full or self._is_serving or self._client_ended):
            self._reader.feed(data)
            if len(data) > LITTLE and self._shared.turns.are_waited_for:
                self._serve_later()
            else:
                self._serve()
        elif not (self._state is _LINGERING or self._state is _CLOSED or self._client_ended):
            self._reader.feed(data)
            if self._reader.waiting > SMALL:
                self._hold_ahead()

    def eof_received(self) -> bool:
        self._client_ended = True
        self._give_up_in_vain()
        # a client that half-closes still wants its answers: the last of them closes
        return self.request is not None or ((self._is_full or self._is_serving) and self._reader.waiting > 0)

    def pause_writing(self) -> None:
        self._is_full = True
        self._shared.memory.answers.count(self)
        self._watch_writing()

    def resume_writing(self) -> None:
        self._is_full = False
        if self._streaming:
            self._streaming.go_on()
        self._end_long()
        self._shared.memory.answers.forget(self)
        if self._stall:
            self._stall.cancel()
            self._stall = None
        if self._state is _READING and not self._is_serving:
            self._serve()

    def connection_lost(self, _: Exception | None) -> None:
        state, self._state = self._state, _CLOSED
        self._stop_timer()
        if self._stall:
            self._stall.cancel()
        if self._is_full:
            self._shared.memory.answers.forget(self)
        if self._streaming:
            self._streaming.end()
        self._reader.drop()
        if state is _ANSWERING:  # the handler still holds what it was given, until it ends
            self._give_up_in_vain()
        else:
            self.request = None
            self._give_back()
        self._shared.forget(self)

    def _give_up_in_vain(self) -> None:
        """The client has gone: there are answers that only make sense while somebody waits."""
        if (request := self.request) and request.needs_client:
            self._exchange.cancel()
            if self._streaming:
                self._streaming.end()

    # What the server asks of it

    def finish(self) -> None:
        """Answer the request that is under way or has begun to arrive, then close."""
        self._is_stopping = True
        if self._state is not _READING:
            return
        if self._reader.is_between_requests:
            self._close()
        elif self._is_body_timed:
            self._time_body()

    def abort(self) -> None:
        """Give up the request under way, and tell its client."""
        if self._state is _WAITING:
            self._give_up_waiting(CrowdedError())  # nothing was done: it may be sent again
        elif not self._exchange.cancel():
            self._transport.abort()

    # Requests and answers

    def _serve(self) -> None:
        """Answer what has arrived."""
        self._is_serving, is_others_turn = True, False
        try:
            is_others_turn = self._answer_in_turn()
        except RefusedError as refusal:
            limits = self._shared.settings.http2
            if limits and self._is_new and self._reader.unread.startswith(_HTTP2_HEAD):
                self._speak_http2(limits)
            else:
                self._refuse(refusal)
        finally:
            self._is_serving = False
        if is_others_turn:
            self._serve_later()

    def _answer_in_turn(self) -> bool:
        """Go on until an answer has to wait or nothing is left; True: there is more, but it is the others' turn."""
        reader, until = self._reader, 0.0
        while request := reader.next_request():
            if self._timer:
                self._stop_timer()
            if len(request.body) <= SMALL or self._may_answer(request):
                self._begin(request)
            if self._state is not _READING or self._is_full:
                if reader.held > SMALL:
                    self._hold_ahead()
                return False
            if reader.is_done():
                if not (self._client_ended or self._is_stopping or self._is_paused):
                    return False  # the usual: nothing was sent ahead, and no timer runs
                break
            if not until:
                until = request.ended + TURN
            elif request.ended > until:
                return True
        return self._await_more(reader, reader.is_between_requests)

    def _serve_later(self) -> None:
        """Go on when it is this connection's turn; what comes until then is not read."""
        self._is_serving = True
        self._pause_reading()
        self._shared.turns.wait(self._serve_on)

    def _serve_on(self) -> None:
        self._is_serving = False
        if self._state is _READING and not self._is_full:
            self._serve()

    def _refuse(self, refusal: RefusedError) -> None:
        self._transport.write(_REFUSAL.format(refusal.status, refusal.text).encode())
        self._linger()

    def _speak_http2(self, limits: Limits) -> None:
        """The client knows that HTTP/2 is spoken here, and has begun with it (RFC 9113, 3.3)."""
        begun = self._reader.unread
        self._resume_reading()  # the successor pauses it by itself
        successor = HttpOverHttp2Protocol(self._shared, limits)
        self._transport.set_protocol(successor)
        successor.connection_made(self._transport)
        self.connection_lost(None)
        if self._is_stopping:
            successor.finish()
        successor.data_received(begun)

    def _may_answer(self, request: Request) -> bool:
        """Whether there is memory for a large request that is whole."""
        self.request = request
        return self._may_go_on(self._shared.memory.ask, weight(request.body, JSON_PARTS), len(request.body))

    def _begin(self, request: Request) -> None:
        self.request = request
        request.peer = self._peer
        self._state = _ANSWERING
        self._exchange.begin(request)

    def answer(self, request: Request, response: Response) -> None:
        """Send the answer to the request under way, and go on."""
        self.request = None
        del self._exchange.request  # the connection may rest for long, and this holds the body
        if self._has_memory:
            self._give_back()
        if self._state is not _ANSWERING:  # the client has gone
            return
        self._state = _READING
        is_usual = request.is_plain and request.keep_alive  # and no HEAD, nor HTTP/1.0
        if is_usual and not self._is_stopping and len(response.body) <= LONG:
            self._transport.write(render(response, self._shared.date.at(request.ended)))
        else:
            self._send(request, response)
        if (
            not (self._is_serving or self._is_full)
            and self._state is _READING
            and (self._client_ended or self._is_stopping or self._is_paused or not self._reader.is_done())
        ):  # else nothing was sent ahead, and no timer runs
            self._serve()

    def _send(self, request: Request, response: Response) -> None:
        date = self._shared.date.at(request.ended)
        keep = request.keep_alive and not self._is_stopping
        connection = b""
        if not keep:
            connection = b"" if request.is_http10 and not request.keep_alive else _CLOSE
        elif request.is_http10:
            connection = _KEEP_ALIVE
        head = request.method == "HEAD"
        if isinstance(response.body, Streamed):
            head_of_it = stream_head(response, date, connection=connection or _CLOSE, is_http10=True)
            if not request.is_http10:
                head_of_it = stream_head(response, date, connection=connection)
            self._stream(request, head_of_it, response.body)
            return
        if len(response.body) > LONG and not head:
            self._send_long(
                len(response.body), pieces(response, date, connection=connection, is_http10=request.is_http10)
            )
        else:
            self._transport.write(render(response, date, connection=connection, is_http10=request.is_http10, head=head))
        if not keep:
            self._linger() if request.body_error or self._is_paused else self._close()

    def _stream(self, request: Request, head: bytes, body: Streamed) -> None:
        """The request is under way until the last piece is sent."""
        self._state, self.request = _ANSWERING, request
        is_chunked = not request.is_http10
        self._transport.write(head)

        def write(piece: bytes) -> bool:
            self._transport.write(chunk(piece) if is_chunked else piece)
            return not self._is_full

        def over(is_whole: bool) -> None:
            self._streaming = self.request = None
            if self._state is not _ANSWERING:  # the client has gone
                return
            if not is_whole:
                self._transport.abort()
                return
            self._state = _READING
            if is_chunked:
                self._transport.write(LAST_CHUNK)
            if not is_chunked or not request.keep_alive or self._is_stopping:
                self._close()
            elif not self._is_full:
                self._serve()

        self._streaming = Streaming(body, write, over)

    def _send_long(self, size: int, octets: Iterable[bytes]) -> None:
        """The transport holds the answer whole as long as one octet of it is left, and tells when none is."""
        self._long = size
        self._transport.set_write_buffer_limits(0)
        self._transport.writelines(octets)
        if not self._is_full:
            self._end_long()

    def _end_long(self) -> None:
        if self._long:
            self._long = 0
            self._transport.set_write_buffer_limits()

    def _await_more(self, reader: RequestReader[Request], is_between: bool) -> bool:
        """Nothing more can be answered now; True: but only because reading it takes more than a turn."""
        if self._client_ended or (self._is_stopping and is_between):  # of the former, what it began will never be whole
            self._linger() if self._is_paused else self._close()
        elif not is_between:
            if reader.is_cut:
                return True
            self._await_rest(reader)
        else:
            if self._timer and not self._is_new:
                self._stop_timer()
            if self._is_paused:
                self._resume_reading()
        return False

    def _await_rest(self, reader: RequestReader[Request]) -> None:
        """A request has begun, and is not whole."""
        times = self._shared.timeouts
        if reader.held > SMALL:
            reader.compact()
        if unfinished := reader.unfinished:
            received = reader.body_received
            if received > SMALL:
                self.request = unfinished
                if not self._may_go_on(self._shared.memory.arrive, received, reader.body_size - received):
                    return
                self.request = None
            if reader.expects_continue():
                self._transport.write(_CONTINUE)
            if not self._is_body_timed:
                self._time_body()
        elif not self._timer:  # a head, or before it what is left of a body that nobody is to see
            self._start_timer(times.head, self._close)
        self._resume_reading()

    def _time_body(self) -> None:
        times = self._shared.timeouts
        seconds = times.last_body if self._is_stopping else times.body
        self._start_timer(seconds, self._check_body, self._reader.body_received)
        self._is_body_timed = True

    def _check_body(self, received: int) -> None:
        """End a body that does not go on, or holds memory that others wait for and hardly goes on."""
        self._timer = None
        times, now = self._shared.timeouts, self._reader.body_received
        is_wanted = self._has_memory and self._shared.memory.is_wanted
        if now - received < (times.slowest_body if is_wanted else 1):
            self._refuse(RefusedError(_TIMEOUT))
        else:
            self._time_body()

    # Memory of the process

    def _may_go_on(self, ask: Callable[[Http1Protocol, int, int], bool], first: int, second: int) -> bool:
        """Whether there is memory for `self.request`; if not, it is refused, or waits for `on_memory`."""
        self._has_memory = True
        try:
            if ask(self, first, second):
                return True
        except CrowdedError:
            self._refuse_memory()
            return False
        self._state = _WAITING
        self._pause_reading()
        self._start_timer(self._shared.timeouts.memory, self._refuse_memory)
        return False

    def on_memory(self) -> None:
        """The request that waits may be answered, or read on."""
        if self._state is not _WAITING:
            return
        self._state = _READING
        self._stop_timer()
        request, self.request = self.request, None
        if request is self._reader.unfinished and not (self._reader.waiting or self._client_ended):
            self._time_body()
            self._resume_reading()
            return
        if request and request is not self._reader.unfinished:
            self._is_serving = True
            self._begin(request)
        self._serve_on()

    def on_standstill(self) -> None:
        """Others wait for what this request holds, and it does not go on."""
        if self._state is _READING and not (self._is_paused or self._is_serving or self._is_full):
            self._refuse(RefusedError(_TIMEOUT))

    def _refuse_memory(self) -> None:
        self._give_up_waiting(CrowdedError())

    def _give_up_waiting(self, error: BaseException) -> None:
        """Answer the request that waits for memory, whole or not."""
        self._stop_timer()
        if request := self.request:
            if request is self._reader.unfinished:
                request.keep_alive = False
                request.body_error = "incomplete"
                self._reader.drop()
            self._state = _ANSWERING
            self._exchange.refuse(request, error)

    def _hold_ahead(self) -> None:
        """More came than can be served now: no more is read, and what is here counts, or is dropped."""
        self._reader.compact()
        if self._state is _CLOSED or self._state is _LINGERING or self._reader.waiting <= SMALL:
            return
        self._pause_reading()
        try:
            self._shared.memory.keep(self, self._reader.waiting)
            self._has_memory = True
        except CrowdedError:
            self._reader.drop()
            self._client_ended = self._is_stopping = True

    def _give_back(self) -> None:
        self._has_memory = False
        self._shared.memory.give_back(self)

    # Its end

    def _close(self) -> None:
        self._state = _CLOSED
        self._stop_timer()
        self._reader.drop()
        self._watch_writing()
        self._transport.close()

    def _linger(self) -> None:
        """Close, but only after the client had a chance to read the answer."""
        self._state = _LINGERING
        self._stop_timer()
        self._reader.drop()
        self._give_back()
        self._resume_reading()
        if self._transport.can_write_eof():
            self._transport.write_eof()
        self._start_timer(self._shared.timeouts.linger, self._close)

    # What its client does not take, as the process's account asks for it

    @property
    def unsent(self) -> int:
        return max(self._long, self._transport.get_write_buffer_size())

    @property
    def taken(self) -> int:
        return -self._transport.get_write_buffer_size()  # while it is full, nothing more is written

    def end(self) -> None:
        reset(self._transport)

    # Reading, writing and their time limits

    def _pause_reading(self) -> None:
        if not self._is_paused:
            self._is_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._is_paused:
            self._is_paused = False
            self._transport.resume_reading()

    def _watch_writing(self) -> None:
        """Look after a while whether the client has taken anything of what waits for it."""
        if (waiting := self._transport.get_write_buffer_size()) and not self._stall:
            self._stall = WAITING.call_later(self._shared.timeouts.stall, self._check_writing, waiting)

    def _check_writing(self, waited: int) -> None:
        self._stall = None
        if self._transport.get_write_buffer_size() >= waited:
            self._transport.abort()
        else:
            self._watch_writing()

    def _start_timer(self, seconds: float, action: Callable[..., None], *arguments: int) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = WAITING.call_later(seconds, action, *arguments)

    def _stop_timer(self) -> None:
        self._is_new = self._is_body_timed = False
        if self._timer:
            self._timer.cancel()
            self._timer = None
