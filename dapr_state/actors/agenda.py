"""What falls due when: one alarm, set for the first of all, and never more at a time than the event loop bears."""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from msgspec import Struct

from dapr_state.actors.schedule import SECOND

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.clock import Alarm, Clock

T = TypeVar("T")

AT_ONCE: Final = 1000  # that are called due before others have their turn on the event loop: half a millisecond
ROUNDING: Final = 1000  # nanoseconds: an alarm is set in seconds, as a float
_SPARE: Final = 64  # dates that are gone are cleared away once they outnumber the others by so many


class Date(Struct, Generic[T], eq=False, gc=False):
    """When something falls due; without the thing it has come, or is cancelled.

    The collector need not know of it, nor of the thing if that says so too: with a hundred thousand of them it would
    hold the event loop for 50 ms. So a thing that knows its date is in a cycle that only `cancel` and `close` break.
    """

    agenda: Agenda[T]
    thing: T | None

    def cancel(self) -> None:
        """A no-op once it has come."""
        if self.thing is not None:
            self.thing = None
            self.agenda._cancel_one()  # noqa: SLF001 - the two are one thing


class Agenda(Generic[T]):
    """`now` is the time that counts, in nanoseconds; `due` is called with each thing whose time has come.

    A time that may be set needs `check_every`: after so many seconds at the latest it is looked at.
    """

    def __init__(
        self, clock: Clock, now: Callable[[], int], due: Callable[[T], object], check_every: float | None = None
    ) -> None:
        self._clock = clock
        self._now = now
        self._due = due
        self._check_every = check_every
        self._heap: list[tuple[int, int, Date[T]]] = []
        self._numbers = count()
        self._cancelled = 0  # that are still in the heap
        self._alarm: Alarm | None = None
        self._alarm_at = 0.0  # monotonic
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<Agenda {len(self)}>"

    def __len__(self) -> int:
        return len(self._heap) - self._cancelled

    def add(self, when: int, thing: T) -> Date[T]:
        date = Date(self, thing)
        if self._is_closed:
            return date
        heappush(self._heap, (when, next(self._numbers), date))
        if self._heap[0][2] is date:
            self._set_alarm()
        return date

    @property
    def next(self) -> int | None:
        """When the first of all falls due."""
        while self._heap and self._heap[0][2].thing is None:
            heappop(self._heap)
            self._cancelled -= 1
        return self._heap[0][0] if self._heap else None

    def ring(self, order: Callable[[T], Any]) -> None:
        """Call all whose time has come now, those of one moment in this order: of who travels in time."""
        due: list[tuple[int, Any, T]] = []
        while (when := self.next) is not None and when <= self._now():
            date = heappop(self._heap)[2]
            if date.thing is not None:
                thing, date.thing = date.thing, None
                due.append((when, order(thing), thing))
        for _, _, thing in sorted(due, key=lambda each: each[:2]):
            self._due(thing)
        self._set_alarm()

    def close(self) -> None:
        """Nothing falls due any more."""
        self._is_closed = True
        if self._alarm:
            self._alarm.cancel()
        for _, _, date in self._heap:
            date.thing = None
        self._heap.clear()
        self._cancelled = 0

    def _cancel_one(self) -> None:
        if self._is_closed:
            return
        self._cancelled += 1
        if self._cancelled * 2 > len(self._heap) + _SPARE:
            self._heap = [each for each in self._heap if each[2].thing is not None]
            heapify(self._heap)
            self._cancelled = 0

    def _set_alarm(self) -> None:
        if self._is_closed or not self._heap:
            return
        wait = (self._heap[0][0] - self._now()) / SECOND
        if self._check_every is not None:
            wait = min(wait, self._check_every)
        when = self._clock.monotonic() + wait
        if self._alarm:
            if self._alarm_at <= when:
                return
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._clock.call_at(when, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        latest = self._now() + ROUNDING
        for _ in range(AT_ONCE):
            if not self._heap or self._heap[0][0] > latest:
                break
            date = heappop(self._heap)[2]
            if date.thing is None:
                self._cancelled -= 1
                continue
            thing, date.thing = date.thing, None
            self._due(thing)
        self._set_alarm()
