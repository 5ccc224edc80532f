"""The only place that reads the time, and waits for it, by one of two clocks.

`VISIBLE` is what users can see: when a value expires, a reminder or a timer is due, an actor has been idle for long
enough. A test of theirs may move it. `WAITING` is what is waited for: timeouts, deadlines, keep-alive, grace, pauses,
and what is measured. Nobody moves that one, or a test that moves a day on would end every call that is under way.
"""

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
        """A no-op once it has fired."""


class Clock(Protocol):
    """What either of them can do."""

    def monotonic(self) -> float:
        """Seconds since an unknown moment: it goes on when wall time is set."""

    def monotonic_ns(self) -> int:
        """The same in nanoseconds."""

    def call_at(self, when: float, callback: Callable[[], object], /) -> Alarm:
        """Call from the running loop once `monotonic()` has reached `when`: soon after, never before, never at once."""


class WaitingClock:
    """Monotonic real time."""

    if TYPE_CHECKING:

        def monotonic(self) -> float: ...

        def monotonic_ns(self) -> int: ...
    else:
        monotonic = staticmethod(time.monotonic)  # every request asks twice: the C function itself costs half
        monotonic_ns = staticmethod(time.monotonic_ns)

    timeout = staticmethod(asyncio.timeout)
    sleep = staticmethod(asyncio.sleep)
    block = staticmethod(time.sleep)  # what a thread does that is not the event loop's
    wait = staticmethod(asyncio.wait)
    wall = staticmethod(time.time)  # seconds since 1970, for the headers and files in which other programs look for it

    @staticmethod
    def call_later(seconds: float, callback: Callable[..., object], *arguments: object) -> asyncio.TimerHandle:
        """Call from the running loop in so many seconds; uvloop may be a millisecond early."""
        return asyncio.get_running_loop().call_later(seconds, callback, *arguments)

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        return _call_in(when - time.monotonic(), callback)

    async def sleep_until(self, when: float) -> None:
        """Return once `monotonic()` has reached `when`."""
        reached: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        alarm = self.call_at(when, partial(_settle, reached))
        try:
            await reached
        finally:
            alarm.cancel()


class VisibleClock:
    """Time as users see it: `move` it, and what falls due comes; `freeze` it, and only what is due comes."""

    def __init__(self) -> None:
        self._moved = 0  # nanoseconds
        # real time; while the clock stands still, the moment of it at which it was stopped
        self._wall: Callable[[], int] = time.time_ns
        self._steady: Callable[[], int] = time.monotonic_ns
        self._is_held = False
        self._alarms: set[_MovableAlarm] = set()

    def __repr__(self) -> str:
        state = "held, " if self._is_held else "frozen, " if self.is_frozen else ""
        return f"<VisibleClock {state}moved by {self._moved / _SECOND:g} s, {len(self._alarms)} waiting>"

    def now(self) -> float:
        """Seconds since 1970 UTC."""
        return self.nanoseconds() / _SECOND

    def nanoseconds(self) -> int:
        """The same, exactly."""
        return self._wall() + self._moved

    def monotonic(self) -> float:
        return (self._steady() + self._moved) / _SECOND

    def monotonic_ns(self) -> int:
        return self._steady() + self._moved

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        """When the clock is moved the call comes sooner, or later."""
        alarm = _MovableAlarm(when, callback, self._alarms)
        self._alarms.add(alarm)
        alarm.start(self._wait_until(when))
        return alarm

    # What a test may do

    @property
    def moved(self) -> int:
        """By how many nanoseconds it is ahead of real time, where it runs."""
        return self._moved

    @property
    def is_frozen(self) -> bool:
        return self._wall is not time.time_ns

    def move(self, seconds: float) -> None:
        """Let so many seconds have passed; what fell due meanwhile comes in the next turn of the loop, in its order."""
        self.move_ns(round(seconds * _SECOND))

    def move_ns(self, nanoseconds: int) -> None:
        """The same, exactly."""
        self._moved += nanoseconds
        self._set_alarms()

    def freeze(self) -> None:
        """Stand still at this moment."""
        if self.is_frozen:
            return
        wall, steady = time.time_ns(), time.monotonic_ns()
        self._wall, self._steady = lambda: wall, lambda: steady
        self._set_alarms()

    def resume(self) -> None:
        """Go on from where it stands: the real time that has passed meanwhile has not passed here."""
        if self.is_frozen:
            self._moved += self._steady() - time.monotonic_ns()  # first: threads that read meanwhile see no later time
            self._wall, self._steady = time.time_ns, time.monotonic_ns
        self._is_held = False
        self._set_alarms()

    def hold(self) -> None:
        """Stand still, and have nothing fall due by itself: whoever travels sees to that."""
        self.freeze()
        self._is_held = True
        self._set_alarms()

    def release(self) -> None:
        """Stand still, but no longer held."""
        self._is_held = False
        self._set_alarms()

    def be_real(self) -> None:
        """Real time again."""
        self._moved = 0
        self._wall, self._steady = time.time_ns, time.monotonic_ns
        self._is_held = False
        self._set_alarms()

    def _set_alarms(self) -> None:
        for alarm in sorted(self._alarms, key=lambda each: each.when):
            alarm.start(self._wait_until(alarm.when))

    def _wait_until(self, when: float) -> float | None:
        """Seconds; None: it does not come by itself."""
        seconds = when - self.monotonic()
        return None if self._is_held or (seconds > 0 and self.is_frozen) else seconds


