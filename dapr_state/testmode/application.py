"""The application's channel as a test has it: what is under way in it, what came of each tick, and what faults do."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dapr_state.app.channel import AppChannel
from dapr_state.app.model import AppAnswer, AppError
from dapr_state.clock import WAITING
from dapr_state.testmode import faults
from dapr_state.testmode.faults import APP_CALL, REMINDER, TIMER

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from dapr_state.actors.config import Registration
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.app.model import ActorCall, ActorId, Trigger
    from dapr_state.testmode.calls import Calls
    from dapr_state.testmode.faults import Fault, Faults

    Sending = Callable[[], Coroutine[Any, Any, AppAnswer]]

GIVEN_UP: Final = "the test has ended"
_WORDS: Final[dict[int, str]] = {APP_CALL: "method", REMINDER: "reminder", TIMER: "timer"}


class Deliveries:
    """What was delivered to the application since it was last asked for, and what is under way."""

    def __init__(self) -> None:
        self.reminders = self.timers = self.deactivations = self.ticks = 0
        self.done = 0  # of all three, ever
        self.failures: list[str] = []
        self.last = ""  # tick
        self.met: set[ActorId] = set()  # the actors that the application was really asked for, and that are active
        self._running: dict[asyncio.Task[Any], tuple[str, float]] = {}
        self._given_up: set[asyncio.Task[Any]] = set()
        self.ended = asyncio.Event()  # set with each that ends

    def begin(self) -> None:
        """Count anew."""
        self.reminders = self.timers = self.deactivations = self.ticks = 0
        self.failures = []

    def busy(self) -> list[str]:
        """What the application has not answered yet."""
        now = WAITING.monotonic()
        return [f"{what} for {now - began:.1f} s" for what, began in self._running.values()]

    def give_up(self) -> None:
        """Nobody waits for the application any more."""
        for task in self._running:
            self._given_up.add(task)
            task.cancel()

    async def of(self, what: str, sending: Coroutine[Any, Any, AppAnswer]) -> AppAnswer:
        task = asyncio.ensure_future(sending)
        self._running[task] = what, WAITING.monotonic()
        try:
            return await task
        except asyncio.CancelledError:
            if task in self._given_up:
                raise AppError(GIVEN_UP) from None
            task.cancel()
            raise
        finally:
            self._given_up.discard(task)
            del self._running[task]
            self.ended.set()


class TestedChannel(AppChannel):
    """Everything that the sidecar asks of the application goes through it."""

    __test__ = False  # pytest takes the name for one of its own

    def __init__(self, inner: AppChannel, found: Faults, deliveries: Deliveries, calls: Calls) -> None:
        self._inner = inner
        self._faults = found
        self._deliveries = deliveries
        self._calls = calls

    async def invoke(self, call: ActorCall) -> AppAnswer:
        return await self._ask(APP_CALL, call.actor, call.method, lambda: self._inner.invoke(call))

    async def remind(self, trigger: Trigger) -> AppAnswer:
        with self._tick(REMINDER, trigger):
            answer = await self._ask(REMINDER, trigger.actor, trigger.name, lambda: self._inner.remind(trigger))
            self._deliveries.reminders += 1
            self._deliveries.done += 1
        return answer

    async def timer(self, trigger: Trigger) -> AppAnswer:
        with self._tick(TIMER, trigger):
            answer = await self._ask(TIMER, trigger.actor, trigger.name, lambda: self._inner.timer(trigger))
            self._deliveries.timers += 1
            self._deliveries.done += 1
        return answer

    async def deactivate(self, actor: ActorId) -> None:
        async def sending() -> AppAnswer:
            await self._inner.deactivate(actor)
            return AppAnswer()

        if actor not in self._deliveries.met:  # all calls of it were dropped: SDKs fail at what they do not know
            return
        self._deliveries.met.discard(actor)
        with self._calls.recorded("app", "deactivate", f"{actor.type}/{actor.id}"):
            await self._deliveries.of(f"{actor.type}/{actor.id} deactivation", sending())
        self._deliveries.deactivations += 1
        self._deliveries.done += 1

    @contextmanager
    def _tick(self, kind: int, trigger: Trigger) -> Iterator[None]:
        told = f"{trigger.actor.type}/{trigger.actor.id} {_WORDS[kind]} {trigger.name}"
        self._deliveries.ticks += 1
        self._deliveries.last = told
        try:
            yield
        except AppError as error:
            self._deliveries.failures.append(f"{told}: {error}")
            raise

    async def _ask(self, on: int, actor: ActorId, name: str, send: Sending) -> AppAnswer:
        what = f"{actor.type}/{actor.id} {_WORDS[on]} {name}"
        fault = self._faults.of_actor(on, actor.type, actor.id, name)

        def really() -> Coroutine[Any, Any, AppAnswer]:
            self._deliveries.met.add(actor)
            return send()

        with self._calls.recorded("app", _WORDS[on], f"{actor.type}/{actor.id}/{name}"):
            return await self._deliveries.of(what, self._faulty(fault, on, really) if fault else really())

    async def _faulty(self, fault: Fault, on: int, send: Sending) -> AppAnswer:
        if not await fault.wait():
            return await send()
        match fault.effect:
            case "drop_connection" if on != APP_CALL:
                return AppAnswer()  # a tick that is lost: nobody learns of it
            case "drop_connection":
                raise AppError("EOF")
            case "after_commit":
                await send()
                raise AppError("EOF")
            case "hang":
                raise AppError(faults.TAKEN_AWAY)
            case _:
                raise AppError(f"error from actor service: (500) {fault.text}")


class TestedRuntime:
    """Who is told what the application hosts, in the place of the actors' runtime."""

    __test__ = False

    def __init__(
        self, runtime: ActorRuntime, deliveries: Deliveries, put_on: Callable[[AppChannel], AppChannel]
    ) -> None:
        self._runtime = runtime
        self._deliveries = deliveries
        self._put_on = put_on

    def host(self, hosted: Registration, channel: AppChannel) -> None:
        self._runtime.host(hosted, self._put_on(channel))

    async def unhost(self, types: Any) -> None:
        self._deliveries.met.clear()  # the next process of the application knows none of them
        await self._runtime.unhost(types)
