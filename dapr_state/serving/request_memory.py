"""How many octets of requests the process holds: one account for all servers, connections and protocols.

A request that is larger than `SMALL` asks before it is read on or answered, and gives back when it is answered or lost.
The laws that a change must keep:
1. First come, first served: nobody passes one who waits, however little he asks for.
2. One is always let in, however much it asks for: else a request larger than the whole account would wait for ever.
3. What is in memory already cannot be asked for: it is kept, on an account of the same size. Beyond that the caller is
   refused, and what he has sent is dropped.
4. A holder gives all of it back at once, whatever state it is in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dapr_state.serving.answer_memory import LARGE_USE, AnswerMemory, CrowdedError
from dapr_state.wire.http2.headers import HeadMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Holder(Protocol):
        """What asks: a connection, or a stream of one."""

        def on_memory(self) -> None:
            """What was asked for may be held now. Called from the loop: the holder may have ended since."""


# Octets of a request that nobody asks for: the usual one costs no account. HTTP/1 has one such request for each
# connection, HTTP/2 one for each stream.
SMALL: Final = 16 * 1024
# 32 MiB are eight requests of daprd's largest size, or 32 of 1 MiB. Decoded and packed for a store, each is held three
# to four times over; as many octets again may be kept of those who wait.
DEFAULT_SIZE: Final = 32 << 20
# What one who waits is counted with at least: its buffers and objects
_LEAST: Final = 4096


class RequestMemory:
    """`size` 0 and below is no bound. `on_emptied` is told when nothing is held any more after a large use.

    `answers` is the account of as much again, for what the requests are answered with, and `heads` that of what the
    heads of requests over HTTP/2 take.
    """

    def __init__(self, size: int = DEFAULT_SIZE, on_emptied: Callable[[], object] | None = None) -> None:
        self._size = float(size) if size > 0 else float("inf")
        self._on_emptied = on_emptied
        self.answers = AnswerMemory(size, on_emptied)
        self.heads = HeadMemory()
        self._taken: dict[Holder, int] = {}
        self._taken_octets = 0
        self._waiting: dict[Holder, int] = {}  # what each asks for
        self._kept: dict[Holder, int] = {}
        self._kept_octets = 0
        self._peak = 0

    def __repr__(self) -> str:
        return (
            f"<RequestMemory {self._taken_octets} of {self._size:.0f} taken by {len(self._taken)}, "
            f"{len(self._waiting)} waiting, {self._kept_octets} kept>"
        )

    @property
    def is_wanted(self) -> bool:
        """Somebody waits."""
        return bool(self._waiting)

    def ask(self, holder: Holder, octets: int, here: int = 0) -> bool:
        """True: `octets` may be held. False: wait for `on_memory`; `here` octets of them have come already.

        Raises CrowdedError when too much waits.
        """
        if holder in self._taken:
            return True
        if holder in self._waiting:
            return False
        if self._waiting or not self._fits(octets):
            self.keep(holder, here)
            self._waiting[holder] = octets
            return False
        self._enter(holder, octets)
        return True

    def keep(self, holder: Holder, octets: int) -> None:
        """Count what was not asked for, and is here. Raises CrowdedError when too much is kept already."""
        octets = max(octets, _LEAST)
        if self._kept_octets + octets > self._size:
            raise CrowdedError
        self._kept[holder] = self._kept.get(holder, 0) + octets
        self._kept_octets += octets
        self._peak = max(self._peak, self._taken_octets + self._kept_octets)

    def shrink(self, holder: Holder, octets: int) -> None:
        """The request is whole, and smaller than what was asked for."""
        surplus = self._taken.get(holder, 0) - octets
        if surplus > 0:
            self._taken[holder] = octets
            self._taken_octets -= surplus
            self._admit()

    def give_back(self, holder: Holder) -> None:
        """Nothing of this holder is in memory any more, and it waits for nothing."""
        self._waiting.pop(holder, None)
        self._taken_octets -= self._taken.pop(holder, 0)
        self._kept_octets -= self._kept.pop(holder, 0)
        self._admit()
        if not (self._taken or self._kept) and self._peak > LARGE_USE:
            self._peak = 0
            if self._on_emptied:
                self._on_emptied()

    def _admit(self) -> None:
        while self._waiting:
            holder, octets = next(iter(self._waiting.items()))
            if not self._fits(octets):
                return
            del self._waiting[holder]
            self._kept_octets -= self._kept.pop(holder, 0)
            self._enter(holder, octets)
            asyncio.get_running_loop().call_soon(holder.on_memory)  # a turn for each: none is served inside another

    def _fits(self, octets: int) -> bool:
        return not self._taken or self._taken_octets + octets <= self._size

    def _enter(self, holder: Holder, octets: int) -> None:
        self._taken[holder] = octets
        self._taken_octets += octets
        self._peak = max(self._peak, self._taken_octets + self._kept_octets)
