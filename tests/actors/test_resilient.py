"""Actors under policies: what callers are told and when, and that no turn begins beside another meanwhile."""

from __future__ import annotations

import asyncio
import os
import random
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.actors.config import Registration, TypeConfig
from dapr_state.actors.overdue import LateError
from dapr_state.actors.placement.base import Embedded, NoHostError
from dapr_state.actors.resilient import ActorGuard, RefusedError, ResilientCalls
from dapr_state.actors.router import ActorRouter
from dapr_state.actors.runtime import ActorRuntime
from dapr_state.app.callbacks import Reply
from dapr_state.app.model import ActorCall, ActorId, AppAnswer, AppError, MissingMethodError, Trigger
from dapr_state.clock import ManualClock
from dapr_state.resiliency import trip
from dapr_state.resiliency.breaker import State
from dapr_state.resiliency.guard import Counts
from dapr_state.resiliency.policies import BOTH, ID, TYPE, BreakerRule, Chosen, Named, Retry
from tests.actors.apps import App, steps

if TYPE_CHECKING:
    from collections.abc import Sequence

STEP = 1 / 16  # seconds that the clock is moved at a time: all times below are whole numbers of them
CALLS = int(os.environ.get("CALLS", "3000"))  # scripts/soak-resiliency makes more of them


class Scripted(App):
    """`fates` has what becomes of one call after the other: an answer, or an error; then all is well."""

    def __init__(self) -> None:
        super().__init__()
        self.fates: list[Exception | AppAnswer] = []

    async def invoke(self, call: ActorCall) -> AppAnswer:
        answer = await super().invoke(call)
        fate = self.fates.pop(0) if self.fates else answer
        if isinstance(fate, Exception):
            raise fate
        return fate


class Scene:
    """A runtime with an application, and calls under policies, on a turned clock."""

    def __init__(self, **policies: Any) -> None:
        self.clock = ManualClock()
        self.app = Scripted()
        self.runtime = ActorRuntime(has_app=True, clock=self.clock, waiting=self.clock)
        self.runtime.host(Registration({"cart": TypeConfig(idle_timeout=3600)}), self.app)
        self.router = ActorRouter(self.runtime, Embedded(self.runtime.is_hosted))
        self.guard = self.under(**policies)

    def under(
        self,
        *,
        timeout: float = 0.0,
        retry: Retry | None = None,
        rule: BreakerRule | None = None,
        scope: str = TYPE,
        longest_turn: float = 0.0,
        cache_size: int = 5000,
    ) -> ActorGuard:
        chosen = Chosen(
            Named("t", timeout) if timeout else None,
            Named("r", retry) if retry else None,
            Named("tb", rule) if rule else None,
            scope,
            cache_size,
            longest_turn,
        )
        guard = ActorGuard("cart", chosen, Counts(), self.clock)
        self.runtime.be_patient(lambda _: guard.patience)
        self.calls = ResilientCalls(self.router, lambda _: guard)
        return guard

    def call(self, method: str, name: str = "1") -> asyncio.Task[AppAnswer]:
        return asyncio.ensure_future(self.calls.invoke(ActorCall(ActorId("cart", name), method)))

    async def pass_time(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP)):
            await steps()
            self.clock.advance(STEP)
        await steps()

    async def end(self, call: asyncio.Task[AppAnswer]) -> AppAnswer:
        while not call.done():
            await self.pass_time(STEP)
        return await call


THREE = Retry(duration=0.25, max_retries=3)
OFTEN = BreakerRule(trip.parse("consecutiveFailures > 2"), timeout=5.0)
NO = AppError("error from actor service: (500) no")


async def test_a_failing_method_is_called_again() -> None:
    """Two failures and a success are three calls; four failures are what the caller is told."""
    scene = Scene(retry=THREE)
    scene.app.fates = [NO, NO]
    assert (await scene.end(scene.call("buy"))).body == b"buy"
    scene.app.fates = [NO] * 4
    with pytest.raises(AppError, match="500"):
        await scene.end(scene.call("buy"))

    assert len(scene.app.calls) == 7
    assert scene.clock.monotonic() == 0.25 * 5
    assert scene.guard.counts.retried == 2


