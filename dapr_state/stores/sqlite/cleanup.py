"""Finds the expired rows of the file, in steps that keep no writer waiting."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from dapr_state.stores.sql.cleanup import TOLERANCE_MS, Cleanup
from dapr_state.stores.sqlite.executor import Call

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import AsyncIterator

    from dapr_state.clock import WaitingClock
    from dapr_state.stores.sqlite.options import Options
    from dapr_state.stores.sqlite.worker import Worker

_ROWS_AT_MOST: Final = 5000  # looked at in one step, some 5 ms where none has expired
_ROWS_AT_FIRST: Final = 250  # until it is known what they cost
_STEP_SECONDS: Final = 0.02  # writers wait no longer for a step, however large what it removes
_FIRST_ROWID: Final = -(1 << 63) + 1


class FileCleanup(Cleanup):
    def __init__(self, options: Options, worker: Worker, clock: WaitingClock) -> None:
        super().__init__(options.cleanup_interval)
        self._worker = worker
        self._clock = clock
        self._rows_at_once = _ROWS_AT_FIRST
        # The names were checked to be identifiers, and SQL takes no parameter for one.
        metadata, table = options.metadata_table, options.table
        # a time to come was written by a clock that has been put back since, and would hold the cleanup off until then
        age = "strftime('%s', CURRENT_TIMESTAMP) - strftime('%s', value)"
        self._claim_turn = (
            f"INSERT INTO {metadata} (key, value) VALUES ('last-cleanup', CURRENT_TIMESTAMP) "  # noqa: S608
            f"ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP "
            f"WHERE NOT coalesce(({age}) * 1000 BETWEEN 0 AND ?, FALSE)"
        )
        some = f"SELECT rowid FROM {table} WHERE rowid > ? ORDER BY rowid LIMIT ?"  # noqa: S608
        self._find_end = f"SELECT max(rowid) FROM ({some})"  # noqa: S608
        self._remove = f"DELETE FROM {table} WHERE rowid > ? AND rowid <= ? AND expiration_time < CURRENT_TIMESTAMP"  # noqa: S608

    async def claim(self) -> bool:
        claimed: bool = await self._worker.ask(Call(self._claim))
        return claimed

    async def sweep(self) -> AsyncIterator[int]:
        start: int | None = _FIRST_ROWID - 1
        while start is not None:
            removed, start = await self._worker.ask(Call(partial(self._step, start)))
            yield removed

    def _claim(self, connection: sqlite3.Connection) -> bool:
        return connection.execute(self._claim_turn, (self.interval * 1000 - TOLERANCE_MS,)).rowcount > 0

    def _step(self, start: int, connection: sqlite3.Connection) -> tuple[int, int | None]:
        """Look at some rows behind `start`: how many were removed, and where to go on (None: that was all)."""
        began = self._clock.monotonic()
        (end,) = connection.execute(self._find_end, (start, self._rows_at_once)).fetchone()
        if end is None:
            return 0, None
        removed = connection.execute(self._remove, (start, end)).rowcount
        self._adapt(self._clock.monotonic() - began)
        return removed, end

    def _adapt(self, seconds: float) -> None:
        """Look at fewer rows the next time where this took long, and at more where it did not."""
        if seconds > _STEP_SECONDS:
            self._rows_at_once = max(1, self._rows_at_once // 2)
        elif seconds < _STEP_SECONDS / 4:
            self._rows_at_once = min(_ROWS_AT_MOST, self._rows_at_once * 2)
