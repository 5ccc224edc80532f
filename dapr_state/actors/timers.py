"""Timers: callbacks to actors that live and die with this process.

None waits for another but for one of the same actor, and none overlaps with itself. A trigger that comes late is not
left out: the next one is counted from when it should have been. What all of them hold in memory is bounded.
"""

from __future__ import annotations

import logging
from collections import Counter
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

from dapr_state.actors import schedule
from dapr_state.actors.agenda import Agenda, Date
from dapr_state.actors.firing import Firing, Place
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import ScheduleError
from dapr_state.app.model import ActorId, AppAnswer, Trigger
from dapr_state.clock import VISIBLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.actors.schedule import Interval
    from dapr_state.clock import VisibleClock

log = logging.getLogger("dapr.runtime.actor.timers")

Key = tuple[ActorId, str]

MAX_OCTETS: Final = 256 << 20  # of all timers together
_OVERHEAD: Final = 1000  # what a timer takes besides its texts and data


class TriggerTarget(Protocol):
    """Who brings triggers to the actors."""

    def is_hosted(self, actor_type: str, /) -> bool: ...

    async def deliver_timer(self, trigger: Trigger, /) -> AppAnswer: ...


class _Timer(Struct, eq=False):
    """One registration. `ahead` is fixed, so that a wall clock that is set later does not move the triggers."""

    trigger: Trigger
    due: int
    every: Interval | None
    left: int | None  # fires to come; None: without end
    expires_at: int | None
    ahead: int  # how far wall time was ahead of monotonic time at the registration
    size: int
    fired: int = 0  # since it began
    date: Date[_Timer] | None = None

    @property
    def is_over(self) -> bool:
        return self.left == 0 or (self.expires_at is not None and self.due >= self.expires_at)

    def step(self) -> None:
        """Go on to the next trigger."""
        if self.left is not None:
            self.left -= 1
        if self.every is None:
            self.left = 0
        else:
            self.due = self.every.after(self.due)


class TimerState(Struct, frozen=True):
    """A timer as administration shows it; `next_at` in nanoseconds of wall time."""

    actor: ActorId
    name: str
    callback: str
    next_at: int
    period: str
    fired: int


class Timers:
    """All timers of one sidecar. `fired` is told the type, and whether the application took the trigger."""

    def __init__(
        self, target: TriggerTarget, clock: VisibleClock = VISIBLE, fired: Callable[[str, bool], None] = lambda *_: None
    ) -> None:
        self._target = target
        self._clock = clock
        self._fired = fired
        self._timers: dict[Key, _Timer] = {}
        self._counts: Counter[str] = Counter()
        self._size = 0
        self._agenda = Agenda(clock, clock.monotonic_ns, self._ring)
        self._firing = Firing(self._fire)

    def __repr__(self) -> str:
        return f"<Timers {len(self._timers)}, {len(self._firing)} firing>"

    def counts(self) -> dict[str, int]:
        """The number of timers of each type."""
        return dict(+self._counts)

    def names(self) -> list[Key]:
        """Of all of them, in no order: of as many as there may be it takes some milliseconds."""
        return list(self._timers)

    def state(self, key: Key) -> TimerState | None:
        """None: it has gone."""
        timer = self._timers.get(key)
        if timer is None:
            return None
        return TimerState(*key, timer.trigger.callback, timer.due, timer.trigger.period, timer.fired)

    @property
    def next_due(self) -> int | None:
        """When the next one falls due, in monotonic nanoseconds."""
        return self._agenda.next

    @property
    def is_idle(self) -> bool:
        """Whether no trigger is under way, nor about to be."""
        return self._firing.is_idle

    def ring(self) -> None:
        """Fire those that are due now, by actor and name."""
        self._agenda.ring(lambda timer: (timer.trigger.actor.type, timer.trigger.actor.id, timer.trigger.name))

    def find(self, actor: ActorId, name: str) -> Trigger | None:
        """What a timer tells its actor; None if there is none."""
        timer = self._timers.get((actor, name))
        return timer.trigger if timer else None

    def clear(self) -> int:
        """Forget all; how many there were."""
        for actor, name in (timers := tuple(self._timers)):
            self.delete(actor, name)
        self._firing.clear()
        return len(timers)

    def create(self, trigger: Trigger, ttl: str = "") -> None:
        """Start a timer as its trigger says, in the place of one of the same name. Raises ScheduleError."""
        actor, now = trigger.actor, self._clock.nanoseconds()
        if not self._target.is_hosted(actor.type):
            raise ScheduleError(f"can't create timer for actor {actor}: actor type not registered")
        times = schedule.timer(trigger.due_time, trigger.period, ttl, now)
        if times.expires_at is not None and times.expires_at < max(times.first, now):
            due = schedule.time_text(times.first)
            raise ScheduleError(f"timer {actor}||{trigger.name} has already expired: dueTime: {due} TTL: {ttl}")
        size = _size(trigger)
        if self._size + size > MAX_OCTETS:
            raise ScheduleError(f"the timers of this sidecar would hold more than {MAX_OCTETS} bytes")
        self.delete(actor, trigger.name)
        ahead = now - self._clock.monotonic_ns()
        timer = _Timer(trigger, times.first, times.every, times.fires, times.expires_at, ahead, size)
        self._timers[actor, trigger.name] = timer
        self._size += size
        self._counts[actor.type] += 1
        self._await(timer)

    def delete(self, actor: ActorId, name: str) -> None:
        """A fire that is under way is let finish; an unknown timer is as good as a deleted one."""
        timer = self._timers.pop((actor, name), None)
        if timer is None:
            return
        self._size -= timer.size
        self._counts[actor.type] -= 1
        if timer.date:
            timer.date.cancel()

    def stop(self) -> None:
        """Fire no more; fires under way are let finish."""
        self._agenda.close()
        self._firing.clear()
        self._timers.clear()
        self._counts.clear()

    async def close(self) -> None:
        """Stop; fires that are still under way are given up."""
        self.stop()
        await self._firing.close()

    def _is_current(self, timer: _Timer) -> bool:
        """Whether it has not been deleted or replaced meanwhile."""
        return self._timers.get((timer.trigger.actor, timer.trigger.name)) is timer

    def _await(self, timer: _Timer) -> None:
        if timer.is_over:
            self.delete(timer.trigger.actor, timer.trigger.name)
            log.info("Timer %s||%s has been completed", timer.trigger.actor, timer.trigger.name)
            return
        timer.date = self._agenda.add(timer.due - timer.ahead, timer)

    def _ring(self, timer: _Timer) -> None:
        self._firing.offer(timer.trigger.actor, timer)

    async def _fire(self, timer: _Timer, _: Place) -> None:
        if not self._is_current(timer):
            return
        trigger = timer.trigger
        try:
            await self._target.deliver_timer(trigger)
        except ClosingError:
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the schedule goes on
            log.error("Error executing timer: %s||%s: %s", trigger.actor, trigger.name, error)  # noqa: TRY400  as daprd
            self._fired(trigger.actor.type, False)
        else:
            self._fired(trigger.actor.type, True)
            timer.fired += 1
        if self._is_current(timer):
            timer.step()
            self._await(timer)


def _size(trigger: Trigger) -> int:
    texts = (trigger.actor.type, trigger.actor.id, trigger.name, trigger.due_time, trigger.period, trigger.callback)
    return _OVERHEAD + len(trigger.data or b"") + sum(map(len, texts))
