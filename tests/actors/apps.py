"""An application in the test's own process, that answers when it is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from dapr_state.app.channel import AppChannel
from dapr_state.app.model import AppAnswer, AppError

if TYPE_CHECKING:
    from dapr_state.app.model import ActorCall, ActorId, Trigger


class App(AppChannel):
    """Methods named `wait…` are held until `release`; `fail…` fail. `log` has the beginning and end of each request."""

    def __init__(self) -> None:
        self.log: list[str] = []
        self.calls: list[ActorCall] = []
        self.holds_deactivations = False
        self.running: Counter[str] = Counter()  # methods by actor
        self.most: Counter[str] = Counter()  # the most that ran at a time
        self._held: list[asyncio.Future[None]] = []

    def release(self, number: int = 1000) -> None:
        for held in self._held[:number]:
            if not held.done():
                held.set_result(None)
        del self._held[:number]

    async def invoke(self, call: ActorCall) -> AppAnswer:
        self.calls.append(call)
        return await self._do(call.actor, call.method)

    async def remind(self, trigger: Trigger) -> AppAnswer:
        return await self._do(trigger.actor, f"remind/{trigger.name}")

    async def timer(self, trigger: Trigger) -> AppAnswer:
        return await self._do(trigger.actor, f"timer/{trigger.name}")

    async def deactivate(self, actor: ActorId) -> None:
        await self._do(actor, "wait-end" if self.holds_deactivations else "end")

    async def _do(self, actor: ActorId, what: str) -> AppAnswer:
        self.log.append(f"+{actor.id} {what}")
        self.running[actor.id] += 1
        self.most[actor.id] = max(self.most[actor.id], self.running[actor.id])
        try:
            if "wait" in what:
                held: asyncio.Future[None] = asyncio.get_running_loop().create_future()
                self._held.append(held)
                await held
            if "fail" in what:
                raise AppError("error from actor service: (500) no")
            return AppAnswer((), what.encode())
        finally:
            self.running[actor.id] -= 1
            self.log.append(f"-{actor.id} {what}")


async def steps(number: int = 20) -> None:
    """Let everyone go on who can."""
    for _ in range(number):
        await asyncio.sleep(0)
