"""The server's side of an HTTP/2 connection: bytes in, events and bytes out (RFC 9113).

Rules that a change must respect:
1. No I/O and no clock: bytes and the time come in as arguments; what must be written is fetched with `take_output`.
2. All that a peer can say is in a table: which reader takes a frame (end of this file), which sizes and streams a
   frame may have (frames.py), and what a frame means on a stream that did not expect it (stream.py).
3. Whatever the peer does, memory is bounded by `Limits`, and the only exceptions inside are `StreamFault` and
   `ConnectionFault`; none leaves `receive`.
4. What most requests take - one HEADERS, one DATA, an answer that fits the windows - creates one stream and one event.

It is longer than most modules: the readers share one state, and are best read beside their tables. The sending half is
in sending.py.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.events import ConnectionFailed, DataReceived, Event, RequestReceived, StreamReset
from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode, StreamFault
from dapr_state.wire.http2.frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    PADDED,
    PREFACE,
    PREFIX,
    PREFIX_SIZE,
    PRIORITY,
    STREAM_MASK,
    FrameType,
    Setting,
)
from dapr_state.wire.http2.headers import HeaderBlocks, HeadMemory, RequestHead
from dapr_state.wire.http2.limits import IDLE_FRAMES_PER_STREAM, SENT_PER_UPDATE, Limits, TokenBucket, Turn
from dapr_state.wire.http2.sending import Sender, opened
from dapr_state.wire.http2.stream import STRAYS, State, Stream

if TYPE_CHECKING:
    from collections.abc import Callable

M = TypeVar("M")
Reader = "Callable[[Http2Connection[Any], int, int, bytes], None]"

# How many gaps in the numbers of streams are remembered: only an error's code depends on it.
REMEMBERED_GAPS: Final = 1_000
# Work beyond a frame's own, in the unit of `Limits.turn`: a stream is opened; a stream is reset for a fault
OPENING: Final = 3
RESETTING: Final = 3  # in the same unit
_SHUTDOWN_PING: Final = b"shutdown"


class _Block:
    """A header block whose end has not arrived."""

    __slots__ = ("continuations", "dependency", "flags", "octets", "stream_id")

    def __init__(self, flags: int, stream_id: int, dependency: int, start: bytes) -> None:
        self.flags = flags
        self.stream_id = stream_id
        self.dependency = dependency
        self.octets = bytearray(start)
        self.continuations = 0

    def add(self, payload: bytes, limits: Limits) -> None:
        self.octets += payload
        self.continuations += 1
        if self.continuations > limits.continuations or len(self.octets) > limits.longest_list:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too long")


def _count_content(stream: Stream[Any], size: int) -> None:
    """Section 8.1.1: content-length, where it is given, is what the DATA frames add up to."""
    stream.received += size
    expected = stream.request.content_length or 0
    if stream.received > expected or (stream.ended and stream.received != expected):
        raise StreamFault(ErrorCode.PROTOCOL_ERROR, "content-length does not match the content")


def _table(readers: dict[FrameType, Any], other: Any) -> tuple[Any, ...]:
    """A reader for each of the 256 types."""
    return tuple(readers.get(kind, other) for kind in range(256))  # type: ignore[call-overload]


class Http2Connection(Sender[M]):
    """`receive` bytes and act on its events; send; `take_output` and write it: that is the whole conversation."""

    def __init__(self, parse: Callable[[RequestHead[M]], M], limits: Limits, memory: HeadMemory | None = None) -> None:
        super().__init__(memory or HeadMemory())
        self.limits = limits
        self.is_behind = False  # frames have come that wait for another turn
        self.closed = False  # by a fault: nothing more is read
        self.refusing = False  # new streams: the peer has been told the last one that counts
        self._turn = Turn()
        self._headers = HeaderBlocks[M](parse, limits, self._turn, self._memory)
        self._known = self._headers.known  # asked here first: most requests need no call
        self._readers = self._FIRST
        self._preface = PREFACE  # what is still to come of it
        self._kept = b""  # for another turn
        self._unread = b""
        self._now = 0.0
        self._block: _Block | None = None
        self._last_stream = 0
        self.opened = 0  # streams, counted up
        self._gaps: list[int] = []  # in the numbers of streams: first, first after, first, first after ...
        self._granted = DEFAULT_WINDOW  # octets that the peer has ever let through, all streams together
        self._resets = TokenBucket(limits.resets, limits.resets_per_second)
        self._idle_frames = TokenBucket(limits.idle_frames, limits.idle_frames_per_second)
        self._receive_window = limits.connection_window
        self._greet()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "refusing" if self.refusing else "open"
        return f"<Http2Connection {state}, {len(self.streams)} streams, {self.backlog} octets to send>"

    @property
    def greeted(self) -> bool:
        """Whether the peer's first SETTINGS have arrived."""
        return self._readers is not self._FIRST

    def _greet(self) -> None:
        self._send(
            frames.settings(
                (
                    (Setting.MAX_CONCURRENT_STREAMS, self.limits.max_concurrent_streams),
                    (Setting.MAX_HEADER_LIST_SIZE, self.limits.max_header_list_size),
                )
            )
        )
        if self.limits.connection_window > DEFAULT_WINDOW:
            self._send(frames.window_update(0, self.limits.connection_window - DEFAULT_WINDOW))

    # Receiving

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Read whole frames, as many as one turn allows; keep the rest. Returns what happened, in its order."""
        self._now = now
        self._turn.left = self.limits.turn
        if self._kept:
            data, self._kept = self._kept + data, b""
        try:
            if self._preface:
                data = self._read_preface(data)
            if not self.closed:
                self._read_frames(data)
        except ConnectionFault as fault:
            self._fail(fault)
        return self.take_events()

    def keep(self, data: bytes) -> None:
        """Take bytes that are to be read in another turn, by a `receive` of whatever comes next."""
        self._kept += data
        self.is_behind = True

    def forget(self) -> None:
        """The connection is over: the memory that its heads took is another's to use."""
        self._headers.forget()
        for stream in list(self.streams.values()):
            self._close(stream)

    def _read_preface(self, data: bytes) -> bytes:
        size = min(len(data), len(self._preface))
        if data[:size] != self._preface[:size]:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "not the preface of HTTP/2")
        self._preface = self._preface[size:]
        return data[size:]

    def _read_frames(self, data: bytes) -> None:
        buffer = self._unread + data if self._unread else data
        position, end = 0, len(buffer)
        turn = self._turn
        while end - position >= PREFIX_SIZE and turn.left > 0:
            size_and_kind, flags, stream_id = PREFIX.unpack_from(buffer, position)
            size = size_and_kind >> 8
            if size > MAX_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame too large")
            start = position + PREFIX_SIZE
            stop = start + size
            if stop > end:
                break
            position = stop
            turn.left -= 1
            stream_id &= STREAM_MASK
            try:
                self._readers[size_and_kind & 255](self, flags, stream_id, buffer[start:stop])
            except StreamFault as fault:
                self._reset_for(stream_id, fault.code)
        self._unread = buffer[position:]
        self.is_behind = turn.left <= 0 and end - position >= PREFIX_SIZE

    def _read_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        size = len(payload)
        self._turn.left -= size >> 7  # what is read is handed on, and costs more the longer it is
        # Whatever comes is passed on at once and credited; what bounds memory is the window of each stream.
        self._receive_window -= size
        if self._receive_window < self.limits.connection_window >> 1:
            self._renew_connection_window()
        stream = self.streams.get(stream_id)
        if stream is None or stream.ended:
            self._stray(FrameType.DATA, stream_id, payload)
            return
        stream.receive_window -= size
        if stream.receive_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window allows")
        if flags & PADDED:
            payload = frames.without_padding(payload)
        if flags & END_STREAM:
            stream.ended = True
        elif not payload:
            self._spend_idle_frame()
        if stream.request.content_length is not None:
            _count_content(stream, len(payload))
        events = self._events
        if stream.ended and events and type(opening := events[-1]) is RequestReceived and opening.stream is stream:
            opening.data, opening.ended = payload, True
        else:
            events.append(DataReceived(stream, payload, stream.ended))

    def _read_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags | END_STREAM == END_HEADERS | END_STREAM:  # whole, without padding or priority: as clients send them
            if stream_id > self._last_stream and stream_id & 1:
                self._open(flags, stream_id, 0, payload)
            else:
                self._read_block(flags, stream_id, 0, payload)
            return
        dependency = 0
        if flags & PADDED:
            payload = frames.without_padding(payload)
        if flags & PRIORITY:
            dependency = frames.dependency(payload)
            payload = payload[5:]
        if flags & END_HEADERS:
            self._read_block(flags, stream_id, dependency, payload)
            return
        frames.check_shape(FrameType.HEADERS, stream_id, payload)
        self._block = _Block(flags, stream_id, dependency, payload)
        self._readers = self._INSIDE_BLOCK

    def _read_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        block = self._block
        if block is None or stream_id != block.stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
        block.add(payload, self.limits)
        if not flags & END_HEADERS:
            return
        self._block = None
        self._readers = self._ANY
        self._read_block(block.flags, stream_id, block.dependency, bytes(block.octets))

    def _interrupts_block(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block")

    def _read_block(self, flags: int, stream_id: int, dependency: int, block: bytes) -> None:
        if stream_id > self._last_stream and stream_id & 1:
            self._open(flags, stream_id, dependency, block)
            return
        stream = self.streams.get(stream_id)
        if stream is None or stream.ended:
            self._headers.skip(block)
            self._stray(FrameType.HEADERS, stream_id, block)
            return
        self._headers.trailers(block)
        if not flags & END_STREAM:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "trailers that do not end the stream")
        stream.ended = True
        if stream.request.content_length is not None:
            _count_content(stream, 0)
        self._events.append(DataReceived(stream, b"", ended=True))

    def _open(self, flags: int, stream_id: int, dependency: int, block: bytes) -> None:
        if stream_id - self._last_stream > 2:  # noqa: PLR2004 - a client's streams are 1, 3, 5 …
            self._gaps += (self._last_stream + 1, stream_id)
            if len(self._gaps) > 2 * REMEMBERED_GAPS:
                del self._gaps[:2]
        self._last_stream = stream_id
        request = self._known.get(block) or self._headers.request(block)
        if dependency == stream_id:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")
        if self.refusing or len(self.streams) >= self.limits.max_concurrent_streams:
            raise StreamFault(ErrorCode.REFUSED_STREAM, "too many streams, or shutting down")
        if request.size and not self._memory.open(request.size):
            raise StreamFault(ErrorCode.REFUSED_STREAM, "too many large heads")
        self.opened += 1
        self._turn.left -= OPENING
        stream = self.streams[stream_id] = Stream(stream_id, request, self._initial_send_window)
        if flags & END_STREAM:
            stream.ended = True
            if request.content_length is not None:
                _count_content(stream, 0)
        self._events.append(RequestReceived(stream, stream.ended))

    def _read_priority(self, _flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.PRIORITY, stream_id, payload)
        self._spend_idle_frame()
        if frames.dependency(payload) == stream_id:
            raise StreamFault(ErrorCode.PROTOCOL_ERROR, "a stream that depends on itself")

    def _read_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.RST_STREAM, stream_id, payload)
        stream = self.streams.get(stream_id)
        if stream is None:
            self._stray(FrameType.RST_STREAM, stream_id, payload)
            return
        self._spend_reset()
        self._close(stream)
        self._events.append(StreamReset(stream, frames.word(payload)))

    def _read_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.SETTINGS, stream_id, payload)
        self._spend_idle_frame()
        self._readers = self._ANY
        if flags & ACK:
            if payload:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "SETTINGS that acknowledge and set")
            return
        window = self._initial_send_window
        for setting, value in frames.settings_in(payload):
            allowed = frames.SETTING_RANGES.get(setting)  # type: ignore[call-overload] # unknown numbers are ignored
            if allowed and not allowed.least <= value <= allowed.most:
                raise ConnectionFault(allowed.fault, f"setting {setting} of {value}")
            if setting == Setting.INITIAL_WINDOW_SIZE:
                window = value
        # once a frame, not once a setting: with many settings and streams that would be much work for few octets
        self._turn.left -= (len(payload) >> 5) + (len(self.streams) >> 4)
        self._change_initial_window(window)
        self._send(frames.frame(FrameType.SETTINGS, ACK, 0))

    def _read_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE from a client")

    def _read_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.PING, stream_id, payload)
        self._spend_idle_frame()
        if not flags & ACK:
            self._send(frames.ping(payload, ACK))
        elif payload == _SHUTDOWN_PING and not self.refusing:
            self.refuse_streams()

    def _read_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        # The peer opens no more streams; those that are open go on (section 6.8).
        frames.check_shape(FrameType.GOAWAY, stream_id, payload)
        self._spend_idle_frame()

    def _read_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.WINDOW_UPDATE, stream_id, payload)
        increment = frames.word(payload) & STREAM_MASK
        if not stream_id:
            self._spend_idle_frame()
            self._send_window = opened(self._send_window, increment, ConnectionFault)
            self._granted += increment
            return
        stream = self.streams.get(stream_id)
        if stream is None:
            self._stray(FrameType.WINDOW_UPDATE, stream_id, payload)
            return
        self._spend_idle_frame()
        stream.send_window = opened(stream.send_window, increment, StreamFault)
        self._ready_if_possible(stream)

    def _read_unknown(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        self._spend_idle_frame()  # section 4.1: unknown types are ignored

    def _expects_settings(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame must be SETTINGS")

    def _stray(self, kind: FrameType, stream_id: int, payload: bytes) -> None:
        """Judge a frame on a stream that is not open for it."""
        frames.check_shape(kind, stream_id, payload)
        self._spend_idle_frame()
        state = self._state(stream_id)
        verdict = STRAYS[kind][state]
        if verdict is not None:
            fault, code = verdict
            raise fault(code, f"{kind.name} on stream {stream_id}: {state.value}")

    def _state(self, stream_id: int) -> State:
        if stream_id in self.streams:
            return State.HALF_CLOSED
        if stream_id in self._reset:
            return State.RESET
        if not stream_id & 1 or stream_id > self._last_stream:
            return State.IDLE
        is_in_gap = bisect_right(self._gaps, stream_id) & 1
        return State.SKIPPED if is_in_gap else State.ENDED

    def _spend_idle_frame(self) -> None:
        sent = self._granted - self._send_window
        earned = self.earned + self.opened * IDLE_FRAMES_PER_STREAM + sent // SENT_PER_UPDATE
        if not self._idle_frames.spend(self._now, earned):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    def _spend_reset(self) -> None:
        if not self._resets.spend(self._now, self.earned):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many streams reset")

    # Windows

    def open_window(self, stream: Stream[M], unread: int = 0) -> None:
        """Let the peer send more. `unread`: octets nobody took yet."""
        if stream.ended or stream.gone:
            return
        increment = DEFAULT_WINDOW - unread - stream.receive_window
        if increment >= DEFAULT_WINDOW >> 1:
            stream.receive_window += increment
            self._send(frames.window_update(stream.id, increment))

    def _renew_connection_window(self) -> None:
        self._send(frames.window_update(0, self.limits.connection_window - self._receive_window))
        self._receive_window = self.limits.connection_window

    # The end

    def announce_shutdown(self) -> None:
        """Ask the peer to open no more streams; those under way when it hears it are still answered (section 6.8)."""
        self._send(frames.goaway(MAX_WINDOW, ErrorCode.NO_ERROR))
        self._send(frames.ping(_SHUTDOWN_PING))

    def refuse_streams(self) -> None:
        """Name the last stream that will be answered."""
        self.refusing = True
        self._send(frames.goaway(self._last_stream, ErrorCode.NO_ERROR))

    def fail(self, fault: ConnectionFault) -> list[Event]:
        """End the connection for a reason that only the layer above can know."""
        self._fail(fault)
        return self.take_events()

    def _fail(self, fault: ConnectionFault) -> None:
        if self.closed:
            return
        self.closed = True
        self.is_behind = False
        self._unread = b""
        self._send(frames.goaway(self._last_stream, fault.code, fault.reason))
        for stream in list(self.streams.values()):
            self._close(stream)
            self._events.append(StreamReset(stream, fault.code))
        self._events.append(ConnectionFailed(fault))

    def _reset_for(self, stream_id: int, code: ErrorCode) -> None:
        """Reset a stream for the peer's fault."""
        self._turn.left -= RESETTING
        self._spend_reset()
        stream = self.streams.get(stream_id)
        if stream is not None:
            self._close(stream)
            self._events.append(StreamReset(stream, code))
        self._send_reset(stream_id, code)

    # Which reader takes a frame: at the start, in the middle of a header block, and at any other time
    _FIRST = _table({FrameType.SETTINGS: _read_settings}, _expects_settings)
    _INSIDE_BLOCK = _table({FrameType.CONTINUATION: _read_continuation}, _interrupts_block)
    _ANY = _table(
        {
            FrameType.DATA: _read_data,
            FrameType.HEADERS: _read_headers,
            FrameType.PRIORITY: _read_priority,
            FrameType.RST_STREAM: _read_rst_stream,
            FrameType.SETTINGS: _read_settings,
            FrameType.PUSH_PROMISE: _read_push_promise,
            FrameType.PING: _read_ping,
            FrameType.GOAWAY: _read_goaway,
            FrameType.WINDOW_UPDATE: _read_window_update,
            FrameType.CONTINUATION: _read_continuation,
        },
        _read_unknown,
    )
