"""Expired rows leave the table, once an interval, and connections that nobody needs are closed."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.model import Upsert
from dapr_state.stores.postgresql import cleanup as module
from dapr_state.stores.postgresql.cleanup import TableCleanup
from dapr_state.testing.stores.asking import conflicts, put, row_of
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.stores.postgresql.conftest import Database, Store

EXPIRY = {"v1": "expiredate", "v2": "expires_at"}
ROW = {"v1": "last-cleanup", "v2": "last-cleanup-state-v2-"}


async def _fill(database: Database, store: Store) -> None:
    """Three rows that live and seven that have expired, mixed."""
    await put(store, *(Upsert(f"k{number}", b"v", ttl=1000 if number < 2 else None) for number in range(10)))
    database.sql(f"UPDATE state SET {EXPIRY[database.version]} = '2020-01-01' WHERE key NOT IN ('k0', 'k1', 'k4')")


def _cleanup(database: Database, store: Store) -> TableCleanup:
    assert store._pool is not None
    return TableCleanup(store._options, store.layout, ROW[database.version], store._pool)


def _keys(database: Database) -> list[str]:
    return [key for (key,) in database.sql("SELECT key FROM state ORDER BY key")]


def _connections(database: Database) -> int:
    """With the one that asks."""
    ((count,),) = database.sql("SELECT count(*) FROM pg_stat_activity WHERE datname = %s", database.name)
    return int(count)


async def test_expired_rows_are_removed(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in several steps, and no others."""
    monkeypatch.setattr(module, "_ROWS_AT_ONCE", 3)
    async with database.opened() as store:
        await _fill(database, store)
        await _cleanup(database, store).run()

    assert _keys(database) == ["k0", "k1", "k4"]


async def test_who_comes_second_within_the_interval_leaves_it(database: Database) -> None:
    """The time of the last cleanup stands in the metadata table, for all sidecars; a time to come holds nothing off."""
    kept = []
    async with database.opened() as store:
        await _cleanup(database, store).run()
        await _fill(database, store)
        for last in (None, "2020-01-01 00:00:00+00", "2999-01-01 00:00:00+00"):
            if last:
                database.sql("UPDATE dapr_metadata SET value = %s WHERE key = %s", last, ROW[database.version])
                await _fill(database, store)
            await _cleanup(database, store).run()
            kept.append(len(_keys(database)))

    assert kept == [10, 3, 3]


async def test_it_runs_by_itself(database: Database) -> None:
    """Once an interval, as the component says; 0 means never."""
    async with database.opened(cleanupInterval="200ms") as store:
        await _fill(database, store)
        await asyncio.to_thread(until, lambda: len(_keys(database)) == 3)
    async with database.opened(cleanupInterval="0") as store:
        assert store._cleanup is None


async def test_a_row_that_somebody_writes_keeps_no_cleanup_waiting(database: Database) -> None:
    """It is left to the next one."""
    async with database.opened(timeout="1s") as store:
        await _fill(database, store)
        with database.server.client(database.name) as client, client.transaction():
            client.execute("SELECT * FROM state WHERE key = 'k5' FOR UPDATE")
            await _cleanup(database, store).run()

    assert _keys(database) == ["k0", "k1", "k4", "k5"]


async def test_connections_that_stand_idle_are_closed(database: Database) -> None:
    """After the component's time; then calls open new ones."""
    async with database.opened(connectionMaxIdleTime="100ms") as store:
        await asyncio.gather(*(store.ping() for _ in range(4)))
        await asyncio.to_thread(until, lambda: _connections(database) == 1)

        await put(store, Upsert("k", b"v"))


async def test_there_are_no_more_connections_than_the_component_says(database: Database) -> None:
    """Whatever is asked at once."""
    async with database.opened(maxConns="3") as store:
        calls = [*(store.ping() for _ in range(50)), *(store.list("", limit=1) for _ in range(50))]
        calls += [store.write([Upsert(f"k{number}", b"v")]) for number in range(50)]  # type: ignore[misc]
        await asyncio.gather(*calls)

        assert _connections(database) == 3 + 1


@pytest.mark.parametrize("mode", ["cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"])
async def test_every_mode_of_queries_serves(database: Database, mode: str) -> None:
    """Reads, guarded writes, lists, transactions; nothing stays prepared on the server but in the first mode."""
    async with database.opened(queryExecMode=mode) as store:
        for _ in range(3):
            await store.transact([Upsert("k", b"v"), Upsert("l", b"v")])
        etag = (await row_of(store, "k")).etag
        assert [entry.key for entry in (await store.list("", limit=9)).entries] == ["k", "l"]
        outcomes = await store.write([Upsert("k", b"w", etag=etag), Upsert("k", b"x", first_write=True)])
        async with store._pool.use() as connection:  # type: ignore[union-attr]
            prepared = await connection.fetchval("SELECT count(*) > 1 FROM pg_prepared_statements")

        assert conflicts(outcomes) == [False, True]
        assert prepared == (mode == "cache_statement")
