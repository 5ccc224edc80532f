"""Calls in their turns, activation and its end, reentrancy, and the drain."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.actors.config import Registration, TypeConfig
from dapr_state.actors.placement.base import Embedded, NoHostError
from dapr_state.actors.router import ActorRouter
from dapr_state.actors.runtime import REENTRANCY_HEADER, ActorRuntime, ClosingError
from dapr_state.actors.turns import TooDeepError
from dapr_state.app.model import ActorCall, ActorId, AppAnswer, AppError, Trigger
from dapr_state.clock import ManualClock
from tests.actors.apps import App, steps

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator

    from dapr_state.actors.placement.base import Claim

TYPES = {
    "cart": TypeConfig(idle_timeout=10),
    "re": TypeConfig(idle_timeout=10, reentrant=True, max_depth=2),
}


class Gates(Embedded):
    """Types that are `closed` cannot be looked up until they are `open`ed, as while actors move."""

    def __init__(self, runtime: ActorRuntime) -> None:
        super().__init__(runtime.is_hosted)
        self.closed: set[str] = set()
        self._opened = asyncio.Event()

    def open(self) -> None:
        self.closed.clear()
        self._opened.set()

    def lookup_now(self, actor: ActorId) -> Claim | None:
        return None if actor.type in self.closed else super().lookup_now(actor)

    async def lookup(self, actor: ActorId) -> Claim:
        await self._opened.wait()
        return await super().lookup(actor)


class Scene:
    """A runtime with an application, on a turned clock."""

    def __init__(self, *, is_hosted: bool = True) -> None:
        self.clock = ManualClock()
        self.app = App()
        self.runtime = ActorRuntime(has_app=True, clock=self.clock, waiting=self.clock)
        self.placement = Gates(self.runtime)
        self.router = ActorRouter(self.runtime, self.placement)
        self.deactivated: list[tuple[str, bool]] = []
        self.runtime.on_deactivated = lambda actor_type, *, is_failed: self.deactivated.append((actor_type, is_failed))
        if is_hosted:
            self.host()

    def host(self) -> None:
        self.runtime.host(Registration(TYPES), self.app)

    def call(
        self, method: str, name: str = "1", actor_type: str = "cart", reentrancy_id: str = ""
    ) -> asyncio.Task[AppAnswer]:
        headers = ((REENTRANCY_HEADER.lower(), reentrancy_id),) if reentrancy_id else ()
        return asyncio.create_task(self.router.invoke(ActorCall(ActorId(actor_type, name), method, b"", headers)))


async def test_calls_of_one_actor_take_turns() -> None:
    """One after another at one actor, at the same time at others, in the order in which they came."""
    scene = Scene()
    calls = [scene.call("wait1"), scene.call("second"), scene.call("third"), scene.call("other", "2")]
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    answers = await asyncio.gather(*calls)

    assert seen == ["+1 wait1", "+2 other", "-2 other"]
    assert scene.app.log[3:] == ["-1 wait1", "+1 second", "-1 second", "+1 third", "-1 third"]
    assert [answer.body for answer in answers] == [b"wait1", b"second", b"third", b"other"]


async def test_a_failure_is_told_and_the_next_turn_begins() -> None:
    """An application that fails a method does not hold up the actor."""
    scene = Scene()
    outcomes = await asyncio.gather(scene.call("fail"), scene.call("next"), return_exceptions=True)

    assert repr(outcomes[0]) == "AppError('error from actor service: (500) no')"
    assert isinstance(outcomes[1], AppAnswer)


async def test_a_type_that_nobody_hosts() -> None:
    """The error has daprd's words; an actor without a name is none."""
    scene = Scene()
    with pytest.raises(NoHostError, match=r"^did not find address for actor 'unheard/1'$"):
        await scene.call("m", actor_type="unheard")
    with pytest.raises(NoHostError, match=r"^did not find address for actor '/'$"):
        await scene.call("m", "")


async def test_a_caller_who_goes_leaves_the_queue() -> None:
    """Its method is never called, and the turn that runs stays the only one."""
    scene = Scene()
    calls = [scene.call("wait"), scene.call("gone"), scene.call("last")]
    await steps()
    calls[1].cancel()
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    await asyncio.wait(calls)

    assert seen == ["+1 wait"]
    assert scene.app.log == ["+1 wait", "-1 wait", "+1 last", "-1 last"]


