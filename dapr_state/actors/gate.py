"""Callers who wait for the application, or for placement: each is let in or refused, and they are bounded.

Rules that a change must keep:
1. While the gate is open nobody waits. One who waits is let in when it opens, else refused after LONGEST.
2. Whoever waits is counted until he is let in, refused or cancelled; one for whom there is no room is refused at once.
3. Of those whom an opening lets in, so many go on in a turn of the event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from functools import partial
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from dapr_state.clock import WaitingClock

LONGEST: Final = 60.0  # seconds that a caller waits for the application: as long as SDKs wait for their sidecar
OCTETS_AT_MOST: Final = 8 << 20  # of all who wait: a quarter of what large requests may hold, others need the rest
LEAST: Final = 4096  # what one who waits is counted with at least: his buffers and objects
AT_ONCE: Final = 32  # go on before others have their turn on the event loop: each calls the application, in 0.1 ms


class AwayError(Exception):
    """What is waited for has been waited for long enough, or by enough callers; the text says which."""


class Gate:
    """`open` and `shut` it, and `pass_through` once it is open."""

    def __init__(self, clock: WaitingClock, *, is_open: bool, what: str = "the application") -> None:
        """`what` is waited for, as the error says it."""
        self.is_open = is_open
        self._what = what
        self._clock = clock
        self._octets = 0
        self._waiting: OrderedDict[asyncio.Future[None], None] = OrderedDict()
        self._is_letting_in = False

    def __repr__(self) -> str:
        return f"<Gate {'open' if self.is_open else 'shut'}, {len(self._waiting)} waiting with {self._octets} octets>"

    def open(self) -> None:
        self.is_open = True
        self._let_in_soon()

    def shut(self) -> None:
        self.is_open = False

    async def pass_through(self, octets: int = 0) -> None:
        """Return when it is open; `octets` is what the caller has brought. Raises AwayError."""
        if self.is_open:
            return
        held = max(octets, LEAST)
        if self._octets + held > OCTETS_AT_MOST:
            raise AwayError(f"too many calls wait for {self._what}")
        self._octets += held
        until = self._clock.monotonic() + LONGEST
        try:
            while not self.is_open:  # it may be shut again by the time that we wake
                await self._wait(until)
        finally:
            self._octets -= held

    async def _wait(self, until: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[future] = None
        alarm = self._clock.call_at(until, partial(_refuse, future, self._what))
        try:
            await future
        finally:
            alarm.cancel()
            self._waiting.pop(future, None)

    def _let_in_soon(self) -> None:
        if self._waiting and not self._is_letting_in:
            self._is_letting_in = True
            asyncio.get_running_loop().call_soon(self._let_in)

    def _let_in(self) -> None:
        self._is_letting_in = False
        if not self.is_open:
            return
        for _ in range(min(AT_ONCE, len(self._waiting))):
            future, _ = self._waiting.popitem(last=False)
            if not future.done():  # he may be refused, or have gone, in this very turn
                future.set_result(None)
        self._let_in_soon()


def _refuse(future: asyncio.Future[None], what: str) -> None:
    if not future.done():
        future.set_exception(AwayError(f"{what} has not been up for {LONGEST:.0f} seconds"))
