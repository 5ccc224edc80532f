"""Expired rows are removed from the file, once an interval, by one of those who share it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.clock import WAITING, ManualClock
from dapr_state.stores.model import Upsert
from dapr_state.stores.sqlite import cleanup as module
from dapr_state.stores.sqlite.cleanup import FileCleanup
from dapr_state.testing.stores.asking import put

if TYPE_CHECKING:
    import sqlite3

    from dapr_state.stores.sqlite import SqliteStore
    from tests.stores.sqlite.conftest import File

PAST = "2020-01-01 00:00:00"


async def _fill(file: File, store: SqliteStore) -> None:
    """Three rows that live and seven that have expired, mixed."""
    await put(store, *(Upsert(f"k{number}", b"v", ttl=1000 if number < 2 else None) for number in range(10)))
    for number in (2, 3, 5, 6, 7, 8, 9):
        file.sql("UPDATE state SET expiration_time = ? WHERE key = ?", (PAST, f"k{number}"))


def _cleanup(store: SqliteStore) -> FileCleanup:
    assert store._writing is not None
    return FileCleanup(store._options, store._writing, WAITING)


def _keys(file: File) -> list[str]:
    return [key for (key,) in file.sql("SELECT key FROM state ORDER BY key")]


async def test_expired_rows_are_removed(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of them, in several steps, and no others."""
    monkeypatch.setattr(module, "_ROWS_AT_FIRST", 3)
    monkeypatch.setattr(module, "_ROWS_AT_MOST", 3)
    async with file.opened(cleanupInterval="1h") as store:
        await _fill(file, store)
        await _cleanup(store).run()

        assert _keys(file) == ["k0", "k1", "k4"]


async def test_who_comes_second_within_the_interval_leaves_it(file: File) -> None:
    """The time of the last cleanup stands in the metadata table, for all sidecars."""
    async with file.opened(cleanupInterval="1h") as store:
        await _cleanup(store).run()
        await _fill(file, store)
        await _cleanup(store).run()
        kept = len(_keys(file))
        file.sql("UPDATE metadata SET value = ? WHERE key = 'last-cleanup'", (PAST,))
        await _cleanup(store).run()

        assert (kept, _keys(file)) == (10, ["k0", "k1", "k4"])
        assert file.sql("SELECT value > '2024' FROM metadata WHERE key = 'last-cleanup'") == [(1,)]


async def test_it_runs_by_itself_when_an_interval_is_set(file: File) -> None:
    """The first time after one interval."""
    async with file.opened(cleanupInterval="50ms") as store:
        await _fill(file, store)
        deadline = time.monotonic() + 10
        while len(_keys(file)) > 3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

        assert _keys(file) == ["k0", "k1", "k4"]


async def test_it_is_off_by_default(file: File) -> None:
    """Expired rows stay in the file, unseen."""
    async with file.opened() as store:
        await _fill(file, store)

        assert store._cleanup is None
        assert await store.get(["k9"]) == [None]
        assert len(_keys(file)) == 10


async def test_a_failed_run_is_logged_and_the_next_one_comes(file: File, caplog: pytest.LogCaptureFixture) -> None:
    """Nothing but the log shows it."""
    async with file.opened(cleanupInterval="50ms") as store:
        await _fill(file, store)
        file.sql("ALTER TABLE metadata RENAME TO away")
        deadline = time.monotonic() + 10
        while "Error removing expired data: SQL logic error: no such table: metadata (1)" not in caplog.text:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)
        file.sql("ALTER TABLE away RENAME TO metadata")
        while len(_keys(file)) > 3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.02)

        assert _keys(file) == ["k0", "k1", "k4"]


@pytest.mark.parametrize("last", ["2999-01-01 00:00:00", "garbage", ""])
async def test_a_last_cleanup_that_is_no_past_time_holds_nothing_off(file: File, last: str) -> None:
    """A clock was put back, or somebody wrote something else."""
    async with file.opened(cleanupInterval="1h") as store:
        await _fill(file, store)
        file.sql("INSERT INTO metadata (key, value) VALUES ('last-cleanup', ?)", (last,))
        await _cleanup(store).run()

        assert _keys(file) == ["k0", "k1", "k4"]


async def test_slow_steps_become_shorter_and_fast_ones_longer(file: File) -> None:
    """Writers wait for a step: what is large to remove, or slow to write, is removed in more of them."""
    async with file.opened() as store:
        await put(store, *(Upsert(f"k{number}", b"v") for number in range(3)))
        assert store._writing is not None
        cleanup = FileCleanup(store._options, store._writing, clock := ManualClock())
        sizes = []

        class Slow:
            def __init__(self, connection: sqlite3.Connection, seconds: float) -> None:
                self.connection, self.seconds = connection, seconds

            def execute(self, sql: str, parameters: tuple[Any, ...]) -> sqlite3.Cursor:
                clock.advance(self.seconds)
                return self.connection.execute(sql, parameters)

        for seconds in (1.0, 1.0, 0.0, 0.004, 0.0, 0.0):
            cleanup._step(0, Slow(store._executors[0].connection, seconds))  # type: ignore[arg-type]
            sizes.append(cleanup._rows_at_once)

    assert sizes == [125, 62, 124, 124, 248, 496]
