"""Callers who wait for the application, on a turned clock: let in, refused, or gone, and never too many."""

from __future__ import annotations

import asyncio

import pytest

from dapr_state import errors
from dapr_state.actors.config import Registration, TypeConfig
from dapr_state.actors.gate import AT_ONCE, LEAST, LONGEST, OCTETS_AT_MOST, AwayError, Gate
from dapr_state.actors.placement.base import Embedded
from dapr_state.actors.router import ActorRouter
from dapr_state.actors.runtime import ActorRuntime
from dapr_state.actors.state import ActorState
from dapr_state.actors.timers import Timers
from dapr_state.api.actors import ActorId, Actors
from dapr_state.api.reminders import ReminderRequest, Reminders, Trigger
from dapr_state.clock import ManualClock
from dapr_state.stores.memory import MemoryStore
from tests.actors.apps import App, steps

CART = ActorId("cart", "1")
ROOM = OCTETS_AT_MOST // LEAST


def _callers(gate: Gate, number: int, octets: int = 0) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(gate.pass_through(octets)) for _ in range(number)]


def _outcomes(callers: list[asyncio.Task[None]]) -> list[str]:
    return ["waits" if not each.done() else str(each.exception() or "in") for each in callers]


async def test_one_who_has_waited_long_enough_is_refused() -> None:
    """Each after his own time, and not before; whoever is let in is not refused afterwards."""
    clock = ManualClock()
    gate = Gate(clock, is_open=False)
    first = _callers(gate, 1)
    await steps()
    clock.advance(LONGEST / 2)
    second = _callers(gate, 1)
    await steps()
    clock.advance(LONGEST / 2 - 1)
    await steps()
    seen = _outcomes(first + second)
    clock.advance(1)
    await steps()
    gate.open()
    await steps()
    clock.advance(LONGEST)

    assert seen == ["waits", "waits"]
    assert _outcomes(first + second) == ["the application has not been up for 60 seconds", "in"]


async def test_those_who_wait_are_bounded_in_number_and_octets() -> None:
    """One more is refused at once; with each who is let in, is refused or goes there is room again."""
    clock = ManualClock()
    for number, octets in ((ROOM, 0), (4, OCTETS_AT_MOST // 4)):
        for leave in ("open", "refuse", "go"):
            gate = Gate(clock, is_open=False)
            crowd = _callers(gate, number, octets)
            await steps()
            with pytest.raises(AwayError, match="too many calls wait for the application"):
                await gate.pass_through()
            if leave == "open":
                gate.open()
                await asyncio.wait(crowd)
                gate.shut()
            elif leave == "refuse":
                clock.advance(LONGEST)
            else:
                for each in crowd:
                    each.cancel()
            await asyncio.wait(crowd)
            again = _callers(gate, number, octets)
            await steps()

            assert set(_outcomes(again)) == {"waits"}
            assert clock.waiting == number, "an alarm of one who is gone is left"
            for each in again:
                each.cancel()
            await asyncio.wait(again)


async def test_many_are_let_in_some_at_a_time() -> None:
    """In the order in which they came, and others have their turns meanwhile."""
    gate = Gate(ManualClock(), is_open=False)
    entered: list[int] = []

    async def enter(number: int) -> None:
        await gate.pass_through()
        entered.append(number)

    crowd = [asyncio.create_task(enter(number)) for number in range(10 * AT_ONCE)]
    await steps()
    gate.open()
    in_a_turn = []
    while len(entered) < len(crowd):
        before = len(entered)
        await asyncio.sleep(0)
        in_a_turn.append(len(entered) - before)

    assert max(in_a_turn) == AT_ONCE
    assert entered == sorted(entered)


async def test_a_gate_that_shuts_while_many_go_in_keeps_the_rest() -> None:
    """They wait on, as long as they would have, and the next opening lets them in."""
    clock = ManualClock()
    gate = Gate(clock, is_open=False)
    crowd = _callers(gate, 3 * AT_ONCE)
    await steps()
    gate.open()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    gate.shut()
    await steps()
    seen = _outcomes(crowd)
    clock.advance(LONGEST - 1)
    await steps()
    still = _outcomes(crowd)
    clock.advance(1)
    await steps()

    assert 0 < seen.count("waits") < len(crowd)
    assert still == seen
    assert "waits" not in _outcomes(crowd)
    assert set(_outcomes(crowd)) == {"in", "the application has not been up for 60 seconds"}


async def test_every_call_of_actors_is_refused_in_the_end() -> None:
    """Methods, state, reminders and timers alike, while the application is not up and when it is unwell again."""
    clock = ManualClock()
    runtime = ActorRuntime(has_app=True, clock=clock, waiting=clock)
    store = MemoryStore(clock)
    router = ActorRouter(runtime, Embedded(runtime.is_hosted))
    actors = Actors(router, ActorState("app", lambda: store))
    reminders = Reminders(actors, timers=Timers(router, clock))
    for is_up_before in (False, True):
        if is_up_before:
            runtime.host(Registration({"cart": TypeConfig()}), App())
            await runtime.unhost(["cart"])
        calls = [
            asyncio.create_task(call)
            for call in (
                actors.invoke(CART, "m", b"", ()),
                actors.get_state(CART, "k"),
                actors.check_active(CART, 0),
                reminders.create_reminder(ReminderRequest(CART, "n", "1s")),
                reminders.get_reminder(CART, "n"),
                reminders.delete_reminder(CART, "n"),
                reminders.list_reminders("cart", None),
                reminders.delete_reminders("cart", None),
                reminders.create_timer(Trigger(CART, "n", due_time="1s"), ""),
                reminders.delete_timer(CART, "n"),
            )
        ]
        await steps()
        assert not any(call.done() for call in calls)
        clock.advance(LONGEST)
        refused = await asyncio.gather(*calls, return_exceptions=True)

        assert {(each.row, str(each)) for each in refused} == {  # type: ignore[union-attr]  # a refusal has a row
            (errors.ACTOR_APP_AWAY, "actors cannot be reached: the application has not been up for 60 seconds")
        }
