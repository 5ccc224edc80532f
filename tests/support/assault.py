"""Many connections of an attack at once, in one thread: each writes as it may, and comes again when it is ended."""

from __future__ import annotations

import selectors
import socket
import struct
import time
from contextlib import ExitStack, closing, suppress
from typing import TYPE_CHECKING, Protocol

from tests.support import flood
from tests.support.flood import DATA, END_STREAM, SETTINGS, WINDOW_UPDATE, frame

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

STEP = 0.05  # seconds at most between two looks at the time
AGAIN = 0.1  # seconds before one that was thrown out comes again


class Timed(Protocol):
    @property
    def is_over(self) -> bool: ...


class Peer:
    """One connection of an attack: it writes as it may, and reads unless it is told not to. It may end at any time."""

    def __init__(self, port: int, *, reads: bool = True) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), flood.TIMEOUT)
        if not reads:  # what the kernel takes in its place is small
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.setblocking(False)
        self.reads = reads

    def next(self) -> bytes:
        """What is to be sent now."""
        return b""

    def received(self, octets: bytes) -> None:
        """The server said something."""


class Talker(Peer):
    """Says the same for ever, or once."""

    def __init__(self, port: int, octets: bytes, *, times: int = 1 << 30, reads: bool = True) -> None:
        super().__init__(port, reads=reads)
        self._octets, self._left = octets, times

    def next(self) -> bytes:
        self._left -= 1
        return self._octets if self._left >= 0 else b""


class Uploader(Peer):
    """HTTP/2 requests with bodies, all at once, each as far as the server's windows let it."""

    def __init__(self, port: int, head: bytes, streams: int, body: bytes, *, ends: bool) -> None:
        super().__init__(port)
        numbers = list(range(1, 2 * streams, 2))
        opened = (frame(flood.HEADERS, flood.END_HEADERS, number, head) for number in numbers)
        self._begin = flood.OPENING + b"".join(opened)
        self._body, self._ends = memoryview(body), ends
        self._initial = 65_535
        self._sent = dict.fromkeys(numbers, 0)
        self._windows = dict.fromkeys(numbers, self._initial)
        self._window = 65_535
        self._seen = b""

    def next(self) -> bytes:
        if self._begin:
            begin, self._begin = self._begin, b""
            return begin
        pieces, size = [], 0
        for stream in list(self._sent):
            while size < flood.SIZE and (octets := self._piece(stream)):
                pieces.append(octets)
                size += len(octets)
        return b"".join(pieces)

    def _piece(self, stream: int) -> bytes:
        if stream not in self._sent:
            return b""
        done = self._sent[stream]
        size = min(self._window, self._windows[stream], 16_384, len(self._body) - done)
        if size <= 0:
            return b""
        self._sent[stream] = done + size
        self._window -= size
        self._windows[stream] -= size
        is_last = self._ends and done + size == len(self._body)
        if is_last:
            del self._sent[stream]
        return frame(DATA, END_STREAM if is_last else 0, stream, bytes(self._body[done : done + size]))

    def received(self, octets: bytes) -> None:
        self._seen += octets
        while len(self._seen) >= 9 and len(self._seen) >= (end := 9 + int.from_bytes(self._seen[:3])):
            kind, flags = self._seen[3:5]
            stream, payload = int.from_bytes(self._seen[5:9]), self._seen[9:end]
            self._seen = self._seen[end:]
            if kind == WINDOW_UPDATE and not stream:
                self._window += int.from_bytes(payload)
            elif kind == WINDOW_UPDATE and stream in self._windows:
                self._windows[stream] += int.from_bytes(payload)
            elif kind == SETTINGS and not flags:
                self._learn(payload)
            elif kind in {flood.RST_STREAM, flood.HEADERS}:
                self._sent.pop(stream, None)

    def _learn(self, payload: bytes) -> None:
        for name, value in struct.iter_unpack(">HI", payload):
            if name == flood.INITIAL_WINDOW_SIZE:
                self._windows = {stream: size + value - self._initial for stream, size in self._windows.items()}
                self._initial = value


def assail(scene: Timed, makers: Iterable[Callable[[], Peer]]) -> None:
    """Have these connections at work until the scene is over; one that was thrown out comes again."""
    with selectors.DefaultSelector() as selector, ExitStack() as stack:
        waiting = [(0.0, make) for make in makers]
        left: dict[Peer, memoryview] = {}
        while not scene.is_over:
            now = time.monotonic()
            for entry in [entry for entry in waiting if entry[0] <= now]:
                waiting.remove(entry)
                with suppress(OSError):
                    peer = entry[1]()
                    stack.enter_context(closing(peer.socket))
                    selector.register(peer.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, (peer, entry[1]))
                    left[peer] = memoryview(b"")
                    continue
                waiting.append((now + AGAIN, entry[1]))
            idle = True
            for key, events in selector.select(STEP):
                peer, make = key.data
                try:
                    idle &= not _turn(peer, events, left)
                except OSError:
                    selector.unregister(peer.socket)
                    peer.socket.close()
                    del left[peer]
                    waiting.append((now + AGAIN, make))
            if idle:
                time.sleep(STEP / 10)


def _turn(peer: Peer, events: int, left: dict[Peer, memoryview]) -> bool:
    """Read and write what can be; whether anything was."""
    done = False
    if events & selectors.EVENT_READ and peer.reads:
        octets = peer.socket.recv(flood.SIZE)
        if not octets:
            raise ConnectionError("closed")
        peer.received(octets)
        done = True
    if events & selectors.EVENT_WRITE:
        if not left[peer]:
            left[peer] = memoryview(peer.next())
        if left[peer]:
            left[peer] = left[peer][peer.socket.send(left[peer][: flood.SIZE]) :]
            done = True
    return done