async def test_a_turn_that_has_begun_runs_to_its_end() -> None:
    """Its caller may go: the next turn begins only when the application has answered."""
    scene = Scene()
    calls = [scene.call("wait"), scene.call("next")]
    await steps()
    calls[0].cancel()
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    await asyncio.wait(calls)

    assert seen == ["+1 wait"]
    assert scene.app.log == ["+1 wait", "-1 wait", "+1 next", "-1 next"]
    assert calls[0].cancelled()


async def test_ticks_take_turns_too() -> None:
    """Reminders and timers wait for the turn that runs, and count as turns."""
    scene = Scene()
    call = scene.call("wait")
    await steps()
    triggers = [
        asyncio.create_task(scene.router.deliver_reminder(Trigger(ActorId("cart", "1"), "r"))),
        asyncio.create_task(scene.router.deliver_timer(Trigger(ActorId("cart", "1"), "t"))),
    ]
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    await asyncio.gather(call, *triggers)

    assert seen == ["+1 wait"]
    assert scene.app.log[2:] == ["+1 remind/r", "-1 remind/r", "+1 timer/t", "-1 timer/t"]
    assert scene.runtime.is_active(ActorId("cart", "1"))


# Reentrancy


async def test_one_id_runs_at_the_same_time() -> None:
    """Calls with the id of the running turn join it; others, and reminders, wait."""
    scene = Scene()
    calls = [
        scene.call("wait-a", actor_type="re", reentrancy_id="x"),
        scene.call("other", actor_type="re", reentrancy_id="y"),
        scene.call("wait-b", actor_type="re", reentrancy_id="x"),
    ]
    trigger = asyncio.create_task(scene.router.deliver_reminder(Trigger(ActorId("re", "1"), "r")))
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    await asyncio.gather(*calls, trigger)

    assert seen == ["+1 wait-a", "+1 wait-b"]
    assert scene.app.log[4:] == ["+1 other", "-1 other", "+1 remind/r", "-1 remind/r"]


async def test_the_application_learns_the_id() -> None:
    """A call without one is given one of its own; the caller's own is passed on."""
    scene = Scene()
    await scene.call("m", actor_type="re")
    await scene.call("m", actor_type="re")
    await scene.call("m", actor_type="re", reentrancy_id="x")
    ids = [value for call in scene.app.calls for name, value in call.headers if name.lower() == "dapr-reentrancy-id"]

    assert len(set(ids)) == 3
    assert ids[2] == "x"


async def test_too_deep_is_refused_and_the_actor_lives_on() -> None:
    """The call beyond the depth fails at once; the others end, and the next turn begins."""
    scene = Scene()
    calls = [scene.call("wait", actor_type="re", reentrancy_id="x") for _ in range(2)]
    await steps()
    with pytest.raises(TooDeepError):
        await scene.call("third", actor_type="re", reentrancy_id="x")
    later = scene.call("later", actor_type="re", reentrancy_id="y")
    await steps()
    scene.app.release()
    await asyncio.gather(*calls, later)

    assert scene.app.log[-1] == "-1 later"


async def test_a_type_without_reentrancy_ignores_the_id() -> None:
    """The id is passed on, and means nothing for the turns."""
    scene = Scene()
    calls = [scene.call("wait", reentrancy_id="x"), scene.call("second", reentrancy_id="x")]
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    await asyncio.gather(*calls)

    assert seen == ["+1 wait"]


# Deactivation


async def test_an_actor_that_rests_is_deactivated() -> None:
    """After its time, once; it counts as active until then, and the next call finds it anew."""
    scene = Scene()
    await scene.call("m")
    scene.clock.advance(9)
    await steps()
    seen = [scene.runtime.is_active(ActorId("cart", "1")), *scene.app.log[2:]]
    scene.clock.advance(1)
    await steps()

    assert seen == [True]
    assert scene.app.log[2:] == ["+1 end", "-1 end"]
    assert not scene.runtime.is_active(ActorId("cart", "1"))
    assert scene.deactivated == [("cart", False)]


