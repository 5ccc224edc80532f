"""HTTP/2 on the HTTP port: each stream is a request as HTTP/1.1 has them, and its answer; many at once."""

from __future__ import annotations

from asyncio import CancelledError
from copy import copy
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING
from dapr_state.serving.answer_memory import CrowdedError
from dapr_state.serving.http.exchange import Exchange
from dapr_state.serving.http.request import Request
from dapr_state.serving.http.response import TEXT, WITHOUT_LENGTH, Response
from dapr_state.serving.http.streaming import Streamed, Streaming
from dapr_state.serving.http2 import CHECK_INTERVAL, Http2Protocol
from dapr_state.serving.pieces import Pieces
from dapr_state.serving.request_memory import JSON_PARTS, SMALL, weight
from dapr_state.wire.http1.body import TOO_LARGE
from dapr_state.wire.http1.request import HEAD_TOO_LARGE, RefusedError, request_of
from dapr_state.wire.http2 import headers
from dapr_state.wire.http2.faults import ErrorCode

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Iterator

    from dapr_state.serving.http.shared import Shared
    from dapr_state.wire.http2.events import DataReceived, RequestReceived
    from dapr_state.wire.http2.headers import RequestHead
    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.limits import Limits
    from dapr_state.wire.http2.stream import Stream

    ParsedHeaders = Request | RefusedError  # what each request with these headers begins as

_now = WAITING.monotonic

LINE_OVERHEAD: Final = len(": \r\n")  # of each field, as HTTP/1.1 counts it
_CONTINUE: Final = headers.encode([(b":status", b"100")])


