"""How many octets of answers wait for clients to take them: one account for all servers, connections and protocols.

The laws that a change must keep:
1. An answer that its client takes at once costs no account: what counts is what a connection is left with, more than
   `SMALL` of it (over HTTP/1.1 and in a transport: more than the transport's own mark, 64 KiB).
2. A large answer that has no room is not kept. What was read for it is dropped; who asked waits, first come, first
   served, and then it is read again. One is always let in, however large it is.
3. While there is too little room, those who take least make some: their connections are ended. Nobody who reads is
   refused for one who does not.
4. What cannot be read again (an application's answer) is sent at once, counts, and makes room in the same way.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from typing import Protocol

    class Reader(Protocol):
        """A connection, as the account sees it."""

        @property
        def unsent(self) -> int:
            """Octets that are held for its client: of a long answer all, if the last of them is not taken."""

        @property
        def taken(self) -> int:
            """Octets that its client took: only that it grows is of interest."""

        def end(self) -> None:
            """Drop what waits, and the connection with it."""


# Octets of an answer that asks for no room. As of requests: the usual one costs no account.
SMALL: Final = 16 * 1024
# 32 MiB: as much as requests may hold.
DEFAULT_SIZE: Final = 32 << 20
LARGE_USE: Final = 8 << 20  # after so much at one time, freed memory is worth giving back to the system
# Seconds without `SLOWEST` octets taken after which a reader makes room, if one answer waits for it. The more wait, the
# sooner, so that a crowd of 900 who do not read is gone before `LONGEST`; a process that collects garbage is not ended.
PATIENCE: Final = 1.0
LEAST_PATIENCE: Final = 0.2  # seconds: a full collection of a large heap takes less
SLOWEST: Final = 65_536  # of a client on the same machine; a transport tells of as much at a time
CHECK_INTERVAL: Final = 0.05  # seconds between two looks at the readers, while there is too little room
LONGEST: Final = 30.0  # seconds that an answer waits for room: as long as a request for --max-request-memory

_AT_ONCE: Final = struct.pack("ii", 1, 0)  # SO_LINGER: a reset, and nothing is kept
_now = WAITING.monotonic


class CrowdedError(Exception):
    """Too much waits already, or for too long: this caller is refused."""

    def __init__(self) -> None:
        super().__init__("too many large requests wait for memory")


class _Left(Struct):
    """What one reader is left with, and when it took something."""

    octets: int
    taken: int
    moved: float


def reset(transport: asyncio.Transport) -> None:
    """Close a connection whose client takes nothing, with what the system has taken for it: megabytes for each.

    Closed in the usual way, 900 of them kept the system so short of memory that other clients waited for seconds.
    """
    transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


class AnswerMemory:
    """`size` 0 and below is no bound. `on_emptied` is told when nothing is left any more after a large use."""

    def __init__(self, size: int = DEFAULT_SIZE, on_emptied: Callable[[], object] | None = None) -> None:
        self._on_emptied = on_emptied
        self._peak = 0
        self._size = float(size) if size > 0 else float("inf")
        self._readers: dict[Reader, _Left] = {}  # who has not moved for longest comes first
        self._left = 0  # octets, of all readers
        self._reserved = 0  # octets of answers that are read or made
        self._waiting: deque[tuple[int, asyncio.Future[None]]] = deque()
        self._check_timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return (
            f"<AnswerMemory {self._left} left by {len(self._readers)}, {self._reserved} reserved of {self._size:.0f}, "
            f"{len(self._waiting)} waiting>"
        )

    # What connections are left with

    def count(self, reader: Reader) -> bool:
        """Count what waits for this reader now; whether it is counted."""
        octets = reader.unsent
        if octets <= SMALL:
            self.forget(reader)
            return False
        if (entry := self._readers.get(reader)) is None:
            entry = self._readers[reader] = _Left(0, reader.taken, _now())
        grown, entry.octets = octets - entry.octets, octets
        self._left += grown
        self._peak = max(self._peak, self._left)
        if grown < 0 and self._waiting:
            self._admit()
        elif self._left > self._size:
            self._check_soon()
        return True

    def forget(self, reader: Reader) -> None:
        """Nothing waits for this reader any more."""
        if (entry := self._readers.pop(reader, None)) is not None:
            self._left -= entry.octets
            self._admit()
            if not self._readers and self._peak > LARGE_USE:
                self._peak = 0
                if self._on_emptied:
                    self._on_emptied()

    # What is to be answered

    def has_room(self, octets: int) -> bool:
        """Whether an answer of this size may be made now."""
        return not self._waiting and self._fits(octets)

    @asynccontextmanager
    async def room(self, octets: int) -> AsyncIterator[None]:
        """Read and make an answer of this size while there is room for it; it is to be sent at once afterwards.

        Raises CrowdedError after `LONGEST`.
        """
        if self.has_room(octets):
            self._reserved += octets
        else:
            await self._wait(octets)
        try:
            yield
        finally:
            self._reserved -= octets
            if self._waiting:  # when this one is sent, and counted
                asyncio.get_running_loop().call_soon(self._admit)

    async def _wait(self, octets: int) -> None:
        turn = asyncio.get_running_loop().create_future()
        entry = (octets, turn)
        self._waiting.append(entry)
        self._check_soon()
        try:
            async with WAITING.timeout(LONGEST):
                await turn
        except BaseException as error:
            if turn.cancelled():
                with suppress(ValueError):
                    self._waiting.remove(entry)
            else:  # it was let in at the same moment
                self._reserved -= octets
            self._admit()
            if isinstance(error, TimeoutError):
                raise CrowdedError from None
            raise

    def _admit(self) -> None:
        while self._waiting and self._fits(self._waiting[0][0]):
            octets, turn = self._waiting.popleft()
            if not turn.done():  # else whoever waited was cancelled
                self._reserved += octets
                turn.set_result(None)

    def _fits(self, octets: int) -> bool:
        held = self._left + self._reserved
        return not held or held + octets <= self._size

    # Who makes room

    @property
    def _is_crowded(self) -> bool:
        return bool(self._waiting) or self._left > self._size

    def _check_soon(self) -> None:
        if self._check_timer is None:
            self._check_timer = WAITING.call_later(CHECK_INTERVAL, self._check)

    def _check(self) -> None:
        self._check_timer = None
        if not self._is_crowded:
            return
        now = _now()
        wanted = sum(octets for octets, _ in self._waiting)
        patience = max(LEAST_PATIENCE, PATIENCE / (1 + wanted / self._size))
        for reader, entry in list(self._readers.items()):
            if not self._is_crowded:
                break
            taken = reader.taken
            if taken - entry.taken >= SLOWEST:
                entry.taken, entry.moved = taken, now
                self._readers[reader] = self._readers.pop(reader)
            if now - entry.moved >= patience:
                self.forget(reader)
                reader.end()
            else:
                self.count(reader)
        if self._is_crowded:
            self._check_soon()
