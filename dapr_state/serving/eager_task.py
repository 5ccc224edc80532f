"""A coroutine that is run as asyncio's tasks run theirs, but whose first step is taken at once and costs no task.

Most calls are answered in their first step. `EagerTask` is a task in the sense of asyncio's "third party task
implementations": it is `asyncio.current_task()` while its coroutine runs, so `asyncio.timeout` and task groups find
what they need from the first line on, and it can be cancelled. It is not in `asyncio.all_tasks()`.
"""

from __future__ import annotations

import asyncio
import contextvars
from asyncio.tasks import _enter_task, _leave_task  # documented since 3.12: "Extending", Task lifetime support
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Coroutine


class EagerTask:
    """Runs one coroutine; a subclass is told its end through `_returned` or `_raised`."""

    __slots__ = (
        "__weakref__",
        "_cancels",
        "_context",
        "_coroutine",
        "_fut_waiter",
        "_loop",
        "_must_cancel",
        "_running",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._coroutine: Coroutine[Any, Any, Any] | None = None
        self._context: contextvars.Context | None = None
        self._fut_waiter: asyncio.Future[Any] | None = None  # names that libraries know from asyncio.Task
        self._must_cancel = False
        self._cancels = 0
        self._running = False

    # The end

    def _returned(self, result: Any) -> None:
        raise NotImplementedError

    def _raised(self, error: BaseException) -> None:
        raise NotImplementedError

    # What asyncio and others ask of a task

    def cancel(self, msg: Any = None) -> bool:  # noqa: ARG002 - asyncio passes one; nobody reads it
        """Raise CancelledError where the coroutine waits now, or will wait next."""
        if not self._running:
            return False
        self._cancels += 1
        if self._fut_waiter is not None and self._fut_waiter.cancel():
            return True
        self._must_cancel = True
        return True

    def cancelling(self) -> int:
        return self._cancels

    def uncancel(self) -> int:
        if self._cancels:
            self._cancels -= 1
            if not self._cancels:
                self._must_cancel = False
        return self._cancels

    def get_coro(self) -> Coroutine[Any, Any, Any] | None:
        return self._coroutine

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop

    def get_name(self) -> str:
        return repr(self)

    def get_context(self) -> contextvars.Context | None:
        return self._context

    # Running

    def run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Take the first step now, in a context of its own; the others follow as what it waits for happens."""
        self._coroutine = coroutine
        self._running = True
        self._context = contextvars.copy_context()
        self._context.run(self._step)

    def _step(self) -> None:
        coroutine, loop = self._coroutine, self._loop
        _enter_task(loop, self)  # type: ignore[arg-type] # a task of our own
        try:
            if self._must_cancel:
                self._must_cancel = False
                awaited = coroutine.throw(asyncio.CancelledError())  # type: ignore[union-attr] # runs: it is set
            else:
                awaited = coroutine.send(None)  # type: ignore[union-attr] # as above
        except StopIteration as stop:
            _leave_task(loop, self)  # type: ignore[arg-type] # as above
            self._running = False
            self._returned(stop.value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the subclass decides
            _leave_task(loop, self)  # type: ignore[arg-type] # as above
            self._running = False
            self._raised(error)
        except BaseException:
            _leave_task(loop, self)  # type: ignore[arg-type] # as above
            self._running = False
            raise
        else:
            _leave_task(loop, self)  # type: ignore[arg-type] # as above
            self._wait_for(awaited)

    def _wait_for(self, awaited: Any) -> None:
        if awaited is None:  # a bare yield: asyncio.sleep(0)
            self._loop.call_soon(self._step, context=self._context)
        elif getattr(awaited, "_asyncio_future_blocking", False):
            awaited._asyncio_future_blocking = False  # noqa: SLF001 - how a future says that it was awaited
            awaited.add_done_callback(self._wake, context=self._context)
            self._fut_waiter = awaited
            if self._must_cancel and awaited.cancel():
                self._must_cancel = False
        else:
            self._coroutine.close()  # type: ignore[union-attr] # runs: it is set
            self._running = False
            self._raised(RuntimeError(f"awaits something that is no future of asyncio: {awaited!r}"))

    def _wake(self, _: asyncio.Future[Any]) -> None:
        # the future itself raises its error or CancelledError where it is awaited
        self._fut_waiter = None
        self._step()
