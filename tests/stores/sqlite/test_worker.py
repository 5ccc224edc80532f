"""The thread and its queue, with a handler that the test holds in its hand."""

from __future__ import annotations

import asyncio
import threading
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.clock import WAITING
from dapr_state.stores.base import StoreError
from dapr_state.stores.sqlite import worker as module
from dapr_state.stores.sqlite.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Sequence


class Handler:
    """Notes the groups, and does not end one until `gate` is open."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.begun = threading.Event()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, works: Sequence[Any]) -> list[Any]:
        self.groups.append(list(works))
        self.begun.set()
        assert self.gate.wait(10)
        return [work if isinstance(work, Exception) else f"{work}!" for work in works]

    async def hold(self, worker: Worker) -> asyncio.Task[Any]:
        """Occupy the thread until `gate` is opened."""
        self.gate.clear()
        held = asyncio.create_task(worker.ask("held"))
        await asyncio.to_thread(self.begun.wait, 10)
        return held


async def _asked(worker: Worker, *works: Any) -> list[asyncio.Task[Any]]:
    tasks = [asyncio.create_task(worker.ask(work)) for work in works]
    await asyncio.sleep(0)
    return tasks


async def test_the_requests_of_a_tick_are_one_group() -> None:
    """And each has its own answer."""
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    answers = await asyncio.gather(*(worker.ask(number) for number in range(5)))
    await worker.stop()

    assert answers == ["0!", "1!", "2!", "3!", "4!"]
    assert handler.groups == [[0, 1, 2, 3, 4]]


async def test_all_that_waits_is_one_group() -> None:
    """Ticks that come while the thread is busy are taken together when it is not."""
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    held = await handler.hold(worker)
    waiting = [*await _asked(worker, 1), *await _asked(worker, 2, 3), *await _asked(worker, 4)]
    await asyncio.sleep(0)
    handler.gate.set()
    await asyncio.gather(held, *waiting)
    await worker.stop()

    assert handler.groups == [["held"], [1, 2, 3, 4]]


async def test_a_group_has_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A commit must not take in ticks without limit."""
    monkeypatch.setattr(module, "GROUP_AT_MOST", 2)
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    held = await handler.hold(worker)
    waiting = [task for number in range(4) for task in await _asked(worker, number)]
    await asyncio.sleep(0)
    handler.gate.set()
    await asyncio.gather(held, *waiting)
    await worker.stop()

    assert handler.groups == [["held"], [0, 1], [2, 3]]


async def test_what_was_cancelled_while_it_waited_is_not_done() -> None:
    """The others of its tick are."""
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    held = await handler.hold(worker)
    kept, dropped = await _asked(worker, "kept", "dropped")
    dropped.cancel()
    await asyncio.sleep(0)
    handler.gate.set()
    answers = [await held, await kept]
    await worker.stop()

    assert answers == ["held!", "kept!"]
    assert handler.groups == [["held"], ["kept"]]


async def test_who_waits_too_long_is_told_so_and_his_work_is_never_begun() -> None:
    """Whoever's group has begun waits for its end."""
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=0.05)
    held = await handler.hold(worker)
    (late,) = await _asked(worker, "late")
    with pytest.raises(StoreError, match="did not get to it within 50ms"):
        await late
    begun_is_pending = not held.done()
    handler.gate.set()
    answer = await held
    await worker.stop()

    assert begun_is_pending
    assert answer == "held!"
    assert handler.groups == [["held"]]


async def test_when_too_much_waits_more_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """At once and by number; later there is room again."""
    monkeypatch.setattr(module, "CALLERS_AT_MOST", 3)
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    held = await handler.hold(worker)
    waiting = await _asked(worker, 1, 2)
    with pytest.raises(StoreError, match=r"^too many requests wait for the database: 3, with 3 octets$"):
        await worker.ask("one too many")
    handler.gate.set()
    await asyncio.gather(held, *waiting)
    later = await worker.ask("later", octets=100 << 20)
    await worker.stop()

    assert later == "later!"


