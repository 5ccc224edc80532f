"""The log or the database is cut short while it is open; others that use it make it shorter by right."""

from __future__ import annotations

import asyncio
import os
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Upsert
from dapr_state.stores.sqlite import executor as module
from dapr_state.testing.stores.asking import put, value_of, values_of, write_one

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state.stores.sqlite import SqliteStore
    from tests.stores.sqlite.conftest import File

CUT = "the file {} was cut short while the database is open: restart to use what is left of it"


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call looks."""
    monkeypatch.setattr(module, "_READ_FILE_SECONDS", -1.0)
    monkeypatch.setattr(module, "_FILE_SECONDS", -1.0)


async def fill(store: SqliteStore) -> None:
    for at in range(24):
        await put(store, Upsert(f"k{at}", bytes(3000), is_json=True))


def log_of(file: File) -> Path:
    return file.path.with_name(file.path.name + "-wal")


async def end_of(call: Any) -> str:
    """What it says: as an outcome, or as the error that the whole call ends in."""
    try:
        (end,) = await call
    except StoreError as error:
        return str(error)
    return str(end)


@pytest.mark.parametrize("left", [0.0, 0.001, 0.5, 0.999])
async def test_a_log_that_was_cut_is_noticed(file: File, left: float) -> None:
    """Wherever it is cut: reads and writes say so, and it does not grow again."""
    log = log_of(file)
    async with file.opened() as store:
        await fill(store)
        os.truncate(log, size := int(log.stat().st_size * left))

        assert await end_of(store.write([Upsert("w", b"v")])) == CUT.format(log)
        assert await end_of(store.get(["k1"])) == CUT.format(log)
        assert await end_of(store.transact([Upsert("w", b"v")])) == CUT.format(log)
        assert log.stat().st_size == size


@pytest.mark.parametrize("left", [0.0, 0.5, 0.98])
@pytest.mark.parametrize("others", [True, False])
async def test_a_log_that_is_cut_between_the_look_and_the_commit_is_noticed(
    file: File, left: float, *, others: bool
) -> None:
    """The write goes behind a hole: it is refused, and so are those that follow. So where another's is the first."""
    log = log_of(file)
    async with file.opened() as store:
        await fill(store)
        executor = store._executors[0]
        commit = executor._commit

        def racing(units: Any) -> Any:
            with closing(file.connect()) as other:
                other.execute("SELECT count(*) FROM state").fetchall()
                os.truncate(log, int(log.stat().st_size * left))
                if others:
                    other.execute("UPDATE metadata SET value = value")
            return commit(units)

        executor._commit = racing  # type: ignore[method-assign]
        first = await end_of(store.write([Upsert("w", b"v")]))
        executor._commit = commit  # type: ignore[method-assign]
        second = await end_of(store.write([Upsert("x", b"v")]))

    # where the hole is in a page that the statement reads, SQLite itself has noticed
    assert first != "None"
    assert second == CUT.format(log)


@pytest.mark.parametrize("left", [0.0, 0.5])
@pytest.mark.parametrize("is_copied", [True, False])
async def test_a_database_that_was_cut_is_noticed(file: File, left: float, *, is_copied: bool) -> None:
    """Whether the log has anything beside it that is not in the database yet, or not."""
    async with file.opened() as store:
        await fill(store)
        file.sql("PRAGMA wal_checkpoint(PASSIVE)")
        if not is_copied:
            await put(store, Upsert("k", b"v"))
        await value_of(store, "k")
        os.truncate(file.path, int(file.path.stat().st_size * left))

        assert await end_of(store.write([Upsert("w", b"v")])) == CUT.format(file.path)
        assert await end_of(store.get(["k1"])) == CUT.format(file.path)


@pytest.mark.parametrize("mode", ["PASSIVE", "FULL", "RESTART", "TRUNCATE"])
async def test_a_checkpoint_of_others_is_no_cut(file: File, mode: str) -> None:
    """Not even one that empties the log, nor a smaller database after it, nor a log that is cut to its limit."""
    async with file.opened() as store, file.opened("?_pragma=journal_size_limit(0)") as beside:
        with closing(file.connect()) as other:
            for turn in range(6):
                await fill(store)
                await put(beside, Upsert(f"b{turn}", b"v"))
                if turn % 3 == 2:
                    other.execute("DELETE FROM state WHERE key LIKE 'k%'")
                    other.execute("VACUUM")
                other.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
                assert await value_of(beside, f"b{turn}") == b"v"
                await put(store, Upsert(f"s{turn}", b"v"))
                assert await value_of(store, f"s{turn}") == b"v"


async def test_checkpoints_at_any_moment_are_no_cut(file: File) -> None:
    """While this store and another write, a third empties the log again and again."""
    stop = asyncio.Event()

    def empty() -> int:
        with closing(file.connect()) as other:
            turns = 0
            while not stop.is_set():
                other.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
                if turns % 20 == 0:
                    other.execute("VACUUM")
                turns += 1
            return turns

    async with file.opened() as store, file.opened("?_pragma=wal_autocheckpoint(3)") as beside:
        emptying = asyncio.create_task(asyncio.to_thread(empty))
        for turn in range(20):
            ends = await asyncio.gather(
                *(write_one(one, Upsert(f"k{at}", bytes(turn * 200))) for one in (store, beside) for at in range(5))
            )
            assert [str(end) for end in ends if end and "cut" in str(end)] == []
            await values_of(store, "k1", "k2")
        stop.set()
        assert await emptying
