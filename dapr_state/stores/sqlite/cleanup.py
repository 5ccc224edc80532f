"""Removes expired rows from the file, by turns with the other sidecars that use it (state-stores.md 3.4)."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final

from dapr_state.stores.base import StoreError
from dapr_state.stores.sqlite.executor import Call

if TYPE_CHECKING:
    import sqlite3

    from dapr_state.clock import Clock
    from dapr_state.stores.sqlite.options import Options
    from dapr_state.stores.sqlite.worker import Worker

log = logging.getLogger("dapr.contrib")

_ROWS_AT_MOST: Final = 5000  # looked at in one step, some 5 ms where none has expired
_ROWS_AT_FIRST: Final = 250  # until it is known what they cost
_STEP_SECONDS: Final = 0.02  # writers wait no longer for a step, however large what it removes
_FIRST_ROWID: Final = -(1 << 63) + 1
_TOLERANCE_MS: Final = 100  # as daprd: its ticker may be early by so much


class Cleanup:
    def __init__(self, options: Options, worker: Worker, clock: Clock) -> None:
        self._worker = worker
        self._clock = clock
        self._rows_at_once = _ROWS_AT_FIRST
        self._interval = options.cleanup_interval
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

    async def run_for_ever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.run()
            except StoreError as error:
                log.error("Error removing expired data: %s", error)  # noqa: TRY400 - the reason says it all

    async def run(self) -> None:
        """Remove what has expired, unless somebody did so within the interval."""
        if not await self._worker.ask(Call(self._claim)):
            return
        removed, start = 0, _FIRST_ROWID - 1
        while start is not None:
            count, start = await self._worker.ask(Call(partial(self._sweep, start)))
            removed += count
        log.info("Removed %d expired rows", removed)

    def _claim(self, connection: sqlite3.Connection) -> bool:
        return connection.execute(self._claim_turn, (self._interval * 1000 - _TOLERANCE_MS,)).rowcount > 0

    def _sweep(self, start: int, connection: sqlite3.Connection) -> tuple[int, int | None]:
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
