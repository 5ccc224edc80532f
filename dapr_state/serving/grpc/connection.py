"""One connection of a client: moves bytes, notices a server that is silent, and tells calls what becomes of them.

Rules that a change must keep:
1. Each call that was begun hears of its end once, whatever becomes of the connection; a server that lives and takes
   nothing of a request, or does not let go of a connection that is over, is not waited for without end.
2. What all calls of a turn of the loop have to say leaves in one write.
3. What is more than its share of a turn waits until other connections have had theirs.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from msgspec import Struct

from dapr_state.clock import WAITING
from dapr_state.serving.http2 import SMALL
from dapr_state.wire.http2.client import ClientConnection
from dapr_state.wire.http2.events import DataReceived, Drained, HeadReceived, StreamReset
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.serving.turns import Turns
    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.stream import Stream

# As a server's `Timeouts.stall`, but sooner: what waits holds its caller's request, and others wait for that memory
STALL: Final = 20.0  # seconds in which a server takes something of a request that is not sent whole
LINGER: Final = 1.0  # seconds for what is still to be said when the connection ends
LATE: Final = 1.0  # seconds by which a timer may ring late; later than that it was this process that did not run
_PING: Final = b"\0keepali"
_LIMITS: Final = Limits()
_now = WAITING.monotonic


class Patience(Struct, frozen=True):
    """Seconds: of silence, until the server is asked whether it lives; for its answer; and without any call."""

    keepalive: float = math.inf
    answer: float = 5.0  # as daprd's
    idle: float = math.inf


class Call(Protocol):
    """One request, as the connection sees it."""

    stream: Stream[Any] | None

    def on_head(self, fields: Sequence[Field], *, ended: bool) -> None: ...

    def on_data(self, data: bytes, *, ended: bool) -> None: ...

    def on_drained(self) -> None:
        """All that was said has left."""

    def on_reset(self, code: int) -> None:
        """The server has ended it, or has never looked at it."""

    def on_lost(self, reason: str) -> None:
        """The connection is gone."""

    def on_stuck(self) -> None:
        """The server has taken nothing of it for long."""


class Connection(asyncio.Protocol):
    """`begin` calls while it `can_begin`; `on_room` is told when it can again, `on_lost` at its end."""

    def __init__(
        self, patience: Patience, turns: Turns, on_room: Callable[[], None], on_lost: Callable[[Connection], None]
    ) -> None:
        self.http2 = ClientConnection(_LIMITS)
        self.has_served = False  # it has answered, or was ended by this side before that
        self._patience = patience
        self._turns = turns
        self._on_room = on_room
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._loop = asyncio.get_running_loop()
        self._is_open = False
        self._is_paused = False
        self._is_flushing = False
        self._is_waiting = False  # for its turn to read on
        self._stuck: dict[int, int] = {}  # of streams: octets that waited at the last look
        self._look: asyncio.TimerHandle | None = None
        self._last_heard = self._last_call = _now()
        self._asked: float | None = None
        self._check_at = math.inf
        self._alarm: asyncio.TimerHandle | None = None
        self.reason = "EOF"  # why it ends

    def __repr__(self) -> str:
        return f"<Connection {'open' if self._is_open else 'closed'}, {self.http2!r}>"

    # Calls

    @property
    def can_begin(self) -> bool:
        return self._is_open and self.http2.can_open

    @property
    def is_over(self) -> bool:
        """It takes no calls any more, also when those under way have ended."""
        return not self._is_open or self.http2.refusing

    def begin(self, call: Call, block: bytes, body: bytes | None = None) -> None:
        """Send the head of a request, and its body if that is known."""
        stream = call.stream = self.http2.open(block, body)
        stream.call = call
        self._last_call = _now()
        self.flush_soon()

    def say(self, call: Call, data: bytes) -> bool:
        """Send more of a request; False if some of it waits until the call hears that it has drained."""
        is_sent = call.stream is None or self.http2.send_data(call.stream, data)
        self.flush_soon()
        return is_sent

    def said(self, call: Call) -> None:
        """The request is whole."""
        if call.stream is not None:
            self.http2.send_trailers(call.stream, b"")
            self.flush_soon()

    def heard(self, call: Call, unread: int) -> None:
        """Let the server say more; `unread` octets of what it has said nobody took yet."""
        if call.stream is not None:
            self.http2.open_window(call.stream, unread)
            self.flush_soon()

    def end(self, call: Call) -> None:
        """Nobody waits for the rest."""
        if call.stream is not None:
            self.http2.reset(call.stream, ErrorCode.CANCEL)
            self._over(call.stream)
            self.flush_soon()

    # What happens to the connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._is_open = True
        self._last_heard = _now()
        self.flush()
        self._check_later()

    def data_received(self, data: bytes) -> None:
        self._last_heard = _now()
        self._asked = None
        if self._is_waiting or (len(data) > SMALL and self._turns.are_waited_for):
            self.http2.keep(data)
            self._wait_for_turn()
        else:
            self._read(data)

    def _read(self, data: bytes = b"") -> None:
        http2 = self.http2
        before = http2.can_open, http2.refusing
        self._is_flushing = True  # at the end, once
        for event in http2.receive(data, _now()):
            self._take(event)
        if (http2.can_open, http2.refusing) != before:
            self._on_room()  # who waits goes here now, or over another connection
        self.flush()
        if http2.closed or (http2.refusing and not http2.streams):
            self._shut()
        elif http2.is_behind:
            self._wait_for_turn()

    def _wait_for_turn(self) -> None:
        """Read on when it is this connection's turn; what comes until then stays with the server."""
        if not self._is_waiting and not self._transport.is_closing():
            self._is_waiting = True
            self._transport.pause_reading()
            self._turns.wait(self._go_on)

    def _go_on(self) -> None:
        self._is_waiting = False
        if not self._is_paused:
            self._read_on()

    def _read_on(self) -> None:
        if self._is_waiting or self._transport.is_closing():
            return
        if self.http2.is_behind:
            self._read()
        if not self._is_waiting and not self._is_paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def pause_writing(self) -> None:
        self._is_paused = True
        self._transport.pause_reading()  # a server that only asks, and takes no answer

    def resume_writing(self) -> None:
        self._is_paused = False
        self.flush()
        self._read_on()

    def connection_lost(self, error: Exception | None) -> None:
        self._is_open = False
        for alarm in self._alarm, self._look:
            if alarm:
                alarm.cancel()
        self._lose(str(error) if error else self.reason)
        self._on_lost(self)

    def _lose(self, reason: str) -> None:
        """Nothing comes any more for those that are under way."""
        for stream in list(self.http2.streams.values()):
            stream.gone = True
            _call(stream).on_lost(reason)
        self.http2.streams.clear()

    def _shut(self) -> None:
        """It is over: it ends when what was said has left, or without that."""
        self._lose(self.reason)
        self._transport.close()
        if self._alarm:
            self._alarm.cancel()
        self._alarm = WAITING.call_later(LINGER, self._transport.abort)

    def close(self) -> None:
        """Take no more calls, and end when those under way have."""
        self.http2.refusing = self.has_served = True
        if self._is_open and not self.http2.streams:
            self._shut()

    def abort(self, reason: str) -> None:
        self.reason = reason
        if self._is_open:
            self._transport.abort()

    # Events → calls

    def _take(self, event: Any) -> None:
        match event:
            case HeadReceived(stream, fields, ended):
                self._last_call = self._last_heard
                self.has_served = True
                _call(stream).on_head(fields, ended=ended)
            case DataReceived(stream, data, ended):
                _call(stream).on_data(data, ended=ended)
            case StreamReset(stream, code):
                ended = True
                _call(stream).on_reset(code)
            case Drained(stream):
                _call(stream).on_drained()
                return
            case _:
                self.reason = str(event.fault)
                return
        if ended:
            self._over(stream)

    def _over(self, stream: Stream[Any]) -> None:
        call = _call(stream)
        if call.stream is stream:  # else it has been begun anew, on another one
            call.stream = None
        self._last_call = _now()
        self._on_room()
        if self._is_open and self.http2.refusing and not self.http2.streams:
            self._shut()

    # Output

    def flush_soon(self) -> None:
        if not self._is_flushing:
            self._is_flushing = True
            self._loop.call_soon(self.flush)

    def flush(self) -> None:
        self._is_flushing = False
        while self._is_open and not self._is_paused and (output := self.http2.take_output()):
            self._transport.write(output)
            for event in self.http2.take_events():
                self._take(event)
        if self._look is None and self._is_open and self.http2.backlog:
            self._look = WAITING.call_later(STALL, self._look_for_stuck)

    # Time

    def _look_for_stuck(self) -> None:
        """End the calls of whose requests nothing has left since the last look."""
        self._look = None
        waiting = {number: stream.queued for number, stream in self.http2.streams.items() if stream.queue}
        for number in [number for number, octets in waiting.items() if self._stuck.get(number) == octets]:
            del waiting[number]
            if stream := self.http2.streams.get(number):
                _call(stream).on_stuck()
        self._stuck = waiting
        if waiting and self._is_open:
            self._look = WAITING.call_later(STALL, self._look_for_stuck)

    def _check_later(self) -> None:
        patience = self._patience
        at = min(
            self._last_heard + patience.keepalive if self._asked is None else self._asked + patience.answer,
            math.inf if self.http2.streams else self._last_call + patience.idle,
        )
        if self.http2.streams and patience.idle < math.inf:
            at = min(at, _now() + patience.idle)
        self._check_at = at
        if at < math.inf:
            self._alarm = WAITING.call_later(max(0.0, at - _now()), self._check)

    def _check(self) -> None:
        now, patience = _now(), self._patience
        is_late = now - self._check_at > LATE
        if self._asked is not None and now - self._asked >= patience.answer:
            if not is_late:
                self.abort("keepalive ping failed to receive ACK within timeout")
                return
            self._asked = now  # what has come meanwhile is read first
        elif not self.http2.streams and now - self._last_call >= patience.idle:
            self.close()
            return
        elif self._asked is None and now - self._last_heard >= patience.keepalive:
            self._asked = now
            self.http2.ping(_PING)
            self.flush()
        self._check_later()


def _call(stream: Stream[Any]) -> Call:
    return cast("Call", stream.call)
