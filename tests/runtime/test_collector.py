"""Garbage in cycles is collected soon, and never while long work is under way."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from dapr_state import slices
from dapr_state.runtime import collector
from dapr_state.runtime.collector import Collector
from tests.support.waiting import eventually


class Cycle:
    def __init__(self) -> None:
        self.itself = self


@pytest.fixture
def intervals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "INTERVAL", 0.01)
    monkeypatch.setattr(collector, "SOON", 0.01)


def old_garbage() -> weakref.ref[Cycle]:
    """A cycle that only a full collection finds."""
    cycle = Cycle()
    found = weakref.ref(cycle)
    gc.collect(1)
    gc.collect(1)
    del cycle
    return found


async def collected(found: weakref.ref[Cycle]) -> bool:
    async with asyncio.timeout(10):
        while found() is not None:
            gc.collect(0)  # as objects that are made and kept would have it
            gc.collect(1)
            await asyncio.sleep(0.005)
    return True


@pytest.mark.usefixtures("intervals")
async def test_garbage_is_collected_while_nothing_happens() -> None:
    """What a request has left in a cycle is gone soon, also in a process that does nothing more."""
    collecting = Collector(lambda: None)
    collecting.start()
    try:
        assert await collected(old_garbage())
    finally:
        collecting.stop()


@pytest.mark.usefixtures("intervals")
async def test_long_work_is_not_interrupted() -> None:
    """No full collection begins while slices of long work follow one another."""
    full: list[str] = []

    def count(phase: str, info: dict[str, int]) -> None:
        if phase == "stop" and info["generation"] == 2:
            full.append(phase)

    collecting = Collector(lambda: None)
    collecting.start()
    gc.callbacks.append(count)
    try:
        kept = []
        work = slices.Work()
        ends = asyncio.get_running_loop().time() + 0.3
        while asyncio.get_running_loop().time() < ends:
            kept.append([Cycle()])
            if work.is_over():
                await work.pause()

        assert not full
    finally:
        gc.callbacks.remove(count)
        collecting.stop()


@pytest.mark.usefixtures("intervals")
async def test_collections_are_put_off_no_longer_than_agreed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Long work without an end does not keep garbage for ever."""
    monkeypatch.setattr(collector, "OVERDUE", 0.02)
    collecting = Collector(lambda: None)
    collecting.start()
    found = old_garbage()

    async def endless() -> None:
        work = slices.Work()
        while True:
            await work.pause()

    working = asyncio.create_task(endless())
    try:
        assert await collected(found)
    finally:
        working.cancel()
        collecting.stop()


@pytest.mark.usefixtures("intervals")
async def test_so_many_objects_that_it_takes_long_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """While they live nothing is collected; once they are gone the rest is, and what was used is given back."""
    monkeypatch.setattr(collector, "MOST", 5_000)
    released = asyncio.Event()
    collecting = Collector(released.set)
    monkeypatch.setattr(collector, "RELEASED", 0.0)
    collecting.start()
    try:
        many = [[Cycle] for _ in range(6_000)]
        found = old_garbage()
        looks = _looks(monkeypatch)
        await eventually(lambda: len(looks) >= 3)
        assert found() is not None
        assert not released.is_set()

        many.clear()
        assert await collected(found)
        await asyncio.wait_for(released.wait(), 10)
    finally:
        collecting.stop()


def _looks(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """What each look at the number of objects has said, from now on."""
    looks: list[bool] = []
    is_quick = collector._is_quick

    def look() -> bool:
        looks.append(is_quick())
        return looks[-1]

    monkeypatch.setattr(collector, "_is_quick", look)
    return looks


async def test_python_decides_again_afterwards() -> None:
    """A sidecar that has ended leaves the process's collector as it found it."""
    before = gc.get_threshold()
    collecting = Collector(lambda: None)
    collecting.start()
    collecting.stop()

    assert gc.get_threshold() == before
