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
