"""Turns: who runs, who waits, and what becomes of those who go."""

from __future__ import annotations

import asyncio
import random
from collections import Counter

import pytest

from dapr_state.actors.turns import ClosedError, TooDeepError, Turn, TurnQueue


async def _steps() -> None:
    """Let everyone go on who can."""
    for _ in range(10):
        await asyncio.sleep(0)


def _ids(*entered: Turn) -> list[bool]:
    return [turn.has_begun for turn in entered]


def test_the_first_runs_and_the_others_follow_in_order() -> None:
    """One turn at a time, first come, first served."""
    turns = TurnQueue()
    first, second, third = turns.enter(), turns.enter(), turns.enter()
    seen = [_ids(first, second, third)]
    for turn in (first, second, third):
        turns.leave(turn)
        seen.append(_ids(second, third))

    assert seen == [[True, False, False], [True, False], [True, True], [True, True]]
    assert repr(turns) == "<TurnQueue idle, 0 waiting>"


def test_one_id_shares_a_flight() -> None:
    """A call with the id of a turn joins it, also while it waits; the turn ends with the last of them."""
    turns = TurnQueue()
    first, other = turns.enter("a", 3), turns.enter("b", 3)
    joined, joined_waiting = turns.enter("a", 3), turns.enter("b", 3)
    turns.leave(first)
    still = other.has_begun
    turns.leave(joined)

    assert (joined, joined_waiting) == (first, other)
    assert not still
    assert other.has_begun


def test_too_deep_is_refused_and_costs_nothing() -> None:
    """The call beyond the depth is refused at once; afterwards the turn ends, and the next one begins."""
    turns = TurnQueue()
    entered = [turns.enter("a", 2), turns.enter("a", 2)]
    waiting = turns.enter("b", 2)
    with pytest.raises(TooDeepError):
        turns.enter("a", 2)
    for turn in entered:
        turns.leave(turn)

    assert waiting.has_begun


def test_no_depth_at_all_lets_nobody_in() -> None:
    """A depth of 0 refuses the first call already."""
    turns = TurnQueue()
    with pytest.raises(TooDeepError):
        turns.enter("a", 0)

    assert not turns.is_busy


async def test_one_who_goes_while_waiting_does_not_let_the_next_begin() -> None:
    """A cancelled waiter leaves the queue; the running turn stays the only one, and those behind keep their order."""
    turns = TurnQueue()
    running, leaver, last = turns.enter(), turns.enter(), turns.enter()
    waiter = asyncio.create_task(_wait(turns, leaver))
    await _steps()
    waiter.cancel()
    await asyncio.wait([waiter])
    seen = _ids(running, last)
    turns.leave(running)

    assert seen == [True, False]
    assert last.has_begun


async def test_one_who_goes_at_the_moment_of_the_turn_passes_it_on() -> None:
    """Whoever is cancelled when the turn has just come gives it to the next."""
    turns = TurnQueue()
    running, leaver, last = turns.enter(), turns.enter(), turns.enter()
    waiter = asyncio.create_task(_wait(turns, leaver))
    await _steps()
    turns.leave(running)
    waiter.cancel()
    await asyncio.wait([waiter])

    assert last.has_begun


async def test_closing_sends_away_only_those_who_wait() -> None:
    """Who has begun goes on; who waits gets ClosedError, and nothing is left."""
    turns = TurnQueue()
    running = turns.enter()
    waiters = [asyncio.create_task(_wait(turns, turns.enter())) for _ in range(3)]
    await _steps()
    turns.close()
    outcomes = await asyncio.gather(*waiters, return_exceptions=True)
    was_running = running.has_begun and turns.is_busy
    turns.leave(running)

    assert [type(each) for each in outcomes] == [ClosedError] * 3
    assert was_running
    assert not turns.is_busy


async def test_those_who_go_leave_nothing_behind() -> None:
    """A turn that lasts, and callers who come and give up behind it: as many are queued as wait, and a few."""
    turns = TurnQueue()
    running = turns.enter()
    for _ in range(1000):
        turns.leave(turns.enter("a", 2))
        turns.leave(turns.enter())
    last = turns.enter()

    assert turns.waiting == 1
    assert len(turns._behind or ()) < 100
    turns.leave(running)
    assert last.has_begun


@pytest.mark.parametrize("seed", range(20))
async def test_random_callers(seed: int) -> None:
    """Never two entered at a time, never deeper than allowed, everyone is answered, whoever is cancelled when."""
    dice = random.Random(seed)
    turns = TurnQueue()
    running: Counter[str] = Counter()
    outcomes: Counter[str] = Counter()

    async def call(number: int) -> None:
        reentrancy_id = dice.choice(["", "", "a", "b", "c"])
        try:
            turn = turns.enter(reentrancy_id, 3)
        except TooDeepError:
            outcomes["refused"] += 1
            return
        name = reentrancy_id or str(number)
        try:
            await turn.begun()
            running[name] += 1
            try:
                assert list(+running) == [name]
                assert running[name] <= 3
                for _ in range(dice.randrange(4)):
                    await asyncio.sleep(0)
                assert list(+running) == [name]
            finally:
                running[name] -= 1
            outcomes["done"] += 1
        except asyncio.CancelledError:
            outcomes["gone"] += 1
        finally:
            turns.leave(turn)

    tasks = []
    for number in range(300):
        tasks.append(asyncio.create_task(call(number)))
        if dice.random() < 0.3:
            await asyncio.sleep(0)
        if dice.random() < 0.2:
            dice.choice(tasks).cancel()
    failures = [each for each in await asyncio.gather(*tasks, return_exceptions=True) if isinstance(each, Exception)]
    never_begun = sum(task.cancelled() for task in tasks)

    assert failures == []
    assert sum(outcomes.values()) + never_begun == 300
    assert repr(turns) == "<TurnQueue idle, 0 waiting>"


async def _wait(turns: TurnQueue, turn: Turn) -> None:
    try:
        await turn.begun()
    finally:
        turns.leave(turn)