async def test_a_busy_actor_is_not_deactivated() -> None:
    """However long the turn takes; the time counts from its end."""
    scene = Scene()
    call = scene.call("wait")
    await steps()
    scene.clock.advance(100)
    await steps()
    scene.app.release()
    await call
    scene.clock.advance(9)
    await steps()

    assert scene.app.log == ["+1 wait", "-1 wait"]


async def test_a_call_during_the_deactivation_waits_for_its_end() -> None:
    """The application never sees a method and the end of one actor at a time, and other actors do not wait."""
    scene = Scene()
    scene.app.holds_deactivations = True
    await scene.call("m")
    scene.clock.advance(10)
    await steps()
    call, other = scene.call("again"), scene.call("other", "2")
    await steps()
    seen = list(scene.app.log[2:])
    scene.app.release()
    await asyncio.gather(call, other)

    assert seen == ["+1 wait-end", "+2 other", "-2 other"]
    assert scene.app.most["1"] == 1
    assert scene.runtime.is_active(ActorId("cart", "1"))


# What is hosted


async def test_calls_wait_until_it_is_known_what_is_hosted() -> None:
    """`ready` returns with the first word of the application, and waits again while nothing is hosted."""
    scene = Scene(is_hosted=False)
    waiting = asyncio.create_task(scene.runtime.ready())
    await steps()
    seen = [waiting.done()]
    scene.host()
    await steps()
    seen.append(waiting.done())
    await scene.runtime.unhost(TYPES)
    seen.append(scene.runtime.is_ready)

    assert seen == [False, True, False]


async def test_those_who_wait_survive_an_application_that_was_away() -> None:
    """Their turn comes when the application hosts the type again, after the turn that never stopped."""
    scene = Scene()
    calls = [scene.call("wait"), scene.call("later")]
    await steps()
    await scene.runtime.unhost(TYPES)
    await steps()
    scene.host()
    await steps()
    seen = list(scene.app.log)
    scene.app.release()
    await asyncio.gather(*calls)

    assert seen == ["+1 wait"]
    assert scene.app.log[-1] == "-1 later"
    assert scene.app.most["1"] == 1


async def test_an_application_that_is_away_is_not_told_of_the_end() -> None:
    """Its actors end without a word."""
    scene = Scene()
    await scene.call("m")
    await scene.runtime.unhost(TYPES)
    scene.clock.advance(100)
    await steps()

    assert scene.app.log == ["+1 m", "-1 m"]
    assert scene.runtime.counts() == {}


# What has to move


async def test_an_actor_that_moves_ends_here_and_the_others_stay() -> None:
    """Those at rest are ended at once; nothing is done to actors that are not lost."""
    scene = Scene()
    await scene.call("m", "1")
    await scene.call("m", "2")
    await scene.runtime.halt(lambda actor: actor.id == "2")

    assert scene.app.log[4:] == ["+2 end", "-2 end"]
    assert scene.runtime.counts() == {"cart": 1, "re": 0}
    assert scene.deactivated == [("cart", False)]


@pytest.mark.parametrize("turns_of_the_loop", range(8))
async def test_an_actor_whose_turn_ends_just_then_is_ended(turns_of_the_loop: int) -> None:
    """Between the look at who has a turn and the wait for it: it was at rest then, and stayed active here for ever."""
    scene = Scene()
    call = scene.call("wait")
    await steps()
    scene.app.release()
    await steps(turns_of_the_loop)
    await scene.runtime.halt(lambda _: True)
    await call

    assert scene.app.log == ["+1 wait", "-1 wait", "+1 end", "-1 end"]
    assert scene.runtime.counts()["cart"] == 0


async def test_a_turn_that_ends_in_time_ends_well_and_who_waits_looks_again() -> None:
    """The one that runs has the drain time; the others are sent away at once, and look again."""
    scene = Scene()
    calls = [scene.call("wait"), scene.call("later")]
    await steps()
    scene.placement.closed.add("cart")
    halt = asyncio.create_task(scene.runtime.halt(lambda _: True))
    await steps()
    seen = scene.runtime.waiting()["cart"]
    scene.app.release()
    await halt
    log = list(scene.app.log)
    scene.placement.open()
    answers = await asyncio.gather(*calls)

    assert seen == 1  # the one who comes to end the actor
    assert log == ["+1 wait", "-1 wait", "+1 end", "-1 end"]
    assert scene.app.log[4:] == ["+1 later", "-1 later"]
    assert [answer.body for answer in answers] == [b"wait", b"later"]