MISSING = MissingMethodError("actor method not found: actors/cart/1/method/buy")


async def test_a_method_that_is_not_there_is_an_answer() -> None:
    """It is neither called again, nor a failure of the application."""
    scene = Scene(retry=THREE, rule=OFTEN)
    for _ in range(5):
        scene.app.fates = [MISSING]
        with pytest.raises(MissingMethodError):
            await scene.end(scene.call("buy"))

    assert len(scene.app.calls) == 5
    assert scene.guard.breakers()[0].state is State.CLOSED


async def test_a_body_that_speaks_of_a_missing_method_is_a_failure_like_others() -> None:
    """What the application writes into an error decides nothing."""
    scene = Scene(retry=THREE)
    scene.app.fates = [AppError("error from actor service: (500) actor method not found: x")]

    assert (await scene.end(scene.call("buy"))).body == b"buy"
    assert len(scene.app.calls) == 2


async def test_an_error_in_a_header_is_repeated_and_told_as_it_is() -> None:
    """As daprd: the last answer is the caller's, with status 200."""
    scene = Scene(retry=THREE)
    told = Reply(200, [(b"X-DaprErrorResponseHeader", b"yes")], b"details").to_answer()
    scene.app.fates = [told] * 4

    assert (await scene.end(scene.call("buy"))).body == b"details"
    assert len(scene.app.calls) == 4


async def test_a_type_that_nobody_hosts_is_looked_up_again() -> None:
    """A policy on it says how often."""
    scene = Scene(retry=THREE, rule=BreakerRule())
    call = asyncio.ensure_future(scene.calls.invoke(ActorCall(ActorId("nobody", "1"), "buy")))
    with pytest.raises(NoHostError):
        await scene.end(call)

    assert scene.clock.monotonic() == 0.75


async def test_a_timeout_is_told_at_its_time_and_the_turn_stays_taken() -> None:
    """The one behind begins when the application has answered, and not before."""
    scene = Scene(timeout=0.5)
    first = scene.call("wait")
    await scene.pass_time(0.5 + 2 * STEP)
    with pytest.raises(LateError, match="context deadline exceeded"):
        await first
    second = scene.call("buy")
    await scene.pass_time(0.25)
    active = scene.runtime.find(ActorId("cart", "1"))
    assert active is not None

    assert [turn.what.method for turn in active.turns.all() if isinstance(turn.what, ActorCall)] == ["wait", "buy"]
    assert scene.app.log == ["+1 wait"]
    scene.app.release()
    assert (await scene.end(second)).body == b"buy"
    assert scene.app.log == ["+1 wait", "-1 wait", "+1 buy", "-1 buy"]
    assert scene.runtime.overdue.held == []


async def test_who_waits_behind_calls_that_are_in_time_is_not_timed_out() -> None:
    """Three calls of 0.4 s each to one actor under half a second: the last is answered after 1.2 s, as by daprd."""
    scene = Scene(timeout=0.5)
    calls = [scene.call("wait") for _ in range(3)]
    for call in calls:
        await scene.pass_time(0.375)
        scene.app.release()
        assert (await scene.end(call)).body == b"wait"


async def test_who_waits_behind_an_overdue_turn_waits_no_longer_than_for_an_answer() -> None:
    """An application that hangs in one method answers for none of the calls behind it: each is told in time."""
    scene = Scene(timeout=0.5)
    calls = [scene.call("wait"), *(scene.call("buy") for _ in range(5))]
    await scene.pass_time(0.75)
    late = scene.call("buy")
    await scene.pass_time(1.0)

    assert [type(call.exception()) for call in (*calls, late) if call.done()] == [LateError] * 7
    assert scene.app.log == ["+1 wait"]
    scene.app.release()
    assert (await scene.end(scene.call("again"))).body == b"again"