async def test_what_waits_is_bounded_in_octets() -> None:
    """Also of those who have given up: a thread that is held up makes no memory free."""
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    held = await handler.hold(worker)
    large = asyncio.create_task(worker.ask("large", octets=module.OCTETS_WAITING_AT_MOST - 10))
    await asyncio.sleep(0)
    large.cancel()
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match=r"^too many requests wait for the database: 2, with "):
        await worker.ask("more", octets=10)
    handler.gate.set()
    await held
    later = await worker.ask("later", octets=10)
    await worker.stop()

    assert later == "later!"


async def test_an_exception_in_place_of_a_result_is_raised_to_its_caller() -> None:
    """And to nobody else."""
    worker = Worker(Handler(), WAITING, timeout=10)
    answers = await asyncio.gather(worker.ask(1), worker.ask(StoreError("no")), worker.ask(2), return_exceptions=True)
    await worker.stop()

    assert [str(answer) for answer in answers] == ["1!", "no", "2!"]


async def test_a_handler_that_breaks_answers_everybody() -> None:
    """With what broke; the thread goes on."""

    def broken(works: Sequence[Any]) -> list[Any]:
        if "good" in works:
            return ["fine"]
        raise KeyError("oh")

    worker = Worker(broken, WAITING, timeout=10)
    answers = await asyncio.gather(worker.ask(1), worker.ask(2), return_exceptions=True)
    after = await worker.ask("good")
    await worker.stop()

    assert [repr(answer) for answer in answers] == ["StoreError(\"KeyError: 'oh'\")"] * 2
    assert after == "fine"


async def test_stop_finishes_what_waits_and_refuses_what_comes() -> None:
    """Whoever asked in time gets his answer, also in the same tick."""
    handler = Handler()
    worker = Worker(handler, WAITING, timeout=10)
    held = await handler.hold(worker)
    waiting = await _asked(worker, 1, 2)
    stopping = asyncio.create_task(worker.stop())
    await asyncio.sleep(0)
    with pytest.raises(StoreError, match=r"^the store is closed$"):
        await worker.ask("late")
    handler.gate.set()
    await stopping
    await worker.stop()

    assert await asyncio.gather(held, *waiting) == ["held!", "1!", "2!"]


async def test_what_comes_later_comes_when_the_others_have_their_answers() -> None:
    """The rest of a group is the next one, before what has come meanwhile; each has the answer to his own."""
    groups: list[tuple[list[int], int]] = []
    given: list[int] = []

    def handle(works: Sequence[int]) -> list[Any]:
        groups.append((list(works), len(given)))
        return [work if at < 2 else module.LATER for at, work in enumerate(works)]

    async def ask(number: int) -> int:
        answer: int = await worker.ask(number)
        given.append(number)
        return answer

    worker = Worker(handle, WAITING, timeout=10)
    answers = await asyncio.gather(*(ask(number) for number in range(7)))
    await worker.stop()

    assert answers == list(range(7))
    assert groups == [([0, 1, 2, 3, 4, 5, 6], 0), ([2, 3, 4, 5, 6], 2), ([4, 5, 6], 4), ([6], 6)]


async def test_stop_finishes_what_comes_later_too() -> None:
    """Nobody of the group is left without an answer; who gave up meanwhile is not asked for again."""
    groups: list[list[int]] = []

    def handle(works: Sequence[int]) -> list[Any]:
        groups.append(list(works))
        if len(groups) == 1:
            loop.call_soon_threadsafe(tasks[2].cancel)
        return [work if at < 1 else module.LATER for at, work in enumerate(works)]

    loop = asyncio.get_running_loop()
    worker = Worker(handle, WAITING, timeout=10)
    tasks = await _asked(worker, 0, 1, 2, 3)
    await worker.stop()
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert [end if isinstance(end, int) else type(end) for end in ends] == [0, 1, asyncio.CancelledError, 3]
    assert groups == [[0, 1, 2, 3], [1, 3], [3]]