@pytest.mark.parametrize(("drains", "seconds"), [(True, 2), (False, 0)])
async def test_a_turn_that_takes_longer_is_stopped_and_called_again(drains: bool, seconds: float) -> None:
    """After the drain time, or at once where the application wants none; the turn is over before the actor ends."""
    scene = Scene()
    scene.runtime.host(Registration(TYPES, drains_rebalanced=drains), scene.app)
    call = scene.call("wait")
    await steps()
    scene.placement.closed.add("cart")
    halt = asyncio.create_task(scene.runtime.halt(lambda _: True))
    await steps()
    scene.clock.advance(max(0, seconds - 0.1))
    await steps()
    before = halt.done()
    scene.clock.advance(0.1)
    await halt
    log = list(scene.app.log)
    scene.placement.open()
    await steps()
    scene.app.release()
    answer = await call

    assert before is not drains
    assert log == ["+1 wait", "-1 wait", "+1 end", "-1 end"]
    assert scene.app.log[4:] == ["+1 wait", "-1 wait"]
    assert answer.body == b"wait"


async def test_nobody_joins_a_turn_that_was_lost() -> None:
    """Its id may come before it has ended: the actor may have its next turn elsewhere already."""
    scene = Scene()
    again = ActorCall(ActorId("re", "1"), "inner", b"", ((REENTRANCY_HEADER, "x"),))
    outer = scene.call("wait", actor_type="re", reentrancy_id="x")
    await steps()
    scene.placement.closed.add("re")
    halt = asyncio.create_task(scene.runtime.halt(lambda _: True))
    await steps()
    joins = [scene.runtime.joins(again)]
    scene.clock.advance(2)
    joins.append(scene.runtime.joins(again))
    await halt
    scene.placement.open()
    await steps()
    scene.app.release()
    await outer

    assert joins == [True, False]


async def test_an_actor_that_ends_already_is_told_once() -> None:
    """Its deactivation is waited for, and not begun anew."""
    scene = Scene()
    scene.app.holds_deactivations = True
    await scene.call("m")
    scene.clock.advance(10)
    await steps()
    halt = asyncio.create_task(scene.runtime.halt(lambda _: True))
    await steps()
    seen = halt.done()
    scene.app.release()
    await halt

    assert not seen
    assert scene.app.log[2:] == ["+1 wait-end", "-1 wait-end"]


@pytest.mark.parametrize("drains", [True, False])
async def test_an_actor_that_moves_already_is_halted_once(drains: bool) -> None:
    """The second halt waits for the same end, takes its time from a turn if it gives none, and the actor lives anew."""
    scene = Scene()
    calls = [scene.call("wait"), scene.call("later")]
    await steps()
    scene.placement.closed.add("cart")
    halts = [asyncio.create_task(scene.runtime.halt(lambda _: True))]
    await steps()
    halts.append(asyncio.create_task(scene.runtime.halt(lambda _: True, drains=drains)))
    await steps()
    if drains:
        scene.app.release()
    await steps()
    seen = [halt.done() for halt in halts]
    log = list(scene.app.log)
    scene.placement.open()
    await steps()
    scene.app.release()
    await steps()

    assert seen == [True, True]
    assert log == ["+1 wait", "-1 wait", "+1 end", "-1 end"]
    assert [call.result().body for call in calls] == [b"wait", b"later"]


@pytest.mark.parametrize("closes", [ActorRuntime.unhost, ActorRuntime.drain])
async def test_an_actor_that_moves_is_free_when_its_type_goes(closes: Callable[..., Coroutine[Any, Any, None]]) -> None:
    """Its application is unwell, or the sidecar stops, while a turn of it drains: nothing waits for a turn for ever."""
    scene = Scene()
    call = scene.call("wait")
    await steps()
    halt = asyncio.create_task(scene.runtime.halt(lambda _: True))
    await steps()
    end = asyncio.create_task(closes(scene.runtime, ["cart"] if closes is ActorRuntime.unhost else None))
    await steps()
    scene.app.release()
    await steps()
    seen = [halt.done(), end.done(), call.done()]
    scene.host()

    assert seen == [True, True, True]
    assert scene.runtime.counts().get("cart") in {0, None}