async def test_the_answer_that_comes_late_is_the_answer() -> None:
    """A method of 1.1 s under half a second and three retries runs once; daprd runs it four times, beside itself."""
    scene = Scene(timeout=0.5, retry=THREE)
    call = scene.call("wait")
    await scene.pass_time(1.125)
    scene.app.release()

    assert (await scene.end(call)).body == b"wait"
    assert scene.app.log == ["+1 wait", "-1 wait"]


async def test_a_failure_that_comes_late_is_repeated() -> None:
    """The second call begins after the first has ended."""
    scene = Scene(timeout=0.5, retry=THREE)
    scene.app.fates = [NO]
    call = scene.call("wait")
    await scene.pass_time(0.625)
    scene.app.release()
    await scene.pass_time(0.5)
    scene.app.release()

    assert (await scene.end(call)).body == b"wait"
    assert scene.app.log == ["+1 wait", "-1 wait", "+1 wait", "-1 wait"]


async def test_a_caller_that_leaves_leaves_the_turn_to_its_method() -> None:
    """He is let go at once; the next turn begins when the application has answered."""
    scene = Scene(timeout=5.0)
    call = scene.call("wait")
    await steps()
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    behind = scene.call("buy")
    await steps()

    assert scene.app.log == ["+1 wait"]
    scene.app.release()
    assert (await scene.end(behind)).body == b"buy"


async def test_the_longest_turn_of_a_type_ends_what_hangs(caplog: pytest.LogCaptureFixture) -> None:
    """The operator's bound: the call is given up, the log names actor and method, and the next turn begins."""
    scene = Scene(timeout=0.5, longest_turn=2.0)
    first = scene.call("wait")
    await scene.pass_time(0.625)
    assert [(str(held.actor), held.method) for held in scene.runtime.overdue.held] == [("cart||1", "wait")]
    await scene.pass_time(1.25)
    behind = scene.call("buy")
    assert (await scene.end(behind)).body == b"buy"

    assert isinstance(first.exception(), LateError)
    assert scene.app.log[:2] == ["+1 wait", "-1 wait"]
    assert "Actor 'cart||1' has not answered wait within 500ms: its turn stays taken" in caplog.text
    assert "Actor 'cart||1' has not answered wait within 2s, its longest turn" in caplog.text


async def test_the_longest_turn_needs_no_timeout() -> None:
    """Alone, it is what the caller is told as well."""
    scene = Scene(longest_turn=2.0)
    with pytest.raises(AppError, match="did not answer within 2s, the longest turn"):
        await scene.end(scene.call("wait"))

    assert scene.clock.monotonic() == pytest.approx(2.0, abs=2 * STEP)