class HttpOverHttp2Protocol(Http2Protocol["ParsedHeaders"]):
    def __init__(self, shared: Shared, limits: Limits) -> None:
        super().__init__(self._parse, limits, shared.timeouts, shared.turns, shared.memory)
        self.shared = shared
        self.max_body = shared.settings.max_body
        self.client: object = None  # its address, where requests are to say it
        self._checking: asyncio.TimerHandle

    # What happens to the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.shared.names_peers:
            self.client = transport.get_extra_info("peername")
        self.shared.connections.add(self)
        self._check_later()

    def connection_lost(self, exc: Exception | None) -> None:
        self._checking.cancel()
        super().connection_lost(exc)
        self.shared.forget(self)

    def _check_later(self) -> None:
        self._checking = WAITING.call_later(CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        self._check_later()
        self.check_timeouts(_now())

    # What the server asks of it

    def finish(self) -> None:
        """Answer the requests that are under way or have begun to arrive, then close."""
        self.announce_shutdown()
        WAITING.call_later(self.timeouts.goaway, self.refuse_streams)

    def abort(self) -> None:
        """Give up the requests under way, and tell their client."""
        self.cancel_calls()

    # Requests

    def _parse(self, head: RequestHead[ParsedHeaders]) -> ParsedHeaders:
        """Read the head by the rules of HTTP/1.1: what is refused there is refused here, and the rest is the same."""
        if head.is_too_long:
            return RefusedError(HEAD_TOO_LARGE)
        fields = list(_http1_fields(head))
        size = sum(len(name) + len(value) + LINE_OVERHEAD for name, value in fields)
        if len(head.method) + len(head.path) + size > self.shared.settings.max_head:
            return RefusedError(HEAD_TOO_LARGE)
        try:
            return request_of(Request, head.method, head.path, fields)
        except RefusedError as refusal:
            return refusal.with_traceback(None)  # it is kept as long as the head is

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream
        parsed = stream.request.parsed
        if isinstance(parsed, RefusedError):
            status, _, _ = parsed.status.partition(" ")
            self.send(stream, Response(int(status), [TEXT], parsed.text.encode()))
            return
        request = copy(parsed)
        request.peer = self.client
        call = stream.call = Http2Exchange(self, stream, request)
        if event.ended:
            call.receive(event.data, event.ended)
        elif request.expect == "100-continue":
            self.connection.send_headers(stream, _CONTINUE)

    def _on_data(self, event: DataReceived) -> None:
        if event.stream.call is not None:
            event.stream.call.receive(event.data, event.ended)

    def send_head(self, stream: Stream[ParsedHeaders], response: Response) -> None:
        """Of an answer whose body is sent as it comes."""
        fields = _answer_fields(response, self.shared.date.at(_now()))
        block = headers.encode([each for each in fields if each[0] != b"content-length"])
        self.connection.send_headers(stream, block)
        self.flush_soon()

    def send(self, stream: Stream[ParsedHeaders], response: Response, *, head: bool = False) -> None:
        """Send a whole answer; `head`: without the body."""
        connection, body = self.connection, response.body
        block = headers.encode(_answer_fields(response, self.shared.date.at(_now())))
        if body and not head:
            connection.send_headers(stream, block)
            if isinstance(body, Pieces):
                for piece in body:
                    connection.send_data(stream, piece)
            elif isinstance(body, bytes):
                connection.send_data(stream, body)
            block = b""
        connection.send_trailers(stream, block)
        if len(body) > SMALL:
            self.count_unsent()
        self.flush_soon()


class Http2Exchange(Exchange):
    """One request, from its head to its answer."""

    __slots__ = (
        "_body",
        "_connection",
        "_has_memory",
        "_is_complete",
        "_is_over",
        "_is_waiting",
        "_memory",
        "_moved",
        "_stream",
        "_streaming",
    )

    def __init__(self, connection: HttpOverHttp2Protocol, stream: Stream[ParsedHeaders], request: Request) -> None:
        super().__init__(connection.shared)
        self._connection = connection
        self._stream = stream
        self.request = request
        self._body = bytearray()
        self._is_complete = False  # what more may come of the request means nothing
        self._is_over = False  # answered, or nobody waits for the answer
        self._memory = connection.shared.memory
        self._has_memory = False  # something of this request is on the process's account
        self._is_waiting = False  # for `on_memory`
        self._moved = connection.last_received  # when a piece of the body came
        self._streaming: Streaming | None = None  # an answer that is sent as it comes

    def cut(self) -> None:
        self._connection.end()

    def __repr__(self) -> str:
        return f"<Exchange {self.request!r}{' over' * self._is_over}>"

    def receive(self, data: bytes, ended: bool) -> None:
        """A piece of the body has come."""
        if self._is_complete:
            return
        body, limit = self._body, self._connection.max_body
        body += data
        self._moved = self._connection.last_received
        if len(body) <= limit and not ended:
            length = min(self._stream.request.content_length or limit, limit)
            if self._may_go_on(self._memory.arrive, len(body), length - len(body)):
                self._connection.connection.open_window(self._stream)
            return
        if len(body) > limit:
            del body[limit:]
            self.request.body_error = TOO_LARGE
        self.request.body = bytes(body)
        self._body = bytearray()
        self._is_complete = True
        if self._may_go_on(self._memory.ask, weight(self.request.body, JSON_PARTS), len(self.request.body)):
            self._connection.start(self)

    def _may_go_on(self, ask: Callable[[Http2Exchange, int, int], bool], here: int, other: int) -> bool:
        """Whether there is memory for it; if not, it is refused, or waits for `on_memory`."""
        if here <= SMALL:
            return True
        self._has_memory = True
        try:
            self._is_waiting = not ask(self, here, other)
        except CrowdedError:
            self._give_up(CrowdedError())
            return False
        return not self._is_waiting

    def on_memory(self) -> None:
        """The request that waits may be answered, or read on."""
        if self._is_over or not self._is_waiting:
            return
        self._is_waiting = False
        self._moved = _now()
        if self._is_complete:
            self._connection.start(self)
        else:
            self._connection.connection.open_window(self._stream)
        self._connection.flush_soon()

    def on_standstill(self) -> None:
        """Others wait for what this request holds, and it does not go on."""
        if not self._connection.is_held_up:
            self._time_out()

    def _give_back(self) -> None:
        if self._has_memory:
            self._has_memory = self._is_waiting = False
            self._memory.give_back(self)

    def check_body(self, now: float) -> None:
        """End a body that does not go on, or waits for memory for too long."""
        if self._is_waiting:
            if now - self._moved > self._connection.timeouts.memory:
                self._give_up(CrowdedError())
        elif not self._is_complete and self._connection.is_body_late(self._moved, now):
            self._time_out()

    def _time_out(self) -> None:
        self._is_complete = True
        self._body = bytearray()
        self.send(self.request, Response(408, [TEXT], b"408 Request Timeout"))

    def _give_up(self, error: BaseException) -> None:
        """Answer a request that is not begun, whole or not."""
        self._is_complete = True
        self._body = bytearray()
        self.request.body = b""
        self.refuse(self.request, error)

    def start(self) -> None:
        """Answer the request."""
        if not self._is_over:
            self.begin(self.request)

    def send(self, request: Request, response: Response) -> None:
        self._give_back()
        if self._is_over:
            self._connection.unwinding.discard(self)
            return
        if isinstance(response.body, Streamed):
            self._send_as_it_comes(response, response.body)
            return
        self._is_over = True
        self._stream.call = None
        self._connection.send(self._stream, response, head=request.method == "HEAD")

    def _send_as_it_comes(self, response: Response, body: Streamed) -> None:
        connection, stream = self._connection, self._stream
        connection.send_head(stream, response)

        def write(piece: bytes) -> bool:
            is_sent = connection.connection.send_data(stream, piece)
            connection.flush_soon()
            return is_sent

        def over(is_whole: bool) -> None:
            self._streaming = None
            if self._is_over:
                return
            self._is_over = True
            stream.call = None
            if is_whole:
                connection.connection.send_trailers(stream, b"")
            else:
                connection.connection.reset(stream, ErrorCode.INTERNAL_ERROR)
            connection.flush_soon()

        self._streaming = Streaming(body, write, over)

    def on_drained(self) -> None:
        """There is room for more of an answer that is sent as it comes; others are sent whole."""
        if self._streaming:
            self._streaming.go_on()

    def on_lost(self) -> None:
        """The client has given the request up, or is lost."""
        self._is_over = True
        self._stream.call = None
        if self._streaming:
            self._streaming.end()
        self._unwind()

    def on_shutdown(self) -> None:
        """The grace period is over."""
        if self._streaming:
            self._streaming.end()
        elif self._running:
            self.send(self.request, self.shared.failure(self.request, CancelledError()))
            self._unwind()
        else:  # nothing was done
            self._is_over = True
            self._give_back()
            self._connection.connection.reset(self._stream, ErrorCode.REFUSED_STREAM)

    def _unwind(self) -> None:
        if self._running:
            self._connection.unwinding.add(self)
            self.cancel()
        else:
            self._give_back()


def _http1_fields(head: RequestHead[ParsedHeaders]) -> Iterator[Field]:
    """The fields as HTTP/1.1 has them: the host, and one cookie line (RFC 9113, 8.2.3, 8.3.1)."""
    cookies = []
    if head.authority:
        yield b"host", head.authority
    for name, value in head.fields:
        if name == b"cookie":
            cookies.append(value)
        elif name != b"host" or not head.authority:
            yield name, value
    if cookies:
        yield b"cookie", b"; ".join(cookies)


def _answer_fields(response: Response, date: bytes) -> Iterator[Field]:
    """The answer's lines without those that belong to a connection of HTTP/1.1."""
    yield b":status", b"%d" % response.status
    for each in b"".join((*response.lines, date)).splitlines():
        name, _, value = each.partition(b":")
        name, value = name.lower(), value.strip(b" \t")
        if headers.sendable(name, value):
            yield name, value
    if response.status not in WITHOUT_LENGTH:
        yield b"content-length", b"%d" % len(response.body)
