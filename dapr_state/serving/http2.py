"""One HTTP/2 connection on asyncio: moves bytes, bounds what waits, and ends what hangs; a subclass gives the answers.

All frames of one `data_received` are read before anything is answered, and all answers of one turn of the loop leave in
one write. Memory is bounded on the way out as well: while the socket takes nothing more, nothing is read either; while
answers wait for the peer's windows, its further requests are held.
No connection has more than its share of a turn of the loop: so many frames are read (`Limits.turn`), and for so long
calls are begun (`TURN`). What is left waits for another turn (turns.py), and meanwhile nothing more is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, Generic, TypeVar, cast
from urllib.parse import quote

from dapr_state.clock import WAITING
from dapr_state.serving.answer_memory import SMALL as UNTAKEN
from dapr_state.serving.answer_memory import reset
from dapr_state.wire.http2.connection import Http2Connection
from dapr_state.wire.http2.events import ConnectionFailed, DataReceived, Drained, Event, RequestReceived, StreamReset
from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Protocol

    from dapr_state.serving.request_memory import RequestMemory
    from dapr_state.serving.timeouts import Timeouts
    from dapr_state.serving.turns import Turns
    from dapr_state.wire.http2.headers import RequestHead
    from dapr_state.wire.http2.limits import Limits
    from dapr_state.wire.http2.stream import Stream

    class Call(Protocol):
        """The work that one request asks for, as the connection sees it."""

        def start(self) -> None:
            """Begin it."""

        def on_drained(self) -> None:
            """The peer has taken all that was written."""

        def on_lost(self) -> None:
            """The stream is gone: the peer has cancelled, or is lost."""

        def on_shutdown(self) -> None:
            """The grace period is over."""

        def check_body(self, now: float) -> None:
            """End the call if its request does not go on. Called about every second."""


log = logging.getLogger("dapr.http2")
monotonic = WAITING.monotonic

M = TypeVar("M")

# Seconds of a turn of the loop in which a connection may begin calls: how long each takes, nobody knows beforehand.
TURN: Final = 0.003
# Who sends less at once is read at once, also while others have more to do than fits in a turn.
SMALL: Final = 4_096
CHECK_INTERVAL: Final = 1.0  # seconds between two looks at a connection: below any time limit worth setting
_KEEPALIVE_PING: Final = b"\0keepali"


class Http2Protocol(asyncio.Protocol, Generic[M]):
    """A stream's `call` is told what becomes of it; `M` is what a request's headers mean to the subclass."""

    def __init__(
        self,
        parse: Callable[[RequestHead[M]], M],
        limits: Limits,
        timeouts: Timeouts,
        turns: Turns,
        memory: RequestMemory,
    ) -> None:
        self.loop = asyncio.get_running_loop()
        self.connection: Http2Connection[M] = Http2Connection(parse, limits, memory.heads)
        self.unwinding: set[Any] = set()  # calls that are over, but whose coroutine has not ended yet
        self.peer = ""
        self.timeouts = timeouts
        self._most_calls = limits.max_concurrent_streams
        self._backlog_limit = limits.backlog
        self._transport: asyncio.Transport
        self._held: deque[Call] = deque()  # calls that may begin once the backlog is smaller, or in another turn
        self._turns = turns
        self._answers = memory.answers
        self._is_counted = False  # on that account
        self._written = 0  # octets, to the transport
        self._is_waiting = False  # for its turn
        self._turn_ends = 0.0
        self._flush_scheduled = False
        self._paused = False
        self._closing = False
        self._lingering: asyncio.TimerHandle | None = None  # all is said: the peer is to close
        now = monotonic()
        self.last_received = now  # octets came
        self._last_call = now  # a stream was open
        self._opened = 0  # streams, at the last look
        self._leaving: float | None = None  # since then the peer knows that nobody uses the connection
        self._ending: float | None = None  # since then the server ends
        self._last_moved = now  # no output was stuck, or some of it left
        self._stuck_at = 0
        self._ping_sent: float | None = None

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.peer} {self.connection!r}>"

    # Transport → protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self.peer = _peer(self._transport)

    def data_received(self, data: bytes) -> None:
        if self._lingering is not None:
            return
        self.last_received = monotonic()
        if self._turns.are_waited_for and (self._is_waiting or len(data) > SMALL):
            self.connection.keep(data)
            self._wait_for_turn()
        else:
            self._take_turn(data)

    def _take_turn(self, data: bytes) -> None:
        now = monotonic()
        self._turn_ends = now + TURN
        self._flush_scheduled = True  # at the end, once
        self._handle(self.connection.receive(data, now))
        self.flush()

    def _wait_for_turn(self) -> None:
        """Go on when it is this connection's turn; what comes until then stays with the peer."""
        if self._is_waiting or self._closing:
            return
        self._is_waiting = True
        self._transport.pause_reading()
        self._turns.wait(self._go_on)

    def _go_on(self) -> None:
        self._is_waiting = False
        if self._closing or self._lingering is not None or self._transport.is_closing():
            return
        self._read_if_possible()
        if self._held and self.connection.backlog <= self._backlog_limit:  # they came first
            self._turn_ends = monotonic() + TURN
            self.flush()
        elif not self._paused:
            self._take_turn(b"")

    def _read_if_possible(self) -> None:
        if not (self._paused or self._is_waiting):
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        return False  # a client that says no more hears no more: close

    def pause_writing(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._read_if_possible()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - every loss is the same to the calls
        self._closing = True
        self._answers.forget(self)
        if self._lingering is not None:
            self._lingering.cancel()
        self._held.clear()
        for stream in list(self.connection.streams.values()):
            self._lose(stream)
        self.connection.forget()

    # Events → calls

    def _on_request(self, event: RequestReceived) -> None:
        raise NotImplementedError

    def _on_data(self, event: DataReceived) -> None:
        raise NotImplementedError

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is RequestReceived:
                if self.unwinding and self._too_many_calls():
                    # streams that are gone may have left calls that still end: they count (CVE-2025-8671)
                    self.connection.reset(event.stream, ErrorCode.REFUSED_STREAM)
                else:
                    self._on_request(event)
            else:
                self._HANDLERS[type(event)](self, event)

    def _on_any_data(self, event: DataReceived) -> None:
        if not event.stream.gone:
            self._on_data(event)

    def _on_reset(self, event: StreamReset) -> None:
        self._lose(event.stream)

    def _on_drained(self, event: Drained) -> None:
        if event.stream.call is not None:
            event.stream.call.on_drained()

    def _on_failure(self, event: ConnectionFailed) -> None:
        log.info("%s: connection ended: %s", self.peer, event.fault)
        self._closing = True

    def _lose(self, stream: Stream[M]) -> None:
        stream.gone = True
        if stream.call is not None:
            stream.call.on_lost()

    def _too_many_calls(self) -> bool:
        return len(self.connection.streams) + len(self.unwinding) > self._most_calls

    def start(self, call: Call) -> None:
        """Begin a call's work now, or in another turn, or once the peer has taken what waits for it."""
        # `_may_start`, without a call for each request
        if self._held or self.connection.backlog > self._backlog_limit or monotonic() >= self._turn_ends:
            self._held.append(call)
        else:
            call.start()

    def _may_start(self) -> bool:
        return self.connection.backlog <= self._backlog_limit and monotonic() < self._turn_ends

    # Output

    def flush_soon(self) -> None:
        """Write what is to be written once this turn of the loop is over."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the socket takes, and begin the calls that waited for that."""
        connection, transport = self.connection, self._transport
        if transport.is_closing() or self._lingering is not None:
            return
        self._flush_scheduled = True
        while not self._paused:
            while self._held and self._may_start():
                self._held.popleft().start()
            output = connection.take_output()
            if not output:
                break
            transport.write(output)
            self._written += len(output)
            events = connection.take_events()
            if events:
                self._handle(events)
        self._flush_scheduled = False
        if self._is_counted or self._paused or connection.backlog > UNTAKEN:
            self.count_unsent()
        if self._closing or (connection.refusing and not connection.streams and not connection.backlog):
            self._close()
        elif not self._paused and (connection.is_behind or (self._held and connection.backlog <= self._backlog_limit)):
            self._wait_for_turn()

    # What its client does not take, as the process's account asks for it

    @property
    def unsent(self) -> int:
        return self.connection.backlog + self._transport.get_write_buffer_size()

    @property
    def taken(self) -> int:
        return self._written - self._transport.get_write_buffer_size()

    def count_unsent(self) -> None:
        self._is_counted = self._answers.count(self)

    def end(self) -> None:
        self._is_counted = False
        reset(self._transport)

    def _close(self) -> None:
        """Say that nothing more will come, and close when the peer does, or a moment later."""
        self._lingering = WAITING.call_later(self.timeouts.linger, self._transport.close)
        if self._transport.can_write_eof():  # TLS says it by closing
            self._transport.write_eof()

    # Time

    def check_timeouts(self, now: float) -> None:
        """Called about every second: end what hangs, and ask those that are silent whether they live."""
        times, connection = self.timeouts, self.connection
        if connection.streams or connection.opened != self._opened:
            self._last_call, self._opened = now, connection.opened
        self._check_bodies(now)
        backlog = connection.backlog + self._transport.get_write_buffer_size()
        if not backlog or backlog < self._stuck_at:
            self._last_moved = now
        self._stuck_at = backlog
        if self._ping_sent is not None and self.last_received >= self._ping_sent:
            self._ping_sent = None
        if self._ping_sent is not None and now - self._ping_sent > times.keepalive_answer:
            self._transport.abort()
        elif not connection.greeted and now - self._last_call > times.head:
            self._end("no HTTP/2 was spoken")
        elif now - self._last_moved > times.stall:
            self._end("the peer takes nothing of what waits for it")
            self._transport.abort()
        elif now - self._last_call > times.idle and not connection.refusing:
            self._leave(now)
        elif now - self.last_received > times.keepalive and self._ping_sent is None:
            self._ping_sent = now
            connection.ping(_KEEPALIVE_PING)
            self.flush()

    @property
    def is_held_up(self) -> bool:
        """It is this side that does not go on."""
        return self._paused or self._is_waiting

    def is_body_late(self, moved: float, now: float) -> bool:
        """Whether a body of which nothing has come since `moved` is to be ended."""
        if self._ending is None:
            return now - moved > self.timeouts.body
        return now - max(moved, self._ending) > self.timeouts.last_body

    def _check_bodies(self, now: float) -> None:
        if self.is_held_up:
            return
        for stream in list(self.connection.streams.values()):
            if stream.call is not None:
                stream.call.check_body(now)

    def _leave(self, now: float) -> None:
        """Close in two steps: what the peer sends until it hears of the first is answered (RFC 9113, section 6.8)."""
        if self._leaving is None:
            self._leaving = now
            self.connection.announce_shutdown()
        elif now - self._leaving > self.timeouts.keepalive_answer:
            self.connection.refuse_streams()
        self.flush()

    def _end(self, reason: str) -> None:
        self._handle(self.connection.fail(ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, reason)))
        self.flush()

    # The server's end: called from its task, in which no call may take a step, so the flush comes later

    def announce_shutdown(self) -> None:
        self._ending = monotonic()
        self.connection.announce_shutdown()
        self.flush_soon()

    def refuse_streams(self) -> None:
        if not self.connection.refusing:
            self.connection.refuse_streams()
        self.flush_soon()

    def refuse_at_once(self) -> None:
        """Close before anything is read: this peer may not come in."""
        self.connection.closed = True
        self._transport.abort()

    def close_at_once(self) -> None:
        """Close at once, whatever is under way."""
        self._transport.abort()

    def cancel_calls(self) -> None:
        """End every call at once, with an answer that says why, and the connection with them."""
        for stream in list(self.connection.streams.values()):
            if stream.call is not None:
                stream.call.on_shutdown()
            else:
                self.connection.reset(stream, ErrorCode.REFUSED_STREAM)
        self._closing = True
        self.flush_soon()

    _HANDLERS: ClassVar[Mapping[type, Any]] = {
        DataReceived: _on_any_data,
        StreamReset: _on_reset,
        Drained: _on_drained,
        ConnectionFailed: _on_failure,
    }


def _peer(transport: asyncio.Transport) -> str:
    """The peer as gRPC writes it."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return f"unix:{name or ''}"
    host, port, *ipv6 = name
    return f"ipv6:{quote(f'[{host}]')}:{port}" if ipv6 else f"ipv4:{host}:{port}"
