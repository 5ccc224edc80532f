"""Reads on the event loop's own thread: those that one tick of the loop brings are one statement.

A point read of a page that the system has in memory takes 5 us, of which finding the row is the least: the locks of the
file are two system calls. A way to a thread and back takes 30 to 100 us.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import CALLERS_AT_MOST, Batcher, Budget, weight_of_keys
from dapr_state.stores.sqlite import failures
from dapr_state.stores.sqlite.statements import OCTETS_AT_ONCE

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.stores.base import Found
    from dapr_state.stores.batching import Batch
    from dapr_state.stores.model import StoredValue
    from dapr_state.stores.sqlite.executor import Executor

    Reads = Batch[str, StoredValue | StoreError | None]

_KEYS_AT_MOST: Final = 256  # of a statement: about 0.5 ms
_OCTETS_AT_MOST: Final = 64 << 20  # of their keys
SLOW_SECONDS: Final = 0.01  # then a read is interrupted, as soon as SQLite can be
STEPS_BETWEEN_CHECKS: Final = 1000  # of SQLite's machine: some 20 us


class ElsewhereError(StoreError):
    """Another connection holds a lock, or there is more to read than others can wait for: a thread may do it."""


class InlineReads:
    """`executor` never waits for a lock, and is interrupted soon: what is locked, slow or large is left to a thread."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        reads: Batcher[str, StoredValue | StoreError | None] = Batcher(
            self._answer,
            budget=Budget("the database", callers=CALLERS_AT_MOST, octets=_OCTETS_AT_MOST),
            weigh=weight_of_keys,
            at_end=asyncio.get_running_loop().call_soon,
            at_most=_KEYS_AT_MOST,
            octets_at_most=OCTETS_AT_ONCE,
        )
        # one entry per key at the end of the tick; ElsewhereError if a thread may do it, else StoreError
        self.read: Callable[[Sequence[str]], asyncio.Future[Found]] = reads.ask

    def takes(self, keys: Sequence[str]) -> bool:
        """Not where they are many, and not while the disk must be asked: then a thread may wait for it."""
        return len(keys) <= _KEYS_AT_MOST and self._executor.read_seconds < SLOW_SECONDS

    def read_elsewhere(self, seconds: float) -> None:
        """A thread has read, and took so long."""
        self._executor.read_seconds = seconds

    def _answer(self, batch: Reads) -> None:
        try:
            found = self._executor.read(batch.wanted, OCTETS_AT_ONCE)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            batch.fail(ElsewhereError() if failures.is_passing(error) else failures.store_error(error))
        else:
            if len(found) < len(batch.wanted):
                batch.fail(ElsewhereError())
            else:
                batch.settle(found)
