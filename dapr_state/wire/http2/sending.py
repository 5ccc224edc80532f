"""The sending half of a connection: what the peer's windows let through, and what waits (RFC 9113, section 5.2)."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.events import Drained
from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode, StreamFault
from dapr_state.wire.http2.frames import (
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    MAX_FRAME_SIZE,
    MAX_WINDOW,
    PREFIX,
    PREFIX_SIZE,
    FrameType,
)

if TYPE_CHECKING:
    from dapr_state.wire.http2.events import Event
    from dapr_state.wire.http2.headers import HeadMemory
    from dapr_state.wire.http2.stream import Stream

M = TypeVar("M")

# Output is collected up to this much before it is written: about what a socket takes at once.
OUTPUT_AT_ONCE: Final = 262_144
# How many streams that this side reset are remembered; of older ones the peer must have heard.
REMEMBERED_RESETS: Final = 1_000


class Sender(Generic[M]):
    """Sends on the streams of a connection; what the peer does not yet let through is queued on its stream."""

    def __init__(self, memory: HeadMemory) -> None:
        self._memory = memory
        self.streams: dict[int, Stream[M]] = {}
        self.earned = 0  # messages and answers sent, counted up: useful work
        self._events: list[Event] = []
        self._reset: dict[int, None] = {}  # streams that this side gave up, the oldest first
        self._initial_send_window = DEFAULT_WINDOW
        self._send_window = DEFAULT_WINDOW
        self._ready: deque[Stream[M]] = deque()  # streams with something queued that their windows let through
        self._queued = 0
        self._output: list[bytes | memoryview] = []
        self._output_size = 0

    @property
    def backlog(self) -> int:
        """Octets that wait to be sent."""
        return self._queued + self._output_size

    def send_answer(self, stream: Stream[M], headers: bytes, body: bytes, trailers: bytes) -> None:
        """Send a whole answer; both blocks are of less than a frame."""
        size = len(body)
        if (
            size > self._send_window
            or size > stream.send_window
            or size > MAX_FRAME_SIZE
            or self._output_size > OUTPUT_AT_ONCE
            or stream.gone
        ):
            self.send_headers(stream, headers)
            self.send_data(stream, body)
            self.send_trailers(stream, trailers)
            return
        self._send_window -= size
        self._output_size += size
        stream_id = stream.id
        self._output += (
            PREFIX.pack(len(headers) << 8 | 1, END_HEADERS, stream_id),
            headers,
            PREFIX.pack(size << 8, 0, stream_id),
            body,
            PREFIX.pack(len(trailers) << 8 | 1, END_HEADERS | END_STREAM, stream_id),
            trailers,
        )
        self._end(stream)

    def send_headers(self, stream: Stream[M], block: bytes) -> None:
        if not stream.gone:
            self._send(frames.header_frames(stream.id, block, 0))

    def send_data(self, stream: Stream[M], body: bytes) -> bool:
        """Send as much as the windows allow. False: the rest waits, and a `Drained` will follow."""
        if stream.gone or not body:
            return True
        self.earned += 1
        size = len(body)
        room = min(self._send_window, stream.send_window, MAX_FRAME_SIZE)
        if size <= room and not stream.queue and self._output_size <= OUTPUT_AT_ONCE:
            self._send_data_frame(stream, body)
            return True
        if stream.queue is None:
            stream.queue = deque()
        stream.queue.append(memoryview(body))
        self._queued += size
        self._ready_if_possible(stream)
        return False

    def send_trailers(self, stream: Stream[M], block: bytes) -> None:
        """End the stream, once all its data is sent. An empty block: end it without trailers."""
        if stream.gone:
            return
        if stream.queue:
            stream.trailers = block
            return
        if block:
            self._send(frames.header_frames(stream.id, block, END_STREAM))
        else:
            self._send(frames.frame(FrameType.DATA, END_STREAM, stream.id))
        self._end(stream)

    def reset(self, stream: Stream[M], code: ErrorCode) -> None:
        """Give the stream up, with what it has queued."""
        if not stream.gone:
            self._close(stream)
            self._send_reset(stream.id, code)

    def ping(self, payload: bytes) -> None:
        self._send(frames.ping(payload))

    def take_events(self) -> list[Event]:
        """Take the events that sending has caused: `take_output` may drain streams."""
        events = self._events
        if events:
            self._events = []
        return events

    def take_output(self) -> bytes:
        """Take what is to be written now. More may wait: call again until it is empty, or writing must pause."""
        if self._ready:
            self._send_queued()
        if not self._output:
            return b""
        output = b"".join(self._output)
        self._output.clear()
        self._output_size = 0
        return output

    def _send(self, octets: bytes) -> None:
        self._output.append(octets)
        self._output_size += len(octets)

    def _send_data_frame(self, stream: Stream[M], payload: bytes | memoryview) -> None:
        size = len(payload)
        self._send_window -= size
        stream.send_window -= size
        self._output += (PREFIX.pack(size << 8, 0, stream.id), payload)
        self._output_size += size + PREFIX_SIZE

    def _send_queued(self) -> None:
        """Send what the windows allow, a frame a stream in turn."""
        ready = self._ready
        while ready and self._send_window > 0 and self._output_size < OUTPUT_AT_ONCE:
            stream = ready.popleft()
            stream.ready = False
            # SETTINGS may have closed its window since: below zero even (section 6.9.2); WINDOW_UPDATE opens it again
            if stream.gone or not stream.queue or stream.send_window <= 0:
                continue
            first = stream.queue.popleft()
            size = min(len(first), self._send_window, stream.send_window, MAX_FRAME_SIZE)
            self._send_data_frame(stream, first[:size])
            self._queued -= size
            if size < len(first):
                stream.queue.appendleft(_rest(first, size))
            if stream.queue:
                self._ready_if_possible(stream)
            elif stream.trailers is not None:
                self.send_trailers(stream, stream.trailers)
            else:
                self._events.append(Drained(stream))

    def _end(self, stream: Stream[M]) -> None:
        """Close the stream: its last frame is sent."""
        self.earned += 1
        self._close(stream)
        if not stream.ended:
            # section 8.1: the answer is complete, the rest of the request is not wanted
            self._send_reset(stream.id, ErrorCode.NO_ERROR)

    def _change_initial_window(self, window: int) -> None:
        difference = window - self._initial_send_window
        if not difference:
            return
        self._initial_send_window = window
        for stream in self.streams.values():
            stream.send_window += difference
            if stream.send_window > MAX_WINDOW:
                raise ConnectionFault(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
            self._ready_if_possible(stream)

    def _ready_if_possible(self, stream: Stream[M]) -> None:
        if stream.queue and stream.send_window > 0 and not stream.ready:
            stream.ready = True
            self._ready.append(stream)

    def _send_reset(self, stream_id: int, code: ErrorCode) -> None:
        self._send(frames.rst_stream(stream_id, code))
        self._reset[stream_id] = None
        if len(self._reset) > REMEMBERED_RESETS:
            del self._reset[next(iter(self._reset))]

    def _close(self, stream: Stream[M]) -> None:
        stream.gone = True
        del self.streams[stream.id]
        if stream.queue:
            self._queued -= stream.queued
            stream.queue = None
        if stream.request.size:
            self._memory.close(stream.request.size)


def opened(window: int, increment: int, fault: type[ConnectionFault | StreamFault]) -> int:
    """A window for what may be sent, after the peer has opened it further."""
    if not increment:
        raise fault(ErrorCode.PROTOCOL_ERROR, "a window opened by nothing")
    if window + increment > MAX_WINDOW:
        raise fault(ErrorCode.FLOW_CONTROL_ERROR, "a window beyond 2^31 - 1")
    return window + increment


def _rest(part: memoryview, sent: int) -> memoryview:
    """What is left of a part of a body. It holds the body whole, so less than half of one stands alone."""
    rest = part[sent:]
    return memoryview(bytes(rest)) if len(rest) * 2 < len(cast("bytes", rest.obj)) else rest
