"""Time that is moved on, from one due moment to the next: all that is due at one is done before it goes on.

Rules that a change must keep:
1. The clock stands still but for whoever travels; it is never moved past a moment at which something is due.
2. At one moment what has expired is gone first, then actors end that have rested, then timers fire, then reminders;
   each kind is done, with all that it has caused, before the next begins.
3. Quiet is: no call of the API, no turn, no tick, no write under way. Who waits for it waits as long as work gets done.
"""

from __future__ import annotations

import asyncio
import math
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from dapr_state.actors.reminders import ReminderBackend
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.actors.timers import Timers
    from dapr_state.clock import VisibleClock
    from dapr_state.testmode.application import Deliveries
    from dapr_state.testmode.calls import Calls

_SECOND: Final = 1_000_000_000
TURNS: Final = 3  # of the event loop, in each of which all is quiet: what has come meanwhile is begun by then
LOOK_EVERY: Final = 0.001  # seconds, where nothing tells that it has ended


class NotQuietError(Exception):
    """Something is under way still; the text says what."""


class RunawayError(Exception):
    """More ticks than were allowed; the text names the last."""


class Parts(Struct):
    """What moves with the time that users see."""

    actors: ActorRuntime
    timers: Timers
    reminders: ReminderBackend
    calls: Calls
    deliveries: Deliveries


class Travel:
    def __init__(self, clock: VisibleClock, parts: Parts) -> None:
        self._clock = clock
        self._parts = parts
        self._ended = parts.deliveries.ended

    async def to(self, end: int, patience: float, max_ticks: int) -> None:
        """Move on to that moment, in nanoseconds since 1970. Raises NotQuietError or RunawayError."""
        parts, was_frozen = self._parts, self._clock.is_frozen
        parts.deliveries.begin()
        self._clock.hold()
        try:
            await self.quiet(patience)
            while (due := self._next_due()) is not None and due <= end:
                self._clock.move_ns(max(0, due - self._clock.nanoseconds()))
                for ring in (parts.actors.ring, parts.timers.ring, parts.reminders.ring):
                    ring()
                    await self.quiet(patience)
                if parts.deliveries.ticks > max_ticks:
                    raise RunawayError(f"more than {max_ticks} ticks: the last was {parts.deliveries.last}")
            self._clock.move_ns(max(0, end - self._clock.nanoseconds()))
        finally:
            if was_frozen:
                self._clock.release()
            else:
                self._clock.resume()

    async def quiet(self, patience: float) -> None:
        """Return when all is quiet. Raises NotQuietError once nothing has been done for so many seconds."""
        until = WAITING.monotonic() + patience
        done = self._done()
        turns = 0
        while turns < TURNS:
            self._parts.reminders.hurry()
            if self._is_idle():
                turns += 1
                await asyncio.sleep(0)
                continue
            turns = 0
            self._ended.clear()
            if done != (done := self._done()):  # what fails and is tried again gets nowhere
                until = WAITING.monotonic() + patience
            elif WAITING.monotonic() > until:
                raise NotQuietError("; ".join(self.busy()))
            await self._something()

    def _done(self) -> int:
        """A number that grows with each tick that was taken, and each call that was answered."""
        return self._parts.deliveries.done + self._parts.calls.answered

    async def _something(self) -> None:
        """Return when a call has ended, or after a moment."""
        ended = asyncio.ensure_future(self._ended.wait())
        await WAITING.wait([ended], timeout=LOOK_EVERY)
        ended.cancel()

    def busy(self) -> list[str]:
        """What is under way, in words."""
        parts = self._parts
        found = [*parts.deliveries.busy(), *parts.calls.busy()]
        if not found and not parts.actors.is_idle:
            found = [f"{actor.type}/{actor.id} has a turn" for actor in parts.actors.busy()] or ["actors that end"]
        if not found and not parts.timers.is_idle:
            found = ["a timer"]
        if not found and not parts.reminders.is_idle:
            found = ["a reminder that waits for its application or its store"]
        return found

    def _is_idle(self) -> bool:
        parts = self._parts
        return (
            parts.calls.is_idle
            and not parts.deliveries.busy()
            and parts.actors.is_idle
            and parts.timers.is_idle
            and parts.reminders.is_idle
        )

    def _next_due(self) -> int | None:
        """The moment at which something falls due next, in nanoseconds since 1970."""
        ahead = self._clock.nanoseconds() - self._clock.monotonic_ns()
        rested, timer = self._parts.actors.next_due, self._parts.timers.next_due
        found = (
            None if rested is None else math.ceil(rested * _SECOND) + ahead,
            None if timer is None else timer + ahead,
            self._parts.reminders.next_due,
        )
        return min((when for when in found if when is not None), default=None)
