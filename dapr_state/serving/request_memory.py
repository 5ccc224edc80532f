"""How many octets of requests the process holds: one account for all servers, connections and protocols.

A request of at most `SMALL` octets costs no account. What a larger one holds is given back when it is answered or lost.
The laws that a change must keep:
1. What has come counts, never what is announced: whoever is slow holds what he sent, and no more.
2. A request that is whole waits for whole ones alone, first come, first served; one is always let in, else a request
   larger than the account would wait for ever. It counts with what it will be when it is decoded (`weight`).
3. Requests that are not whole have an account of their own. When half of it is full they are not read on, but for those
   that one more read makes whole, and for one more: the nearest to its end, for `PATIENCE` seconds at a time.
4. Who does not go on for `PATIENCE`, though he is read, is ended when others wait to be read on.
5. What is in memory already cannot be asked for: where it fits on no account, its caller is refused and it is dropped.
6. A holder gives all of it back at once, whatever state it is in.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.clock import WAITING
from dapr_state.serving.answer_memory import LARGE_USE, AnswerMemory, CrowdedError
from dapr_state.wire.http2.headers import HeadMemory

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Protocol

    class Holder(Protocol):
        """What asks: a connection, or a stream of one."""

        def on_memory(self) -> None:
            """What was waited for may go on now. Called from the loop: the holder may have ended since."""

        def on_standstill(self) -> None:
            """Others wait for what it holds, and nothing more of it comes: end it, unless it is this side's fault."""


# Octets of a request that nobody asks for: the usual one costs no account. HTTP/1 has one such request for each
# connection, HTTP/2 one for each stream.
SMALL: Final = 16 * 1024
# 32 MiB are eight requests of daprd's largest size, or 32 of 1 MiB. Decoded and packed for a store, each is held three
# to four times over; as many octets again may wait, and as many again may have come of requests that are not whole.
DEFAULT_SIZE: Final = 32 << 20
# What one who waits is counted with at least: its buffers and objects
_LEAST: Final = 4096
# What one who is read on is counted with until it comes: about what one read of a socket brings, or one window lets in
_READ: Final = 64 * 1024
# Of a whole request, beside its octets: an item takes so many once it is decoded and made an operation of a store, and
# so does a member of its metadata.
PART: Final = 200
USUAL: Final = 64  # octets of any body of which one may look like the begin of an item: of random ones it is one in 128
COUNTED: Final = 4 << 20  # octets of a body that are looked at, in 2 ms: those behind are taken to be like them
JSON_PARTS: Final = (b",",)
PROTOBUF_PARTS: Final = (b"\x0a", b"\x12")  # the first and the second field of a message, where these are octets
PATIENCE: Final = 1.0  # seconds; as with clients who do not take their answers
_CHECK_INTERVAL: Final = 0.25  # seconds between two looks at who goes on, while somebody waits to be read on

_now = WAITING.monotonic


def weight(body: bytes, parts: tuple[bytes, ...]) -> int:
    """About how many octets a whole request takes while it is answered; `parts` are told by these octets."""
    size = len(body)
    if size <= SMALL:
        return size
    counted = min(size, COUNTED)
    unusual = sum(body.count(part, 0, counted) for part in parts) - counted // USUAL
    return size + max(0, unusual) * PART * size // counted


