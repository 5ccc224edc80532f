"""The client's side of an HTTP/2 connection: bytes in, events and bytes out (RFC 9113).

Rules that a change must respect:
1. No I/O and no clock, and no exception leaves `receive`: a server's fault is an event. The time comes as an argument.
2. Each stream has one end: a last `HeadReceived` or `DataReceived` that has `ended`, a `StreamReset`, or the
   `ConnectionFailed` of all.
3. What a server makes this side keep is bounded: its header lists by `Limits`, its data by the windows that are opened.
4. So is the work: of a turn of the loop, and of frames that carry nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, cast

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.events import ConnectionFailed, DataReceived, Event, HeadReceived, StreamReset
from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode, StreamFault
from dapr_state.wire.http2.frames import (
    ACK,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MAX_FRAME_SIZE,
    PADDED,
    PREFACE,
    PREFIX,
    PREFIX_SIZE,
    PRIORITY,
    STREAM_MASK,
    FrameType,
    Setting,
)
from dapr_state.wire.http2.headers import HeadMemory, RequestHead
from dapr_state.wire.http2.hpack import Decoder
from dapr_state.wire.http2.limits import IDLE_FRAMES_PER_STREAM, SENT_PER_UPDATE, TokenBucket
from dapr_state.wire.http2.sending import Sender, opened
from dapr_state.wire.http2.stream import Stream

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.limits import Limits

    Reader = Callable[["ClientConnection", int, int, bytes], None]

FIRST_STREAMS: Final = 100  # at a time, until the server has said how many it takes
LAST_STREAM: Final = 2**31 - 1  # section 5.1.1: the number has 31 bits
REMEMBERED: Final = 64  # header blocks of a connection: its server's heads and trailers, which repeat themselves
REMEMBERED_SIZE: Final = 256  # octets of such a block
_NO_HEAD: Final[RequestHead[Any]] = RequestHead({b":method": b"", b":path": b""}, ())


class ClientStream(Stream[Any]):
    """`is_said`: all of the request has been sent; `heads`: so many have come of the answer."""

    __slots__ = ("heads", "is_said")

    def __init__(self, stream_id: int, send_window: int) -> None:
        super().__init__(stream_id, _NO_HEAD, send_window)
        self.is_said = False
        self.heads = 0


class ClientConnection(Sender[Any]):
    """`open` streams while it `can_open`; `receive` bytes and act on the events; `take_output` and write it."""

    def __init__(self, limits: Limits) -> None:
        super().__init__(HeadMemory())
        self.limits = limits
        self.closed = False  # by a fault: nothing more is read
        self.is_behind = False  # frames have come that wait for another turn
        self.refusing = False  # the server takes no more streams
        self.greeted = False  # by the server's first SETTINGS
        self._most_streams = FIRST_STREAMS
        self._next_stream = 1
        self._decoder = Decoder(limits.max_header_list_size, limits.header_fields, limits.longest_list)
        self._known: dict[bytes, Sequence[Field]] = {}  # what a block means for as long as HPACK's table is the same
        self._unread = b""
        self._now = 0.0
        self._left = 0  # of the work of this turn, as `Limits.turn` counts it
        self._idle_frames = TokenBucket(limits.idle_frames, limits.idle_frames_per_second)
        self._granted = DEFAULT_WINDOW  # octets that the server has ever let through, all streams together
        self._block: tuple[int, int] | None = None  # flags and stream of a header block that is not whole
        self._octets = bytearray()  # of it
        self._receive_window = limits.connection_window
        self._greet()

    def __repr__(self) -> str:
        state = "closed" if self.closed else "refusing" if self.refusing else "open"
        return f"<ClientConnection {state}, {len(self.streams)} streams, {self.backlog} octets to send>"

    def _greet(self) -> None:
        limits = self.limits
        self._send(PREFACE)
        own = ((Setting.ENABLE_PUSH, 0), (Setting.MAX_HEADER_LIST_SIZE, limits.max_header_list_size))
        self._send(frames.settings(own))
        self._send(frames.window_update(0, limits.connection_window - DEFAULT_WINDOW))

    # Requests

    @property
    def can_open(self) -> bool:
        return not self.refusing and len(self.streams) < self._most_streams

    def open(self, block: bytes, body: bytes | None = None) -> ClientStream:
        """Begin a request with this header block; with a body it is whole."""
        stream = ClientStream(self._next_stream, self._initial_send_window)
        self.streams[stream.id] = stream
        self._next_stream += 2
        if self._next_stream > LAST_STREAM:
            self.refusing = True
        self._send(frames.header_frames(stream.id, block, 0))
        if body is None:
            return stream
        size = len(body)
        if size <= self._send_window and size <= stream.send_window and size <= MAX_FRAME_SIZE and not self._ready:
            self._send_window -= size
            stream.send_window -= size
            stream.is_said = True
            self._output += (PREFIX.pack(size << 8, END_STREAM, stream.id), body)
            self._output_size += size + PREFIX_SIZE
        else:
            self.send_data(stream, body)
            self.send_trailers(stream, b"")
        return stream

    def _end(self, stream: Stream[Any]) -> None:
        """All of the request is sent; its answer may still come."""
        stream.is_said = True  # type: ignore[attr-defined]  # all streams here are ClientStreams
        if stream.ended:
            self._close(stream)

    def open_window(self, stream: Stream[Any], unread: int = 0) -> None:
        """Let the server send more. `unread`: octets nobody took yet."""
        if stream.ended or stream.gone:
            return
        increment = DEFAULT_WINDOW - unread - stream.receive_window
        if increment >= DEFAULT_WINDOW >> 1:
            stream.receive_window += increment
            self._send(frames.window_update(stream.id, increment))

    # Receiving

    def receive(self, data: bytes, now: float) -> list[Event]:
        """Read whole frames, as many as one turn allows; keep the rest. Returns what happened, in its order."""
        self._now = now
        if not self.closed:
            try:
                self._read_frames(self._unread + data if self._unread else data)
            except ConnectionFault as fault:
                self.fail(fault)
        return self.take_events()

    def keep(self, data: bytes) -> None:
        """Take bytes that are to be read in another turn, by a `receive` of whatever comes next."""
        if not self.closed:
            self._unread += data
            self.is_behind = True

    def fail(self, fault: ConnectionFault) -> None:
        """End the connection, and all streams with it."""
        if self.closed:
            return
        self.closed = self.refusing = True
        self.is_behind = False
        self._unread = b""
        self._send(frames.goaway(0, fault.code, fault.reason))
        self._events.append(ConnectionFailed(fault))

    def _read_frames(self, buffer: bytes) -> None:
        position, end = 0, len(buffer)
        self._left = self.limits.turn
        while end - position >= PREFIX_SIZE and self._left > 0:
            size_and_kind, flags, stream_id = PREFIX.unpack_from(buffer, position)
            size = size_and_kind >> 8
            if size > MAX_FRAME_SIZE:
                raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "frame too large")
            start = position + PREFIX_SIZE
            stop = start + size
            if stop > end:
                break
            position = stop
            self._left -= 1
            self._read(size_and_kind & 255, flags, stream_id & STREAM_MASK, buffer[start:stop])
        self._unread = buffer[position:]
        self.is_behind = self._left <= 0 and end - position >= PREFIX_SIZE

    def _read(self, kind: int, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is not None and kind != FrameType.CONTINUATION:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "a frame inside a header block")
        if not self.greeted and kind != FrameType.SETTINGS:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "the first frame must be SETTINGS")
        reader = self._READERS.get(kind)
        if reader is None:  # section 4.1: unknown types are ignored
            self._spend_idle_frame()
            return
        try:
            reader(self, flags, stream_id, payload)
        except StreamFault as fault:
            stream = self.streams.get(stream_id)
            if stream is not None:
                self.reset(stream, fault.code)
                self._events.append(StreamReset(stream, fault.code))

    def _spend_idle_frame(self) -> None:
        """A frame that carries nothing: as many as a server needs for what it is asked and sent, and a few more."""
        sent = self._granted - self._send_window
        earned = self.earned + (self._next_stream >> 1) * IDLE_FRAMES_PER_STREAM + sent // SENT_PER_UPDATE
        if not self._idle_frames.spend(self._now, earned):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "too many frames that carry nothing")

    def _read_data(self, flags: int, stream_id: int, payload: bytes) -> None:
        self._left -= len(payload) >> 7  # what is read is handed on, and costs more the longer it is
        if not payload and not flags & END_STREAM:
            self._spend_idle_frame()
        self._receive_window -= len(payload)
        if self._receive_window < self.limits.connection_window >> 1:
            self._send(frames.window_update(0, self.limits.connection_window - self._receive_window))
            self._receive_window = self.limits.connection_window
        stream = self._stream(stream_id)
        if stream is None:
            return
        stream.receive_window -= len(payload)
        if stream.receive_window < 0:
            raise StreamFault(ErrorCode.FLOW_CONTROL_ERROR, "more DATA than the window allows")
        if flags & PADDED:
            payload = frames.without_padding(payload)
        self._events.append(DataReceived(stream, payload, self._ended(stream, flags)))

    def _read_headers(self, flags: int, stream_id: int, payload: bytes) -> None:
        if flags & PADDED:
            payload = frames.without_padding(payload)
        if flags & PRIORITY:
            frames.dependency(payload)
            payload = payload[5:]
        if flags & END_HEADERS:
            self._read_block(flags, stream_id, payload)
        else:
            self._block = flags, stream_id
            self._octets = bytearray(payload)

    def _read_continuation(self, flags: int, stream_id: int, payload: bytes) -> None:
        if self._block is None or self._block[1] != stream_id:
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "CONTINUATION of no header block")
        self._octets += payload
        if len(self._octets) > self.limits.longest_list or not payload:
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header block too long")
        if flags & END_HEADERS:
            (begun, _), self._block = self._block, None
            self._read_block(begun, stream_id, bytes(self._octets))

    def _read_block(self, flags: int, stream_id: int, block: bytes) -> None:
        fields = self._known.get(block) or self._decode(block)
        stream = self._stream(stream_id)
        if stream is None:
            self._spend_idle_frame()
            return
        stream.heads += 1
        if stream.heads > 1 and not flags & END_STREAM:  # of another that is none yet
            self._spend_idle_frame()
        self._events.append(HeadReceived(stream, fields, self._ended(stream, flags)))

    def _decode(self, block: bytes) -> Sequence[Field]:
        decoder = self._decoder
        changes = decoder.changes
        fields = decoder.decode(block)
        # as in headers.py: a Huffman code costs as much for these octets as a field does
        self._left -= (self.limits.header_fields if fields is None else len(fields)) + (len(block) >> 5)
        if decoder.changes != changes:
            self._known.clear()
        if fields is None:
            raise StreamFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too long")
        if decoder.changes == changes and len(block) <= REMEMBERED_SIZE:
            if len(self._known) >= REMEMBERED:
                self._known.clear()
            self._known[block] = fields
        return fields

    def _read_rst_stream(self, _flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.RST_STREAM, stream_id, payload)
        stream = self._stream(stream_id)
        if stream is None:
            self._spend_idle_frame()
            return
        self._close(stream)
        self._events.append(StreamReset(stream, frames.word(payload)))

    def _read_settings(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.SETTINGS, stream_id, payload)
        self._spend_idle_frame()
        if flags & ACK:
            return
        window = self._initial_send_window
        for setting, value in frames.settings_in(payload):
            allowed = frames.SETTING_RANGES.get(setting)  # type: ignore[call-overload] # unknown numbers are ignored
            if allowed and not allowed.least <= value <= allowed.most:
                raise ConnectionFault(allowed.fault, f"setting {setting} of {value}")
            if setting == Setting.INITIAL_WINDOW_SIZE:
                window = value
            elif setting == Setting.MAX_CONCURRENT_STREAMS:
                self._most_streams = value
        if not self.greeted:
            self.greeted = True
            if Setting.MAX_CONCURRENT_STREAMS not in dict(frames.settings_in(payload)):
                self._most_streams = LAST_STREAM  # section 6.5.2: as many as it likes
        self._left -= (len(payload) >> 5) + (len(self.streams) >> 4)
        self._change_initial_window(window)
        self._send(frames.frame(FrameType.SETTINGS, ACK, 0))

    def _read_push_promise(self, _flags: int, _stream_id: int, _payload: bytes) -> None:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "PUSH_PROMISE, which was forbidden")

    def _read_ping(self, flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.PING, stream_id, payload)
        self._spend_idle_frame()
        if not flags & ACK:
            self._send(frames.ping(payload, ACK))

    def _read_goaway(self, _flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.GOAWAY, stream_id, payload)
        self._spend_idle_frame()
        self._left -= len(self.streams) >> 4
        self.refusing = True
        last = frames.word(payload) & STREAM_MASK
        for stream in [stream for number, stream in self.streams.items() if number > last]:
            self._close(stream)
            self._events.append(StreamReset(stream, ErrorCode.REFUSED_STREAM))  # section 6.8: it was not looked at

    def _read_window_update(self, _flags: int, stream_id: int, payload: bytes) -> None:
        frames.check_shape(FrameType.WINDOW_UPDATE, stream_id, payload)
        self._spend_idle_frame()
        increment = frames.word(payload) & STREAM_MASK
        if not stream_id:
            self._granted += increment
            self._send_window = opened(self._send_window, increment, ConnectionFault)
            return
        stream = self._stream(stream_id)
        if stream is not None:
            stream.send_window = opened(stream.send_window, increment, StreamFault)
            self._ready_if_possible(stream)

    def _stream(self, stream_id: int) -> ClientStream | None:
        """One that the server may still speak on; what it says on one that is over here is not heard."""
        stream = self.streams.get(stream_id)
        if stream is None and (not stream_id & 1 or stream_id >= self._next_stream):
            raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"a frame on stream {stream_id}, which was never opened")
        return cast("ClientStream | None", stream)  # all streams here are

    def _ended(self, stream: ClientStream, flags: int) -> bool:
        if not flags & END_STREAM:
            return False
        stream.ended = True
        if stream.is_said:
            self._close(stream)
        else:  # section 8.1: the answer is complete, the rest of the request is not wanted
            self.reset(stream, ErrorCode.CANCEL)
        return True

    _READERS: Final[dict[int, Reader]] = {
        FrameType.DATA: _read_data,
        FrameType.HEADERS: _read_headers,
        FrameType.RST_STREAM: _read_rst_stream,
        FrameType.SETTINGS: _read_settings,
        FrameType.PUSH_PROMISE: _read_push_promise,
        FrameType.PING: _read_ping,
        FrameType.GOAWAY: _read_goaway,
        FrameType.WINDOW_UPDATE: _read_window_update,
        FrameType.CONTINUATION: _read_continuation,
    }
