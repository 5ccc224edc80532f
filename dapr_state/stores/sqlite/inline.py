"""Reads on the event loop's own thread: those that one tick of the loop brings are one statement.

A point read of a page that the system has in memory takes 5 us, of which finding the row is the least: the locks of the
file are two system calls. A way to a thread and back takes 30 to 100 us.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dapr_state.stores.base import StoreError
from dapr_state.stores.callers import Callers
from dapr_state.stores.sqlite import failures
from dapr_state.stores.sqlite.statements import OCTETS_AT_ONCE, LargeError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.model import Row
    from dapr_state.stores.sqlite.executor import Executor

_KEYS_AT_MOST: Final = 256  # of a statement: about 0.5 ms
SLOW_SECONDS: Final = 0.01  # then a read is interrupted, as soon as SQLite can be
STEPS_BETWEEN_LOOKS: Final = 1000  # of SQLite's machine: some 20 us


class ElsewhereError(StoreError):
    """Another connection holds a lock, or there is more to read than others can wait for: a thread may do it."""


class InlineReads:
    """`executor` never waits for a lock, and is interrupted soon: what is locked, slow or large is left to a thread."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._loop = asyncio.get_running_loop()
        self._keys: list[str] = []  # of this tick
        self._callers: Callers[Row | StoreError | None] = Callers()

    def takes(self, keys: Sequence[str]) -> bool:
        """Not where they are many, and not while the disk must be asked: then a thread may wait for it."""
        return len(keys) <= _KEYS_AT_MOST and self._executor.read_seconds < SLOW_SECONDS

    def read(self, keys: Sequence[str]) -> asyncio.Future[list[Row | StoreError | None]]:
        """One entry per key at the end of the tick. ElsewhereError if a thread may do it, else StoreError."""
        if len(self._keys) + len(keys) > _KEYS_AT_MOST:
            self._answer()
        if not self._keys:
            self._loop.call_soon(self._answer)
        self._keys += keys
        return self._callers.join(self._loop, len(keys))

    def read_elsewhere(self, seconds: float) -> None:
        """A thread has read, and took so long."""
        self._executor.read_seconds = seconds

    def _answer(self) -> None:
        keys, self._keys = self._keys, []
        callers, self._callers = self._callers, Callers()
        if not keys:  # they were too many to wait for the tick's end
            return
        try:
            found = self._executor.read(keys, OCTETS_AT_ONCE)
        except LargeError:
            callers.fail(ElsewhereError())
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            callers.fail(ElsewhereError() if failures.is_passing(error) else failures.store_error(error))
        else:
            callers.settle(found)