class _MovableAlarm:
    """An alarm of the event loop that is set again when its clock is moved. It is in `pending` until it has come."""

    __slots__ = ("_callback", "_handle", "_pending", "when")

    def __init__(self, when: float, callback: Callable[[], object], pending: set[_MovableAlarm]) -> None:
        self.when = when
        self._callback = callback
        self._pending = pending
        self._handle: asyncio.Handle | None = None

    def start(self, seconds: float | None) -> None:
        """Begin to wait for so long, or begin anew; None: until it is said how long."""
        if self._handle:
            self._handle.cancel()
        self._handle = None if seconds is None else _call_in(seconds, self._ring)

    def cancel(self) -> None:
        self._pending.discard(self)
        if self._handle:
            self._handle.cancel()

    def _ring(self) -> None:
        self._pending.discard(self)
        self._callback()


class ManualClock(VisibleClock, WaitingClock):
    """A clock that moves only when it is advanced; it can stand for either, or for both."""

    def __init__(self, now: float = 1_700_000_000.0) -> None:
        self._ahead = round(now * _SECOND)  # of monotonic time
        self._monotonic = 0.0
        self._due: list[_ManualAlarm] = []
        self._numbers = count()

    def __repr__(self) -> str:
        return f"<ManualClock at {self._monotonic:g}, {self.waiting} waiting>"

    @property
    def waiting(self) -> int:
        """How many calls are to come."""
        return sum(not alarm.is_cancelled for alarm in self._due)

    def nanoseconds(self) -> int:
        return self._ahead + round(self._monotonic * _SECOND)

    def wall(self) -> float:
        return self.now()

    def monotonic(self) -> float:
        return self._monotonic

    def monotonic_ns(self) -> int:
        return round(self._monotonic * _SECOND)

    def jump(self, seconds: float) -> None:
        """Wall time is set to another one; what is waited for notices nothing."""
        self._ahead += round(seconds * _SECOND)

    def call_at(self, when: float, callback: Callable[[], object]) -> Alarm:
        alarm = _ManualAlarm(when, next(self._numbers), callback)
        heappush(self._due, alarm)
        return alarm

    def advance(self, seconds: float) -> None:
        """Let so many seconds pass, and make the calls that fall due meanwhile, in order, each at its own time."""
        end = self._monotonic + seconds
        while self._due and self._due[0].when <= end:
            alarm = heappop(self._due)
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


def _call_in(seconds: float, callback: Callable[[], object]) -> asyncio.Handle:
    """Never early, and never at once."""
    loop = asyncio.get_running_loop()
    if seconds <= 0:
        return loop.call_soon(callback)
    # uvloop counts whole milliseconds from one that has begun already: without the one added it rings early
    return loop.call_later(math.ceil(seconds * 1000 + 1) / 1000, callback)


def _settle(reached: asyncio.Future[None]) -> None:
    if not reached.done():  # the one who waits may have been cancelled in this turn of the loop
        reached.set_result(None)


VISIBLE: Final = VisibleClock()
WAITING: Final = WaitingClock()