# The end


async def test_a_drain_lets_turns_end_and_deactivates_all() -> None:
    """What runs ends, what waits and what comes is refused, and every actor is told."""
    scene = Scene()
    await scene.call("m", "2")
    calls = [scene.call("wait"), scene.call("waiting")]
    await steps()
    drain = asyncio.create_task(scene.runtime.drain(None))
    await steps()
    late = scene.call("late", "3")
    outcomes = await asyncio.gather(calls[1], late, return_exceptions=True)
    seen = drain.done()
    scene.app.release()
    await asyncio.gather(calls[0], drain)

    assert [type(each) for each in outcomes] == [ClosingError, ClosingError]
    assert not seen
    assert sorted(scene.app.log[4:]) == ["+1 end", "+2 end", "-1 end", "-2 end"]
    assert scene.runtime.counts() == {"cart": 0, "re": 0}


async def test_a_drain_lets_in_what_a_running_turn_calls() -> None:
    """A call with the reentrancy id of a running turn is part of it, at the same actor and at others."""
    scene = Scene()
    call = scene.call("wait", actor_type="re", reentrancy_id="x")
    await steps()
    drain = asyncio.create_task(scene.runtime.drain(None))
    await steps()
    nested = [scene.call("nested", "1", "re", "x"), scene.call("nested", "2", "re", "x")]
    answers = await asyncio.gather(*nested)
    scene.app.release()
    await asyncio.gather(call, drain)

    assert [answer.body for answer in answers] == [b"nested", b"nested"]


async def test_a_drain_tells_each_actor_once() -> None:
    """A deactivation that is under way when the drain begins is the only one of its actor."""
    scene = Scene()
    scene.app.holds_deactivations = True
    await scene.call("m")
    scene.clock.advance(10)
    await steps()
    drain = asyncio.create_task(scene.runtime.drain(None))
    await steps()
    scene.app.release()
    await drain

    assert scene.app.log[2:] == ["+1 wait-end", "-1 wait-end"]


async def test_a_drain_ends_with_its_grace() -> None:
    """A turn that does not end holds the sidecar no longer than that."""
    scene = Scene()
    call = scene.call("wait")
    await steps()
    await scene.runtime.drain(0.01)
    seen = call.done()
    scene.app.release()
    await call

    assert not seen


@pytest.mark.parametrize("seed", range(10))
async def test_random_load(seed: int) -> None:
    """Never two turns of one actor at once, every call is answered, and at the end no actor is left."""
    dice = random.Random(seed)
    scene = Scene()
    scene.app.holds_deactivations = True
    calls = []
    for _ in range(400):
        calls.append(scene.call(dice.choice(["wait", "m", "fail"]), str(dice.randrange(5))))
        _disturb(scene, dice, calls)
        if dice.random() < 0.02:
            await scene.runtime.unhost(TYPES)
            await steps(2)
            scene.host()
        await asyncio.sleep(0)
    scene.app.holds_deactivations = False
    drain = asyncio.create_task(_released(scene, calls))
    outcomes = await asyncio.gather(*calls, return_exceptions=True)
    await drain
    await scene.runtime.drain(None)
    odd = [each for each in outcomes if not isinstance(each, AppAnswer | AppError | asyncio.CancelledError)]

    assert odd == []
    assert max(scene.app.most.values()) == 1
    assert +scene.app.running == {}
    assert list(_active(scene)) == []


def _disturb(scene: Scene, dice: random.Random, calls: list[asyncio.Task[AppAnswer]]) -> None:
    if dice.random() < 0.3:
        scene.app.release(dice.randrange(4))
    if dice.random() < 0.2:
        dice.choice(calls).cancel()
    if dice.random() < 0.2:
        scene.clock.advance(dice.choice([1, 5, 11]))


async def _released(scene: Scene, calls: list[asyncio.Task[AppAnswer]]) -> None:
    while not all(call.done() for call in calls):
        scene.app.release()
        await asyncio.sleep(0)
    scene.app.release()


def _active(scene: Scene) -> Iterator[str]:
    return (name for name, count in scene.runtime.counts().items() if count)
