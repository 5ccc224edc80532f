"""Timers: callbacks to actors that live and die with this process.

Each timer has a clock alarm or a task of its own, so that none waits for another and none overlaps with itself. A tick
that comes late is not left out: the next one is counted from when it should have been.
"""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from dapr_state.actors import schedule
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import ScheduleError
from dapr_state.app.model import ActorId, AppAnswer, Tick
from dapr_state.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.actors.schedule import Interval
    from dapr_state.clock import Alarm, Clock

log = logging.getLogger("dapr.runtime.actor.timers")

Key = tuple[ActorId, str]


class Host(Protocol):
    """Who brings ticks to the actors."""

    def is_hosted(self, actor_type: str, /) -> bool: ...

    async def deliver_timer(self, tick: Tick, /) -> AppAnswer: ...


class _Timer(Struct, eq=False):
    """One registration. `ahead` is fixed, so that a wall clock that is set later does not move the ticks."""

    tick: Tick
    due: float
    every: Interval | None
    left: int | None  # fires to come; None: without end
    expires_at: float | None
    ahead: float  # how far wall time was ahead of monotonic time at the registration
    alarm: Alarm | None = None

    @property
    def is_over(self) -> bool:
        return self.left == 0 or (self.expires_at is not None and self.due >= self.expires_at)

    def step(self) -> None:
        """Go on to the next tick."""
        if self.left is not None:
            self.left -= 1
        if self.every is None:
            self.left = 0
        else:
            self.due = self.every.after(self.due)


class Timers:
    """All timers of one sidecar. `fired` is told the type, and whether the application took the tick."""

    def __init__(self, host: Host, clock: Clock = SYSTEM, fired: Callable[[str, bool], None] = lambda *_: None) -> None:
        self._host = host
        self._clock = clock
        self._fired = fired
        self._timers: dict[Key, _Timer] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<Timers {len(self._timers)}, {len(self._tasks)} firing>"

    def counts(self) -> dict[str, int]:
        """The number of timers of each type."""
        counts: dict[str, int] = {}
        for actor, _ in self._timers:
            counts[actor.type] = counts.get(actor.type, 0) + 1
        return counts

    def create(self, tick: Tick, ttl: str = "") -> None:
        """Start a timer as its tick says, in the place of one of the same name. Raises ScheduleError."""
        actor, now = tick.actor, self._clock.now()
        if not self._host.is_hosted(actor.type):
            raise ScheduleError(f"can't create timer for actor {actor}: actor type not registered")
        plan = schedule.timer(tick.due_time, tick.period, ttl, now)
        if plan.expires_at is not None and plan.expires_at < max(plan.first, now):
            due = schedule.time_text(plan.first)
            raise ScheduleError(f"timer {actor}||{tick.name} has already expired: dueTime: {due} TTL: {ttl}")
        self.delete(actor, tick.name)
        ahead = now - self._clock.monotonic()
        timer = _Timer(tick, plan.first, plan.every, plan.fires, plan.expires_at, ahead)
        self._timers[actor, tick.name] = timer
        self._await(timer)

    def delete(self, actor: ActorId, name: str) -> None:
        """A fire that is under way is let finish; an unknown timer is as good as a deleted one."""
        timer = self._timers.pop((actor, name), None)
        if timer and timer.alarm:
            timer.alarm.cancel()

    def stop(self) -> None:
        """Fire no more; fires under way are let finish."""
        for actor, name in list(self._timers):
            self.delete(actor, name)

    async def close(self) -> None:
        """Stop; fires that are still under way are given up."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _await(self, timer: _Timer) -> None:
        if timer.is_over:
            self.delete(timer.tick.actor, timer.tick.name)
            log.info("Timer %s||%s has been completed", timer.tick.actor, timer.tick.name)
            return
        timer.alarm = self._clock.call_at(timer.due - timer.ahead, partial(self._ring, timer))

    def _ring(self, timer: _Timer) -> None:
        timer.alarm = None
        task = asyncio.ensure_future(self._fire(timer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _fire(self, timer: _Timer) -> None:
        tick = timer.tick
        try:
            await self._host.deliver_timer(tick)
        except ClosingError:
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the schedule goes on
            log.error("Error executing timer: %s||%s: %s", tick.actor, tick.name, error)  # noqa: TRY400  as daprd
            self._fired(tick.actor.type, False)
        else:
            self._fired(tick.actor.type, True)
        if self._timers.get((tick.actor, tick.name)) is timer:  # it may have been deleted or replaced meanwhile
            timer.step()
            self._await(timer)
