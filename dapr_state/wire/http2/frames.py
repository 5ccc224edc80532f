"""HTTP/2 frames: types, flags and sizes as tables, and the bytes of those that a server sends (RFC 9113, section 6).

A frame is nine octets - length (24 bits), type (8), flags (8), stream (1 reserved + 31) - and a payload.
"""

from __future__ import annotations

from enum import Enum, IntEnum
from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode, StreamFault

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PREFIX_SIZE: Final = 9
PREFIX: Final = Struct(">IBI")  # length and type share a word: length << 8 | type
MAX_FRAME_SIZE: Final = 16_384  # what every peer takes, and what this side takes: the value SETTINGS begins with
MAX_WINDOW: Final = 2**31 - 1
DEFAULT_WINDOW: Final = 65_535
STREAM_MASK: Final = 2**31 - 1

_WORD: Final = Struct(">I")
_SETTING: Final = Struct(">HI")


class FrameType(IntEnum):
    DATA = 0x0
    HEADERS = 0x1
    PRIORITY = 0x2
    RST_STREAM = 0x3
    SETTINGS = 0x4
    PUSH_PROMISE = 0x5
    PING = 0x6
    GOAWAY = 0x7
    WINDOW_UPDATE = 0x8
    CONTINUATION = 0x9


# Flags are plain integers: they are tested once or more for every frame.
END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
PRIORITY: Final = 0x20


class Setting(IntEnum):
    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class Range(NamedTuple):
    least: int
    most: int
    fault: ErrorCode


# RFC 9113, section 6.5.2: the values a client may send. Nothing is pushed here, so 0 and 1 mean the same.
SETTING_RANGES: Final = {
    Setting.ENABLE_PUSH: Range(0, 1, ErrorCode.PROTOCOL_ERROR),
    Setting.INITIAL_WINDOW_SIZE: Range(0, MAX_WINDOW, ErrorCode.FLOW_CONTROL_ERROR),
    Setting.MAX_FRAME_SIZE: Range(MAX_FRAME_SIZE, 2**24 - 1, ErrorCode.PROTOCOL_ERROR),
}


class Scope(Enum):
    """What a frame's stream number must name."""

    CONNECTION = "stream 0"
    STREAM = "a stream"
    EITHER = "either"


class Shape(NamedTuple):
    """The sizes a payload may have: from `least` to `most`, in steps."""

    scope: Scope
    least: int
    most: int = MAX_FRAME_SIZE
    step: int = 1


SHAPES: Final = {
    FrameType.DATA: Shape(Scope.STREAM, 0),
    FrameType.HEADERS: Shape(Scope.STREAM, 0),
    FrameType.PRIORITY: Shape(Scope.STREAM, 5, 5),
    FrameType.RST_STREAM: Shape(Scope.STREAM, 4, 4),
    FrameType.SETTINGS: Shape(Scope.CONNECTION, 0, step=6),
    FrameType.PUSH_PROMISE: Shape(Scope.STREAM, 4),
    FrameType.PING: Shape(Scope.CONNECTION, 8, 8),
    FrameType.GOAWAY: Shape(Scope.CONNECTION, 8),
    FrameType.WINDOW_UPDATE: Shape(Scope.EITHER, 4, 4),
    FrameType.CONTINUATION: Shape(Scope.STREAM, 0),
}


def check_shape(kind: FrameType, stream_id: int, payload: bytes) -> None:
    """Raise when the frame is not about what its type is about, or has not its size."""
    shape = SHAPES[kind]
    if shape.scope is Scope.CONNECTION and stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{kind.name} on a stream")
    if shape.scope is Scope.STREAM and not stream_id:
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, f"{kind.name} on stream 0")
    size = len(payload)
    if shape.least <= size <= shape.most and not size % shape.step:
        return
    # PRIORITY alone costs the stream only: section 6.3
    fault = StreamFault if kind is FrameType.PRIORITY else ConnectionFault
    raise fault(ErrorCode.FRAME_SIZE_ERROR, f"{kind.name} of {size} octets")


def without_padding(payload: bytes) -> bytes:
    """Strip the padding of a DATA or HEADERS payload whose flag says that it has some."""
    padding = payload[0] if payload else 0
    if padding >= len(payload):
        raise ConnectionFault(ErrorCode.PROTOCOL_ERROR, "more padding than payload")
    return payload[1 : len(payload) - padding]


def dependency(payload: bytes) -> int:
    """The stream that the priority fields at the start of a payload name."""
    if len(payload) < 5:  # noqa: PLR2004 - section 6.2: a stream of 32 bits and a weight of 8
        raise ConnectionFault(ErrorCode.FRAME_SIZE_ERROR, "too short for its priority")
    return word(payload) & STREAM_MASK


def word(payload: bytes, offset: int = 0) -> int:
    """The 32 bits at `offset`."""
    (value,) = _WORD.unpack_from(payload, offset)
    return int(value)


def settings_in(payload: bytes) -> Iterator[tuple[int, int]]:
    """The pairs of a SETTINGS payload, in their order; unknown settings included."""
    return _SETTING.iter_unpack(payload)


def frame(kind: int, flags: int, stream_id: int, payload: bytes = b"") -> bytes:
    return PREFIX.pack(len(payload) << 8 | kind, flags, stream_id) + payload


def header_frames(stream_id: int, block: bytes, flags: int) -> bytes:
    """HEADERS, and as many CONTINUATION as the block needs. `flags`: END_STREAM or none."""
    if len(block) <= MAX_FRAME_SIZE:
        return frame(FrameType.HEADERS, flags | END_HEADERS, stream_id, block)
    parts = [block[start : start + MAX_FRAME_SIZE] for start in range(0, len(block), MAX_FRAME_SIZE)]
    first, *middle, last = parts
    return b"".join(
        (
            frame(FrameType.HEADERS, flags, stream_id, first),
            *(frame(FrameType.CONTINUATION, 0, stream_id, part) for part in middle),
            frame(FrameType.CONTINUATION, END_HEADERS, stream_id, last),
        )
    )


def settings(values: Iterable[tuple[Setting, int]]) -> bytes:
    return frame(FrameType.SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values))


def rst_stream(stream_id: int, code: ErrorCode) -> bytes:
    return frame(FrameType.RST_STREAM, 0, stream_id, _WORD.pack(code))


def window_update(stream_id: int, increment: int) -> bytes:
    return frame(FrameType.WINDOW_UPDATE, 0, stream_id, _WORD.pack(increment))


def ping(payload: bytes, flags: int = 0) -> bytes:
    return frame(FrameType.PING, flags, 0, payload)


def goaway(last_stream_id: int, code: ErrorCode, reason: str = "") -> bytes:
    return frame(FrameType.GOAWAY, 0, 0, _WORD.pack(last_stream_id) + _WORD.pack(code) + reason.encode())
