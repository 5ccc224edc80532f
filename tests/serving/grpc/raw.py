"""A client that writes frames to a socket as it likes, and reads only when it is told to."""

from __future__ import annotations

import socket
from typing import Self

import hpack

from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.frames import END_HEADERS, END_STREAM, FrameType, Setting
from tests.serving.grpc.server import path

TIMEOUT = 30


class RawClient:
    def __init__(self, port: int, settings: tuple[tuple[Setting, int], ...] = (), *, greet: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), TIMEOUT)
        self._encoder = hpack.Encoder()
        self._received = b""
        self._next_stream = 1
        if greet:
            self.socket.sendall(frames.PREFACE + frames.settings(settings))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.socket.close()

    def request(self, method: str, message: bytes = b"") -> bytes:
        """The octets of one unary request, on the next stream."""
        opening = self.headers(method)
        return opening + frames.frame(FrameType.DATA, END_STREAM, self.last_stream, framing.message(message))

    def headers(self, method: str, *more: tuple[str, str]) -> bytes:
        """The octets that open the next stream."""
        fields = ((":method", "POST"), (":scheme", "http"), (":path", path(method)), ("te", "trailers"))
        block = self._encoder.encode([*fields, ("content-type", "application/grpc"), *more], huffman=False)
        stream_id, self._next_stream = self._next_stream, self._next_stream + 2
        return frames.frame(FrameType.HEADERS, END_HEADERS, stream_id, block)

    @property
    def last_stream(self) -> int:
        return self._next_stream - 2

    def send_until_stuck(self, octets: bytes) -> int:
        """Write until the server takes nothing more; returns how many octets it took."""
        self.socket.settimeout(0.5)
        sent = 0
        try:
            while sent < len(octets):
                sent += self.socket.send(octets[sent : sent + 65_536])
        except TimeoutError:
            pass
        self.socket.settimeout(TIMEOUT)
        return sent

    def frame(self) -> tuple[int, int, int, bytes] | None:
        """Read the next frame: type, flags, stream, payload; None at the end of the connection."""
        if not self._fill(frames.PREFIX_SIZE):
            return None
        word, flags, stream_id = frames.PREFIX.unpack_from(self._received)
        if not self._fill(frames.PREFIX_SIZE + (word >> 8)):
            return None
        payload = self._received[frames.PREFIX_SIZE : frames.PREFIX_SIZE + (word >> 8)]
        self._received = self._received[frames.PREFIX_SIZE + (word >> 8) :]
        return word & 255, flags, stream_id, payload

    def until(self, kind: FrameType) -> tuple[int, int, int, bytes] | None:
        """Read until a frame of this type; None if there is none before the end."""
        while (found := self.frame()) is not None and found[0] != kind:
            pass
        return found

    def _fill(self, size: int) -> bool:
        while len(self._received) < size:
            try:
                octets = self.socket.recv(1 << 20)
            except ConnectionResetError:
                return False
            if not octets:
                return False
            self._received += octets
        return True
