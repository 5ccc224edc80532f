"""Finds the expired rows of the table, some at a time: no writer waits for long for one that is being removed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state.stores.sql.cleanup import TOLERANCE_MS, Cleanup

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dapr_state.stores.postgresql.options import Options
    from dapr_state.stores.postgresql.pool import Pool
    from dapr_state.stores.postgresql.tables import Layout

_ROWS_AT_ONCE: Final = 2000  # removed in some 10 ms


class TableCleanup(Cleanup):
    def __init__(self, options: Options, layout: Layout, key: str, pool: Pool) -> None:
        super().__init__(options.cleanup_interval)
        self._pool = pool
        self._key = key
        # a time to come was written by a clock that has been put back since, and would hold the cleanup off until then
        age = f"CURRENT_TIMESTAMP - {options.metadata_table}.value::timestamptz"
        self._claim = (
            f"INSERT INTO {options.metadata_table} AS stored (key, value) VALUES ($1, CURRENT_TIMESTAMP::text) "  # noqa: S608
            f"ON CONFLICT (key) DO UPDATE SET value = CURRENT_TIMESTAMP::text "
            f"WHERE NOT ({age} BETWEEN INTERVAL '0' AND $2 * INTERVAL '1 millisecond') RETURNING 1"
        ).replace(f"{options.metadata_table}.value", "stored.value")
        # rows that somebody writes at this moment are left to him
        self._remove = (
            f"WITH gone AS (DELETE FROM {options.table} WHERE key IN (SELECT key FROM {options.table} "  # noqa: S608
            f"WHERE {layout.expired} LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING 1) SELECT count(*) FROM gone"
        )

    async def claim(self) -> bool:
        async with self._pool.use() as connection:
            return bool(await connection.fetch(self._claim, self._key, self.interval * 1000 - TOLERANCE_MS))

    async def sweep(self) -> AsyncIterator[int]:
        removed = _ROWS_AT_ONCE
        while removed == _ROWS_AT_ONCE:
            async with self._pool.use() as connection:
                removed = await connection.fetchval(self._remove, _ROWS_AT_ONCE)
            yield removed
