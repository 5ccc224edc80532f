"""One stream: its windows, its queue, and what a frame means that it did not expect (RFC 9113, section 5.1)."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode, Fault, StreamFault
from dapr_state.wire.http2.frames import DEFAULT_WINDOW, FrameType

if TYPE_CHECKING:
    from collections import deque

    from dapr_state.wire.http2.headers import RequestHead

M = TypeVar("M")


class State(Enum):
    """The states of section 5.1 in which a frame may be a stray; "closed" by its three causes."""

    IDLE = "idle"
    HALF_CLOSED = "half-closed (remote)"
    ENDED = "closed: both sides had ended, or the peer reset it"
    RESET = "closed: reset by this side, whose peer could not know it yet"
    SKIPPED = "closed: never used, as a stream of a higher number was opened before"


Verdict = tuple[type[Fault], ErrorCode] | None  # None: the frame is ignored

_PROTOCOL_ERROR: Final = (ConnectionFault, ErrorCode.PROTOCOL_ERROR)
_STREAM_CLOSED: Final = (StreamFault, ErrorCode.STREAM_CLOSED)

# An odd number above all others opens a stream: HEADERS of an idle stream that come here have an even one.
STRAYS: Final[dict[FrameType, dict[State, Verdict]]] = {
    FrameType.HEADERS: {
        State.IDLE: _PROTOCOL_ERROR,
        State.HALF_CLOSED: _STREAM_CLOSED,
        State.ENDED: (ConnectionFault, ErrorCode.STREAM_CLOSED),
        State.RESET: None,
        State.SKIPPED: _PROTOCOL_ERROR,
    },
    FrameType.DATA: {
        State.IDLE: _PROTOCOL_ERROR,
        State.HALF_CLOSED: _STREAM_CLOSED,
        State.ENDED: _STREAM_CLOSED,
        State.RESET: None,
        State.SKIPPED: _PROTOCOL_ERROR,
    },
    FrameType.RST_STREAM: {
        State.IDLE: _PROTOCOL_ERROR,
        State.ENDED: None,
        State.RESET: None,
        State.SKIPPED: _PROTOCOL_ERROR,
    },
    FrameType.WINDOW_UPDATE: {
        State.IDLE: _PROTOCOL_ERROR,
        State.ENDED: None,
        State.RESET: None,
        State.SKIPPED: _PROTOCOL_ERROR,
    },
}


class Stream(Generic[M]):
    """A stream from its first HEADERS to its end. `call`: what the layer above keeps with it."""

    __slots__ = (
        "call",
        "ended",
        "gone",
        "id",
        "queue",
        "ready",
        "receive_window",
        "received",
        "request",
        "send_window",
        "trailers",
    )

    def __init__(self, stream_id: int, request: RequestHead[M], send_window: int) -> None:
        self.id = stream_id
        self.request = request
        self.ended = False  # by the peer
        self.gone = False  # closed: what is still sent on it is dropped
        self.send_window = send_window
        self.receive_window = DEFAULT_WINDOW
        self.received = 0  # octets of content
        self.queue: deque[memoryview] | None = None  # what waits for the windows
        self.trailers: bytes | None = None  # what follows it
        self.ready = False  # in the connection's queue of those that may send
        self.call: Any = None

    def __repr__(self) -> str:
        return f"<Stream {self.id}{' ended' * self.ended}{' gone' * self.gone}, {self.queued} queued>"

    @property
    def queued(self) -> int:
        """Octets that wait for the windows."""
        return sum(map(len, self.queue)) if self.queue else 0
