"""The only place that reads the time."""

from __future__ import annotations

import asyncio
import math
import time
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Final, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable


_SECOND: Final = 1_000_000_000


class Alarm(Protocol):
    """A call that is to come."""

    def cancel(self) -> None:
        """Let it not come; harmless when it has come already."""


class Clock:
    """Wall time for what is stored and shown, monotonic time for what is waited for."""

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return time.time()

    def nanoseconds(self) -> int:
        """The same, exactly."""
        return time.time_ns()

    if TYPE_CHECKING:

        def monotonic(self) -> float:
            """Seconds since an unknown moment; never goes back."""
    else:
        monotonic = staticmethod(time.monotonic)  # every request asks twice: the C function itself costs half

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        """Call from the running loop once `monotonic()` has reached `when`: soon after, never before, never at once."""
        loop = asyncio.get_running_loop()
        delay = when - time.monotonic()
        if delay <= 0:
            return loop.call_soon(callback)
        # uvloop counts whole milliseconds from one that has begun already: without the one added it rings early
        return loop.call_later(math.ceil(delay * 1000 + 1) / 1000, callback)

    async def sleep_until(self, when: float) -> None:
        """Return once `monotonic()` has reached `when`."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self.call_at(when, partial(_settle, reached))
        try:
            await reached
        finally:
            alarm.cancel()


class ManualClock(Clock):
    """A clock that moves only when it is advanced."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._ahead = round(now * _SECOND)  # of monotonic time
        self._monotonic = 0.0
        self._alarms: list[_ManualAlarm] = []
        self._numbers = count()

    def __repr__(self) -> str:
        return f"<ManualClock at {self._monotonic:g}, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many calls are to come."""
        return sum(not alarm.is_cancelled for alarm in self._alarms)

    def now(self) -> float:
        return self.nanoseconds() / _SECOND

    def nanoseconds(self) -> int:
        return self._ahead + round(self._monotonic * _SECOND)

    def monotonic(self) -> float:
        return self._monotonic

    def jump(self, seconds: float) -> None:
        """Wall time is set to another one; what is waited for notices nothing."""
        self._ahead += round(seconds * _SECOND)

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        alarm = _ManualAlarm(when, next(self._numbers), callback)
        heappush(self._alarms, alarm)
        return alarm

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and make the calls that fall due meanwhile, in order, each at its own time."""
        end = self._monotonic + seconds
        while self._alarms and self._alarms[0].when <= end:
            alarm = heappop(self._alarms)
            if not alarm.is_cancelled:
                self._monotonic = max(self._monotonic, alarm.when)
                alarm.callback()
        self._monotonic = end


class _ManualAlarm:
    """Alarms of one moment ring in the order in which they were set."""

    def __init__(self, when: float, number: int, callback: Callable[[], object]) -> None:
        self.when = when
        self.callback = callback
        self.is_cancelled = False
        self._number = number

    def __lt__(self, other: _ManualAlarm) -> bool:
        return (self.when, self._number) < (other.when, other._number)

    def cancel(self) -> None:
        self.is_cancelled = True


def _settle(reached: asyncio.Future[None]) -> None:
    if not reached.done():  # the one who waits may have been cancelled in this turn of the loop
        reached.set_result(None)


SYSTEM = Clock()