@pytest.mark.parametrize("before", [{}, {"timeout": 100.0}, {"longest_turn": 100.0}])
async def test_a_turn_that_hangs_is_measured_by_the_policies_that_come(
    before: dict[str, float], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """From its begin on: the operator sees what hangs, who waits behind it is told, and the longest turn ends it."""
    scene = Scene(**before)
    monkeypatch.setattr("dapr_state.actors.turns._now", scene.clock.monotonic)
    hanging, queued = scene.call("wait"), scene.call("wait")
    await scene.pass_time(1.0)
    scene.under(timeout=0.5, longest_turn=2.0)
    late = scene.call("buy")
    await scene.pass_time(0.625)
    assert [(held.method, held.began) for held in scene.runtime.overdue.held] == [("wait", 0.0)]
    assert isinstance(late.exception(), LateError)
    await scene.pass_time(0.5)
    with pytest.raises(AppError, match="did not answer within 2s, the longest turn"):
        await hanging
    await scene.pass_time(2.125)

    assert queued.done()
    assert scene.app.log == ["+1 wait", "-1 wait"] * 2
    assert caplog.text.count("has not answered wait within 500ms: its turn stays taken") == 2
    assert not scene.runtime.overdue.is_watching


async def test_policies_that_go_leave_turns_alone() -> None:
    """What was to be cut under them runs to its end."""
    scene = Scene(longest_turn=2.0)
    call = scene.call("wait")
    await scene.pass_time(1.0)
    scene.runtime.be_patient(None)
    await scene.pass_time(5.0)
    scene.app.release()

    assert (await scene.end(call)).body == b"wait"


async def test_the_log_is_not_flooded_by_calls_that_hang(caplog: pytest.LogCaptureFixture) -> None:
    """Of a thousand actors in one second one is named, and the next line says how many there were."""
    scene = Scene(timeout=0.5)
    calls = [scene.call("wait", str(number)) for number in range(1000)]
    await scene.pass_time(1.125)
    late = scene.call("wait", "late")
    await scene.pass_time(1.0)
    lines = [line for line in caplog.messages if "has not answered" in line]

    assert all(isinstance(call.exception(), LateError) for call in (*calls, late))
    assert len(lines) == 2
    assert lines[1].endswith("(999 more calls of its type since the last such line)")


async def test_what_an_application_owes_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """As many calls or octets as it may owe, and others are refused at once, until it has answered one."""
    monkeypatch.setattr("dapr_state.actors.overdue.HELD", 3)
    monkeypatch.setattr("dapr_state.actors.overdue.HELD_OCTETS", 100)
    scene = Scene(timeout=0.5)
    for number in range(3):
        scene.call("wait", str(number))
    await scene.pass_time(1.0)
    refused = scene.call("buy", "another")
    await steps()
    with pytest.raises(AppError, match="too many calls wait for an answer of the application after their time: 3, "):
        await refused
    scene.app.release(1)
    await steps()
    large = scene.calls.invoke(ActorCall(ActorId("cart", "large"), "wait", b"x" * 100))
    late = asyncio.ensure_future(large)
    await scene.pass_time(1.0)
    assert isinstance(late.exception(), LateError)
    scene.app.release(2)
    await steps()
    with pytest.raises(AppError, match=r"after their time: 1, with 100 octets"):
        await scene.end(scene.call("buy", "another"))
    scene.app.release()
    await steps()

    assert (await scene.end(scene.call("buy", "another"))).body == b"buy"


async def test_turns_that_are_cut_at_one_time_are_cut_in_slices(caplog: pytest.LogCaptureFixture) -> None:
    """Of hundreds one is named, and others are served in between."""
    scene = Scene(longest_turn=1.0)
    calls = [scene.call("wait", str(number)) for number in range(200)]
    await steps()
    scene.clock.advance(1.0)
    cut, turns = -1, 0
    while cut < len(calls):
        cut, before = sum(call.done() for call in calls), cut
        turns += cut > max(before, 0)
        await asyncio.sleep(0)

    assert turns >= 200 // 20
    assert len([line for line in caplog.messages if "its longest turn" in line]) == 1


async def test_reminders_and_timers_have_their_time_and_no_more() -> None:
    """Neither repeated nor counted by breakers; the turn stays taken, and one that comes again waits for it."""
    scene = Scene(timeout=0.5, retry=THREE, rule=OFTEN)
    for _ in range(3):
        fired = asyncio.ensure_future(scene.router.deliver_reminder(Trigger(ActorId("cart", "1"), "wait")))
        await scene.pass_time(1.25)
        with pytest.raises(LateError):
            await fired

    assert scene.app.log == ["+1 remind/wait"]
    assert scene.guard.breakers()[0].state is State.CLOSED
    assert scene.guard.counts.late == 3


@pytest.mark.parametrize(
    ("scope", "open_to"),
    [(TYPE, set()), (ID, {"2", "3", "4"}), (BOTH, {"3", "4"})],
)
async def test_breakers_count_by_type_by_actor_or_by_both(scope: str, open_to: set[str]) -> None:
    """Actor 1 fails thrice, which opens what it is counted by; then 2 does, which opens a type's for all of them."""
    scene = Scene(rule=OFTEN, scope=scope)
    names = ("1", "2", "3", "4")

    async def answers(name: str) -> bool:
        try:
            await scene.end(scene.call("buy", name))
        except RefusedError:
            return False
        return True

    scene.app.fates = [NO] * 3
    for _ in range(3):
        with pytest.raises(AppError):
            await scene.end(scene.call("buy", "1"))
    if scope == BOTH:  # that of the type is open as well: three failures in a row are three
        assert [await answers(name) for name in names] == [False] * 4
        scene.clock.advance(5.0)
        await scene.end(scene.call("buy", "3"))
        assert [await answers(name) for name in ("3", "4")] == [True, True]
        return
    assert {name for name in names if await answers(name)} == open_to


async def test_breakers_of_actors_are_forgotten_at_their_bound() -> None:
    """The one that was used least recently: a caller can make up any number of ids."""
    scene = Scene(rule=OFTEN, scope=ID, cache_size=3)
    for number in range(50):
        await scene.end(scene.call("buy", str(number)))

    assert [breaker.name for breaker in scene.guard.breakers()] == ["tb-cart-47", "tb-cart-48", "tb-cart-49"]


async def test_a_guard_that_comes_in_anothers_place_keeps_its_breakers() -> None:
    """A reload that changes the retry alone closes no breaker."""
    scene = Scene(rule=OFTEN, scope=ID)
    scene.app.fates = [NO] * 3
    for _ in range(3):
        with pytest.raises(AppError):
            await scene.end(scene.call("buy"))
    chosen = Chosen(None, Named("r", THREE), scene.guard.chosen.breaker, ID)
    after = ActorGuard("cart", chosen, scene.guard.counts, scene.clock, before=scene.guard)
    scene.calls = ResilientCalls(scene.router, lambda _: after)
    with pytest.raises(RefusedError, match="circuit breaker is open"):
        await scene.end(scene.call("buy"))


async def test_no_turn_begins_beside_another(request: pytest.FixtureRequest) -> None:
    """Thousands of calls, reminders and timers of any length, with callers that leave: one method runs at a time."""
    await check_turns(CALLS, request.config.getoption("randomly_seed", default=7) or 7)


async def check_turns(number: int, seed: Any) -> None:
    """Hold that in so many calls no actor has two turns, each caller has one answer, and in the end all is at rest."""
    chance = random.Random(seed)
    scene = Scene(timeout=0.5, retry=Retry(duration=0.125, max_retries=2), rule=BreakerRule(trip.parse("false")))
    tasks: list[asyncio.Task[Any]] = []
    answered = 0
    for begun in range(number):
        actor = ActorId("cart", str(chance.randrange(8)))
        kind = chance.choices(("buy", "wait", "fail", "remind", "timer"), (8, 4, 2, 1, 1))[0]
        if kind in {"remind", "timer"}:
            trigger = Trigger(actor, chance.choice(("tick", "wait")), callback="c" if kind == "timer" else "")
            deliver = scene.router.deliver_timer if kind == "timer" else scene.router.deliver_reminder
            tasks.append(asyncio.ensure_future(deliver(trigger)))
        else:
            tasks.append(scene.call(kind, actor.id))
        if chance.random() < 0.05:
            chance.choice(tasks).cancel()
        if chance.random() < 0.3:
            scene.app.release(chance.randrange(1, 4))
        if chance.random() < 0.4:
            scene.clock.advance(STEP * chance.randrange(1, 8))
        if chance.random() < 0.6:
            await steps(chance.randrange(1, 6))
        if begun % 200 == 0:
            answered += sum(task.done() for task in tasks)
            tasks = [task for task in tasks if not task.done()]
    while tasks:
        scene.app.release()
        await scene.pass_time(STEP)
        answered += sum(task.done() for task in tasks)
        tasks = [task for task in tasks if not task.done()]
    for _ in range(50):
        scene.app.release()
        await scene.pass_time(STEP)

    assert answered == number
    assert _most_at_a_time(scene.app.log) <= 1
    assert set(scene.app.most.values()) == {1}
    assert scene.runtime.overdue.held == []
    assert not any(activation.turns.is_busy for activation in scene.runtime._directory.busy())


def _most_at_a_time(log: Sequence[str]) -> int:
    """Methods of one actor that ran beside each other, by the application's own account."""
    running: dict[str, int] = {}
    most = 0
    for line in log:
        actor = line[1:].partition(" ")[0]
        running[actor] = running.get(actor, 0) + (1 if line[0] == "+" else -1)
        most = max(most, running[actor])
    return most
