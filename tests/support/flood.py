"""Octets as they are, in bulk: a client that sends megabytes of anything and takes what comes back, at the same time.

HTTP/2 frames are made here by themselves, apart from the code that they attack.
"""

from __future__ import annotations

import select
import socket
import struct
from collections.abc import Callable

import hpack

TIMEOUT = 30  # seconds; what takes longer hangs
SIZE = 1 << 18

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PING, WINDOW_UPDATE, CONTINUATION = 0, 1, 2, 3, 4, 6, 8, 9
END_STREAM, ACK, END_HEADERS, PADDED = 1, 1, 4, 8
INITIAL_WINDOW_SIZE = 4

Headers = tuple[tuple[str, str], ...]

Done = Callable[[bytes], bool]


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return struct.pack(">HBBBI", len(payload) >> 8, len(payload) & 255, kind, flags, stream) + payload


def settings(*pairs: tuple[int, int]) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in pairs))


def window(stream: int, size: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, struct.pack(">I", size))


LAST = frame(PING, 0, 0, b"all done")
OPENING = PREFACE + settings((INITIAL_WINDOW_SIZE, 2**31 - 1)) + window(0, 2**31 - 65_536)


def block(*fields: tuple[str, str]) -> bytes:
    """A header block that leaves the peer's table as it is."""
    return b"".join(
        hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(name, value)], huffman=False) for name, value in fields
    )


def has_ended(seen: bytes) -> bool:
    """Whether the peer has come as far as LAST, whatever it has sent before."""
    return frame(PING, ACK, 0, b"all done") in seen


def exchange(port: int, octets: bytes, done: Done = lambda _: False) -> bytes:
    """Send everything as fast as it is taken, read until `done` or the end of the connection; the last that came."""
    tail = b""
    with socket.create_connection(("127.0.0.1", port), TIMEOUT) as connection:
        left = memoryview(octets)
        connection.setblocking(False)
        while True:
            readable, writable, _ = select.select([connection], [connection] if left else [], [], TIMEOUT)
            if not readable and not writable:
                raise TimeoutError("the server neither reads nor answers")
            try:
                if writable:
                    left = left[connection.send(left[:SIZE]) :]
                if readable:
                    data = connection.recv(SIZE)
                    if not data:
                        return tail
                    tail = (tail + data)[-SIZE:]
            except ConnectionError:
                return tail
            if not left and done(tail):
                return tail
