"""A call that is shielded: it runs to its end, though the one who waits for it has gone.

What the application has begun cannot be taken back: while it runs the turn is not over, or the next one would begin
beside it. A task for each call would do the same, and cost a fifth of a small one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Generator

T = TypeVar("T")


class RunToCompletion(Generic[T]):
    """Await it once. If the waiting task is cancelled, CancelledError comes when the coroutine has ended."""

    __slots__ = ("_coroutine",)

    def __init__(self, coroutine: Coroutine[Any, Any, T]) -> None:
        self._coroutine = coroutine

    def __await__(self) -> Generator[Any, None, T]:
        steps = self._coroutine.__await__()
        is_left = False
        while True:
            try:
                awaited = next(steps)
            except StopIteration as end:
                if is_left:
                    raise asyncio.CancelledError from None
                result: T = end.value
                return result
            except Exception:
                if is_left:
                    raise asyncio.CancelledError from None
                raise
            future = _Uncancelled(awaited) if awaited is not None else None
            try:
                yield future
            except asyncio.CancelledError:
                # either it is we who are cancelled, or the future: of that, the coroutine will learn from it
                is_left = is_left or awaited is None or not awaited.cancelled()
            except Exception:  # noqa: BLE001, S110  a task throws what the future has: the coroutine asks it itself
                pass


class _Uncancelled:
    """A future to the task that awaits it, but for its cancellation, which then waits until this is done."""

    __slots__ = ("_asyncio_future_blocking", "_future")

    def __init__(self, future: asyncio.Future[Any]) -> None:
        future._asyncio_future_blocking = False  # noqa: SLF001 - how a future is told that it was awaited
        self._asyncio_future_blocking = True
        self._future = future

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._future.get_loop()

    def add_done_callback(self, callback: Callable[[asyncio.Future[Any]], object], *, context: Any = None) -> None:
        self._future.add_done_callback(callback, context=context)

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002 - asyncio passes one
        return False

    def result(self) -> Any:
        return self._future.result()
