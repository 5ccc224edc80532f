"""Long work shares the event loop: with everybody else, and with other long work."""

from __future__ import annotations

import asyncio

from dapr_state.slices import Work
from tests.support.held import ALLOWED, longest_turn


async def spin(steps: int, order: list[str], name: str) -> None:
    work = Work()
    for _ in range(steps):
        await work.pause()
        order.append(name)


async def test_long_work_takes_turns() -> None:
    """Two pieces of work that pause go on one after the other, a slice each."""
    order: list[str] = []

    await asyncio.gather(spin(3, order, "a"), spin(3, order, "b"))

    assert order == ["a", "b"] * 3


async def test_one_slice_runs_in_a_turn_of_the_loop() -> None:
    """However much long work there is, between two of its slices the loop serves the others."""
    order: list[str] = []

    async def bystander() -> None:
        while len(order) < 100:
            order.append("-")
            await asyncio.sleep(0)

    await asyncio.gather(bystander(), *(spin(2, order, "x") for _ in range(20)))

    assert "xx" not in "".join(order).rstrip("x")
    assert order.count("x") == 40


async def test_work_that_is_cancelled_leaves_its_place() -> None:
    """Whoever gives up while waiting for a slice costs the others none."""
    order: list[str] = []
    first, second = (asyncio.create_task(spin(1, order, name)) for name in "ab")
    await asyncio.sleep(0)
    first.cancel()

    await second

    assert order == ["b"]


async def test_a_million_items_do_not_hold_the_loop() -> None:
    """Items are handled in slices, each once and in order."""
    made, longest = await longest_turn(Work().each(str, range(1_000_000)))

    assert made == list(map(str, range(1_000_000)))
    assert longest < ALLOWED


async def test_a_million_objects_are_freed_in_slices() -> None:
    """What was made of a long request is dropped some at a time, and all of it."""
    items = [(number, str(number)) for number in range(1_000_000)]

    _, longest = await longest_turn(Work().free(items))

    assert items == []
    assert longest < ALLOWED
