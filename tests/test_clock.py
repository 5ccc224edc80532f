"""Calls that the clock makes when their time has come."""

from __future__ import annotations

import asyncio
from functools import partial

import pytest
import uvloop

from dapr_state.clock import WAITING, ManualClock, VisibleClock


def test_calls_come_in_the_order_of_their_times() -> None:
    """What falls due while the clock advances is called in order, each at its own time; the rest is left waiting."""
    clock = ManualClock()
    seen: list[tuple[str, float]] = []
    for name, when in (("late", 9.0), ("second", 3.0), ("first", 1.0), ("also second", 3.0)):
        clock.call_at(when, lambda name=name: seen.append((name, clock.monotonic())))  # type: ignore[misc]
    clock.advance(5)

    assert seen == [("first", 1), ("second", 3), ("also second", 3)]
    assert repr(clock) == "<ManualClock at 5, 1 waiting>"


def test_a_call_may_set_the_next() -> None:
    """A call set by a call comes in the same advance if it falls due in it."""
    clock = ManualClock()
    seen: list[float] = []

    def tick() -> None:
        seen.append(clock.monotonic())
        clock.call_at(clock.monotonic() + 2, tick)

    clock.call_at(2, tick)
    clock.advance(7)

    assert seen == [2, 4, 6]


def test_wall_time_moves_with_the_alarms() -> None:
    """Both times have moved equally far when a call is made, and at the end."""
    clock = ManualClock(now=1000)
    seen: list[float] = []
    clock.call_at(4, lambda: seen.append(clock.now()))
    clock.advance(10)

    assert (seen, clock.now()) == ([1004], 1010)


def test_a_cancelled_call_does_not_come() -> None:
    """Cancelled before its time, it is gone; cancelled afterwards, nothing happens."""
    clock = ManualClock()
    seen: list[int] = []
    kept, cancelled = clock.call_at(1, lambda: seen.append(1)), clock.call_at(1, lambda: seen.append(2))
    cancelled.cancel()
    clock.advance(1)
    kept.cancel()

    assert seen == [1]
    assert clock.waiting == 0


@pytest.mark.parametrize("run", [asyncio.run, uvloop.run], ids=["asyncio", "uvloop"])
def test_the_system_clock_is_never_early(run: object) -> None:
    """On either event loop a call comes when its time has been reached, whatever fraction of a millisecond that is."""

    async def early() -> list[float]:
        loop = asyncio.get_running_loop()
        found = []
        for delay in (0.0, 0.0001, 0.0009, 0.001, 0.0015, 0.0019, 0.0021) * 5:
            came: asyncio.Future[float] = loop.create_future()
            when = WAITING.monotonic() + delay
            WAITING.call_at(when, lambda came=came: came.set_result(WAITING.monotonic()))  # type: ignore[misc]
            found.append(await came - when)
        return [lateness for lateness in found if lateness < 0]

    assert run(early()) == []  # type: ignore[operator]


async def test_what_is_waited_for_comes_when_the_visible_clock_is_moved() -> None:
    """What fell due meanwhile comes at once, in its order; the rest still waits, for so much less."""
    clock = VisibleClock()
    seen: list[str] = []
    now = clock.monotonic()
    for name, seconds in (("tomorrow", 86_400), ("in an hour", 3600), ("in a minute", 60), ("next week", 7 * 86_400)):
        clock.call_at(now + seconds, partial(seen.append, name))
    clock.move(86_401)
    await asyncio.sleep(0)

    assert seen == ["in a minute", "in an hour", "tomorrow"]
    assert repr(clock) == "<VisibleClock moved by 86401 s, 1 waiting>"


async def test_a_visible_clock_that_is_moved_back_lets_wait_again() -> None:
    """What would have come in a moment comes no sooner than that the clock says so."""
    clock = VisibleClock()
    seen: list[str] = []
    clock.move(86_400)
    clock.call_at(clock.monotonic(), partial(seen.append, "due"))
    clock.move(-86_400)
    await asyncio.sleep(0)
    before, _ = list(seen), clock.move(86_400)
    await asyncio.sleep(0)

    assert (before, seen) == ([], ["due"])


async def test_a_call_that_is_cancelled_is_not_set_again() -> None:
    """Neither one that has come is."""
    clock = VisibleClock()
    seen: list[str] = []
    gone = clock.call_at(clock.monotonic() + 60, partial(seen.append, "gone"))
    come = clock.call_at(clock.monotonic(), partial(seen.append, "come"))
    await asyncio.sleep(0)
    gone.cancel()
    come.cancel()
    clock.move(3600)
    await asyncio.sleep(0)

    assert seen == ["come"]
    assert repr(clock) == "<VisibleClock moved by 3600 s, 0 waiting>"


async def test_what_is_waited_for_is_not_moved() -> None:
    """A test that moves a day on ends no timeout and no pause; wall time and the other one move alike."""
    clock = VisibleClock()
    before = clock.now(), clock.nanoseconds(), clock.monotonic(), clock.monotonic_ns(), WAITING.monotonic()
    async with WAITING.timeout(60):
        clock.move(86_400)
        await asyncio.sleep(0)
    after = clock.now(), clock.nanoseconds(), clock.monotonic(), clock.monotonic_ns(), WAITING.monotonic()
    moved = [(late - early) / scale for late, early, scale in zip(after, before, (1, 1e9, 1, 1e9, 1), strict=True)]

    assert [round(seconds / 86_400) for seconds in moved] == [1, 1, 1, 1, 0]