class _Part(Struct):
    """What has come of a request that is not whole."""

    octets: int
    missing: int
    moved: float  # when something came, or was first read again
    turns: int  # in which it was the one that is always read on


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
        self._waiting: dict[Holder, int] = {}  # whole; what each asks for
        self._kept: dict[Holder, int] = {}
        self._kept_octets = 0
        self._parts: dict[Holder, _Part] = {}  # who has not moved for longest comes first
        self._part_octets = 0
        self._paused: dict[Holder, _Part] = {}  # of these parts, those that are not read on
        self._favourite: Holder | None = None  # the one that is read on in any case
        self._favoured = 0.0  # since then
        self._check_timer: asyncio.TimerHandle | None = None
        self._peak = 0

    def __repr__(self) -> str:
        return (
            f"<RequestMemory {self._taken_octets} of {self._size:.0f} taken by {len(self._taken)}, "
            f"{len(self._waiting)} waiting, {self._kept_octets} kept, "
            f"{self._part_octets} of {len(self._parts)} parts, {len(self._paused)} paused>"
        )

    @property
    def is_wanted(self) -> bool:
        """Somebody waits to be read on."""
        return bool(self._paused)

    # Requests that are not whole

    def arrive(self, holder: Holder, octets: int, missing: int) -> bool:
        """`octets` of a request are here, and `missing` to come. True: read on. False: wait for `on_memory`.

        Raises CrowdedError when too much has come of others.
        """
        part = self._parts.get(holder) or _Part(0, missing, 0.0, 0)
        grown = max(octets, _LEAST) - part.octets
        if holder is not self._favourite and grown > 0 and not self._may_grow(part, grown):
            raise CrowdedError
        self._move(holder, part)
        self._resize(part, grown)
        part.missing = missing
        if holder is self._favourite or self._may_go_on(missing):
            self._paused.pop(holder, None)
            return True
        self._paused[holder] = part
        self._read_on()
        self._check_soon()
        return False

    def _may_grow(self, part: _Part, grown: int) -> bool:
        favourite = self._parts[self._favourite].octets if self._favourite is not None else 0
        others = self._part_octets - favourite - part.octets
        return not others or others + part.octets + grown <= self._size

    def _may_go_on(self, missing: int) -> bool:
        octets = self._part_octets
        return octets * 2 <= self._size or (missing <= _READ and octets + missing <= self._size)

    def _read_on(self) -> None:
        """Let those go on for which there is room again, and one in any case."""
        for holder in sorted(self._paused, key=self._precedence):
            missing = self._paused[holder].missing
            if self._may_go_on(missing):
                self._resume(holder, min(missing, _READ))
            elif self._favourite is None:
                self._favourite, self._favoured = holder, _now()
                self._resume(holder, 0)
            else:
                return

    def _precedence(self, holder: Holder) -> tuple[int, int]:
        part = self._parts[holder]
        return part.turns, part.missing

    def _resume(self, holder: Holder, expected: int) -> None:
        part = self._paused.pop(holder)
        self._move(holder, part)
        self._resize(part, expected)
        asyncio.get_running_loop().call_soon(self._tell, holder)

    def _move(self, holder: Holder, part: _Part) -> None:
        self._parts.pop(holder, None)
        self._parts[holder] = part
        part.moved = _now()

    def _resize(self, part: _Part, grown: int) -> None:
        part.octets += grown
        self._part_octets += grown
        self._note_peak()

    def _drop_part(self, holder: Holder) -> None:
        if (part := self._parts.pop(holder, None)) is None:
            return
        self._part_octets -= part.octets
        self._paused.pop(holder, None)
        if holder is self._favourite:
            self._favourite = None
        self._read_on()

    def _check_soon(self) -> None:
        if self._check_timer is None:
            self._check_timer = WAITING.call_later(_CHECK_INTERVAL, self._check, _now() + _CHECK_INTERVAL * 2)

    def _check(self, too_late: float) -> None:
        self._check_timer = None
        if not self._paused:
            return
        now = _now()
        if now < too_late:  # else the loop stood still, and not they
            self._end_those_who_stand_still(now - PATIENCE)
        if self._favourite is not None and now - self._favoured >= PATIENCE:
            self._parts[self._favourite].turns += 1
            self._favourite = None
            self._read_on()
        if self._paused:
            self._check_soon()

    def _end_those_who_stand_still(self, since: float) -> None:
        for holder, part in list(self._parts.items()):
            if part.moved > since or not self._paused:
                return
            if holder not in self._paused and part.missing:
                holder.on_standstill()

    # Requests that are whole

    def ask(self, holder: Holder, octets: int, here: int) -> bool:
        """True: a whole request that takes `octets`, of which `here` have come, may be answered.

        False: wait for `on_memory`. Raises CrowdedError when too much waits.
        """
        self._drop_part(holder)
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
        self._note_peak()

    def shrink(self, holder: Holder, octets: int) -> None:
        """The request takes less than what was asked for."""
        surplus = self._taken.get(holder, 0) - octets
        if surplus > 0:
            self._taken[holder] = octets
            self._taken_octets -= surplus
            self._admit()

    def give_back(self, holder: Holder) -> None:
        """Nothing of this holder is in memory any more, and it waits for nothing."""
        self._drop_part(holder)
        self._waiting.pop(holder, None)
        self._taken_octets -= self._taken.pop(holder, 0)
        self._kept_octets -= self._kept.pop(holder, 0)
        self._admit()
        if not (self._taken or self._kept or self._parts) and self._peak > LARGE_USE:
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
            asyncio.get_running_loop().call_soon(self._tell, holder)  # a turn for each: none is served inside another

    def _tell(self, holder: Holder) -> None:
        if not (holder in self._waiting or holder in self._paused):  # else it waits again, for something else
            holder.on_memory()

    def _fits(self, octets: int) -> bool:
        return not self._taken or self._taken_octets + octets <= self._size

    def _enter(self, holder: Holder, octets: int) -> None:
        self._taken[holder] = octets
        self._taken_octets += octets
        self._note_peak()

    def _note_peak(self) -> None:
        self._peak = max(self._peak, self._taken_octets + self._kept_octets + self._part_octets)
