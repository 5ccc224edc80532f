"""Where triggers of timers and reminders arrive in tests, and how a turned clock lets them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dapr_state.app.model import ActorId, AppAnswer

if TYPE_CHECKING:
    from dapr_state.app.model import Trigger
    from dapr_state.clock import ManualClock, VisibleClock

CART = ActorId("cart", "1")
CANCEL = AppAnswer((("X-Daprremindercancel", "true"),))

STEPS = 80  # turns of the event loop that all that is due gets before the clock moves on


class TriggerTarget:
    """Hosts `types`, and answers each trigger at once, or with the error that `fails` has for it, or when told."""

    def __init__(self, clock: VisibleClock, *types: str) -> None:
        self.types = {*types} or {CART.type}
        self.began = clock.now()
        self.seen: list[tuple[str, float]] = []  # name and seconds from the beginning
        self.triggers: list[Trigger] = []
        self.fails: list[Exception] = []
        self.answer = AppAnswer()
        self.gate: asyncio.Event | None = None  # answers wait for it
        self.running: list[str] = []
        self._clock = clock

    def is_hosted(self, actor_type: str) -> bool:
        return actor_type in self.types

    async def deliver_timer(self, trigger: Trigger) -> AppAnswer:
        return await self._take(trigger)

    async def deliver_reminder(self, trigger: Trigger) -> AppAnswer:
        return await self._take(trigger)

    async def _take(self, trigger: Trigger) -> AppAnswer:
        self.seen.append((trigger.name, self._clock.now() - self.began))
        self.triggers.append(trigger)
        answer = self.answer
        self.running.append(trigger.name)
        try:
            if self.gate:
                await self.gate.wait()
        finally:
            self.running.remove(trigger.name)
        if self.fails:
            raise self.fails.pop(0)
        return answer

    def times(self, name: str = "n") -> list[float]:
        return [when for each, when in self.seen if each == name]


async def settle(clock: ManualClock) -> None:
    """Let everything happen that is due now."""
    for _ in range(STEPS):
        clock.advance(0)
        await asyncio.sleep(0)


async def turn(clock: ManualClock, seconds: float, step: float = 0.5) -> None:
    """Let time pass, and at each step everything happen that is due."""
    await settle(clock)
    for _ in range(round(seconds / step)):
        clock.advance(step)
        await settle(clock)
