"""A client that speaks raw frames, right or wrong, to a `Http2Connection` in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import hpack

from dapr_state.wire.http2 import frames, headers
from dapr_state.wire.http2.connection import Http2Connection
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import END_HEADERS, END_STREAM, FrameType
from dapr_state.wire.http2.limits import Limits

if TYPE_CHECKING:
    from dapr_state.wire.http2.headers import HeadMemory

HEADERS = ((":method", "POST"), (":scheme", "http"), (":path", "/a/b"), ("content-type", "application/grpc"))


class Frame(NamedTuple):
    kind: FrameType
    flags: int
    stream_id: int
    payload: bytes


def frames_in(octets: bytes) -> list[Frame]:
    found = []
    while octets:
        word, flags, stream_id = frames.PREFIX.unpack_from(octets)
        end = frames.PREFIX_SIZE + (word >> 8)
        found.append(Frame(FrameType(word & 255), flags, stream_id, octets[frames.PREFIX_SIZE : end]))
        octets = octets[end:]
    return found


class Peer:
    """The client's end. `time` is what the connection is told; `events` is what it made of the last octets."""

    def __init__(self, limits: Limits | None = None, *, greet: bool = True, memory: HeadMemory | None = None) -> None:
        self.connection: Http2Connection[None] = Http2Connection(lambda _: None, limits or Limits(), memory)
        self.encoder = hpack.Encoder()
        self.time = 0.0
        self.events: list[Any] = []
        if greet:
            self.send(frames.PREFACE + frames.settings(()))
            self.received()

    def send(self, octets: bytes) -> list[Any]:
        self.events = self.connection.receive(octets, self.time)
        return self.events

    def received(self) -> list[Frame]:
        """What the server has sent since the last time."""
        octets = b""
        while part := self.connection.take_output():
            octets += part
        return frames_in(octets)

    def request(self, stream_id: int, *more: tuple[str, str], end: bool = False) -> Any:
        """Open a stream; gives the server's end of it."""
        self.send(self.headers(stream_id, *HEADERS, *more, end=end))
        return self.connection.streams[stream_id]

    def headers(self, stream_id: int, *fields: tuple[str, str], end: bool = False) -> bytes:
        block = self.encoder.encode(fields, huffman=False)
        return frames.frame(FrameType.HEADERS, END_HEADERS | (END_STREAM if end else 0), stream_id, block)

    def never_indexed(self, stream_id: int, *fields: tuple[str, str]) -> bytes:
        """Open a stream by a block that changes no table."""
        block = headers.encode((name.encode(), value.encode()) for name, value in fields)
        return frames.frame(FrameType.HEADERS, END_HEADERS, stream_id, block)

    def ended(self) -> ErrorCode | None:
        """Why the connection has ended, by its GOAWAY; None if it has not."""
        for frame in self.received():
            if frame.kind is FrameType.GOAWAY:
                return ErrorCode(frames.word(frame.payload, 4))
        return None


def data(stream_id: int, payload: bytes = b"", *, end: bool = False) -> bytes:
    return frames.frame(FrameType.DATA, END_STREAM if end else 0, stream_id, payload)
