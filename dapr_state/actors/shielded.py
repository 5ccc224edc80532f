"""A call that is shielded: it runs to its end, though the one who waits for it has gone.

What the application has begun cannot be taken back: while it runs the turn is not over, or the next one would begin
beside it. A task for each call would do the same, and cost a fifth of a small one.

Two may want it to end, and are told apart: the one who waits, whose cancellation waits for the end; and the turn
itself, which has no more time for it. That one reaches the work, as a task's does, and still the work ends first.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")


class RunToCompletion(Generic[T]):
    """Await it once. If the waiting task is cancelled, CancelledError comes when the coroutine has ended."""

    __slots__ = ("_awaited", "_coroutine", "_must_cancel", "_stopped")

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine
        self._awaited: asyncio.Future[Any] | None = None
        self._must_cancel = False
        self._stopped: Exception | None = None

    def stop(self, error: Exception) -> None:
        """Cancel the work itself; once that has ended it, `error` is raised to the one who waits."""
        if self._stopped is None:
            self._stopped = error
            if self._awaited is None or not self._awaited.cancel():
                self._must_cancel = True

    def _cancelled(self, steps: Generator[Any, None, T]) -> Any:
        self._must_cancel = False
        return steps.throw(asyncio.CancelledError())

    def _outcome(self, error: BaseException, *, is_left: bool) -> BaseException | None:
        """What the one who waits gets instead of what the work has ended with; None: just that."""
        if is_left and isinstance(error, Exception):
            return asyncio.CancelledError()
        is_stopped = self._stopped is not None and isinstance(error, asyncio.CancelledError)
        return self._stopped if is_stopped and not is_left else None

    def __await__(self) -> Generator[Any, None, T]:
        steps = self._coroutine.__await__()
        is_left = False
        while True:
            try:
                awaited = next(steps) if not self._must_cancel else self._cancelled(steps)
            except StopIteration as end:
                if is_left:
                    raise asyncio.CancelledError from None
                result: T = end.value
                return result
            except BaseException as error:
                if outcome := self._outcome(error, is_left=is_left):
                    raise outcome from None
                raise
            self._awaited = awaited
            future = _Uncancelled(awaited) if awaited is not None else None
            try:
                yield future
            except asyncio.CancelledError:
                # it is we who are cancelled, or the future (of that, the coroutine will learn from it), or both
                is_left = is_left or future is None or future.is_left or not awaited.cancelled()
            except Exception:  # noqa: BLE001, S110  a task throws what the future has: the coroutine asks it itself
                pass
            self._awaited = None


class _Uncancelled:
    """A future to the task that awaits it, but for its cancellation, which then waits until this is done."""

    __slots__ = ("_asyncio_future_blocking", "_future", "is_left")

    def __init__(self, future: asyncio.Future[Any]) -> None:
        future._asyncio_future_blocking = False  # noqa: SLF001 - how a future is told that it was awaited
        self._asyncio_future_blocking = True
        self._future = future
        self.is_left = False  # by the task: it is cancelled

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._future.get_loop()

    def add_done_callback(self, callback: Callable[[asyncio.Future[Any]], object], *, context: Any = None) -> None:
        self._future.add_done_callback(callback, context=context)

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002 - asyncio passes one
        self.is_left = True
        return False

    def result(self) -> Any:
        return self._future.result()
