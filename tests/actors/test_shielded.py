"""A call that is shielded, in asyncio's tasks and in the steps that requests are run in."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.actors.shielded import RunToCompletion
from dapr_state.serving.eager_task import EagerTask

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine


class _Recorded(EagerTask):
    """EagerTask whose end is a future."""

    __slots__ = ("end",)

    def __init__(self, coroutine: Coroutine[Any, Any, str]) -> None:
        super().__init__(asyncio.get_running_loop())
        self.end: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(self.run, coroutine)

    def _returned(self, result: str) -> None:
        self.end.set_result(result)

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            self.end.cancel()
        else:
            self.end.set_exception(error)


def _in_task(coroutine: Coroutine[Any, Any, str]) -> tuple[Callable[[], object], asyncio.Future[str]]:
    task = asyncio.create_task(coroutine)
    return task.cancel, task


def _in_steps(coroutine: Coroutine[Any, Any, str]) -> tuple[Callable[[], object], asyncio.Future[str]]:
    steps = _Recorded(coroutine)
    return steps.cancel, steps.end


RUNNERS = pytest.mark.parametrize("run", [_in_task, _in_steps])


class Work:
    """Waits for two words, one after the other, and notes its end."""

    def __init__(self, *, fails: bool = False) -> None:
        self.words: list[asyncio.Future[str]] = [asyncio.get_running_loop().create_future() for _ in range(2)]
        self.is_done = False
        self.fails = fails

    async def __call__(self) -> str:
        heard = [await word for word in self.words]
        await asyncio.sleep(0)
        self.is_done = True
        if self.fails:
            raise ValueError("no")
        return " ".join(heard)

    async def shielded(self) -> str:
        return await RunToCompletion(self())


async def _steps() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


@RUNNERS
async def test_without_a_cancellation_nothing_is_different(run: Any) -> None:
    """Results come through."""
    work = Work()
    _, end = run(work.shielded())
    for word, text in zip(work.words, ("one", "two"), strict=True):
        await _steps()
        word.set_result(text)

    assert await end == "one two"


@RUNNERS
async def test_errors_come_through(run: Any) -> None:
    """What the coroutine raises, and what a future raises in it, is raised."""
    work, broken = Work(fails=True), Work()
    ends = [run(each.shielded())[1] for each in (work, broken)]
    await _steps()
    for word in work.words:
        word.set_result("x")
    broken.words[0].set_exception(OSError("gone"))
    outcomes = await asyncio.gather(*ends, return_exceptions=True)

    assert [repr(each) for each in outcomes] == ["ValueError('no')", "OSError('gone')"]


@RUNNERS
@pytest.mark.parametrize("fails", [False, True])
async def test_a_cancellation_waits_for_the_end(run: Any, fails: bool) -> None:
    """However often it is cancelled, the work is done; only then the one who waits gets CancelledError."""
    work = Work(fails=fails)
    cancel, end = run(work.shielded())
    for word in work.words:
        await _steps()
        cancel()
        await _steps()
        assert not end.done()
        word.set_result("x")
    await asyncio.wait([end])

    assert work.is_done
    assert end.cancelled()


@RUNNERS
async def test_a_future_that_is_cancelled_ends_the_work(run: Any) -> None:
    """That is the work's own affair, as without the shield."""
    work = Work()
    _, end = run(work.shielded())
    await _steps()
    work.words[0].cancel()
    await asyncio.wait([end])

    assert end.cancelled()
    assert not work.is_done


@RUNNERS
async def test_the_turn_may_stop_its_work(run: Any) -> None:
    """The work is cancelled as a task is, and when it has ended the one who waits gets the error that was given."""
    work = Work()
    shielded = RunToCompletion(work())

    async def waits() -> str:
        return await shielded

    _, end = run(waits())
    await _steps()
    shielded.stop(TimeoutError("too long"))
    shielded.stop(OSError("again"))
    await asyncio.wait([end])

    assert repr(end.exception()) == "TimeoutError('too long')"
    assert work.words[0].cancelled()
    assert not work.is_done


@RUNNERS
@pytest.mark.parametrize("cancels_first", [False, True])
async def test_work_that_is_stopped_ends_before_anybody_goes_on(run: Any, cancels_first: bool) -> None:
    """It has its time to clean up, as long as that takes, and a caller who was cancelled too gets CancelledError."""
    cleaned: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    log: list[str] = []

    async def works() -> str:
        try:
            return await Work()()
        finally:
            log.append("cleaning")
            await cleaned
            log.append("clean")

    shielded = RunToCompletion(works())

    async def waits() -> str:
        return await shielded

    cancel, end = run(waits())
    await _steps()
    if cancels_first:
        cancel()
        await _steps()
        assert log == []
    shielded.stop(TimeoutError())
    await _steps()
    assert (log, end.done()) == (["cleaning"], False)
    cleaned.set_result(None)
    await asyncio.wait([end])

    assert log == ["cleaning", "clean"]
    assert end.cancelled() is cancels_first


@RUNNERS
async def test_work_that_is_stopped_too_late_has_been_done(run: Any) -> None:
    """What it has brought counts, and work that was stopped before its first step never begins."""
    done, never = Work(), Work()
    late, early = RunToCompletion(done()), RunToCompletion(never())

    async def waits(shielded: RunToCompletion[str]) -> str:
        return await shielded

    early.stop(TimeoutError())
    ends = [run(waits(each))[1] for each in (late, early)]
    for word in done.words:
        await _steps()
        word.set_result("x")
    await asyncio.wait(ends)
    late.stop(TimeoutError())

    assert ends[0].result() == "x x"
    assert isinstance(ends[1].exception(), TimeoutError)
    assert not never.words[0].done()


@RUNNERS
async def test_work_that_only_gives_way_is_stopped_at_its_next_step(run: Any) -> None:
    """There is no future to cancel then."""
    steps = 0

    async def works() -> str:
        nonlocal steps
        while True:
            steps += 1
            await asyncio.sleep(0)

    shielded = RunToCompletion(works())

    async def waits() -> str:
        return await shielded

    _, end = run(waits())
    await _steps()
    shielded.stop(TimeoutError())
    seen = steps
    await asyncio.wait([end])

    assert isinstance(end.exception(), TimeoutError)
    assert steps <= seen + 1
