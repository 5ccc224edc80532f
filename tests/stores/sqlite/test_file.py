"""The database file is deleted or replaced while it is open: nothing is acknowledged that nobody will find."""

from __future__ import annotations

import asyncio
import shutil
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.sqlite import executor as module
from dapr_state.testing.stores.asking import put, value_of, write_one

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state.stores.sqlite import SqliteStore
    from tests.stores.sqlite.conftest import File

MOVED = (
    "the file {} was deleted or replaced while the database is open: put it back, or restart to use what is there now"
)


async def refusals(store: SqliteStore) -> set[str]:
    """What each kind of call says."""
    calls: list[Any] = [
        store.transact([Upsert("t", b"v"), Delete("k")]),
        store.get(["k"]),
        store.list("", limit=5),
        store.ping(),
        store.write([Upsert("w", b"v")]),
        store.write([Upsert("g", b"v", first_write=True)]),
    ]
    return {str(end) for end in await asyncio.gather(*calls, return_exceptions=True)}


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reads look for the file each time."""
    monkeypatch.setattr(module, "_READ_FILE_SECONDS", -1.0)
    monkeypatch.setattr(module, "_FILE_SECONDS", -1.0)


@pytest.mark.parametrize("suffix", ["", "-wal", "-shm"])
async def test_a_deleted_file_is_noticed(file: File, suffix: str) -> None:
    """The database itself, its log, and what those who use it share: every call says which."""
    path = file.path.with_name(file.path.name + suffix)
    async with file.opened() as store:
        await put(store, Upsert("k", b"v"))
        path.unlink()

        assert await refusals(store) == {MOVED.format(path)}


@pytest.mark.parametrize("wal", [True, False])
async def test_a_replaced_file_is_left_alone(file: File, tmp_path: Path, *, wal: bool) -> None:
    """Neither writes nor the end of the store change what has been put in its place; who opens it anew uses it."""
    options = {} if wal else {"disableWAL": "true"}
    async with file.opened(**options) as store:
        await put(store, Upsert("k", b"backup"))
    backup = tmp_path / "backup.db"
    shutil.copy(file.path, backup)
    async with file.opened(**options) as store:
        await put(store, Upsert("k", b"later"))
        for beside in file.path.parent.glob("state.db-*"):  # else whoever opens it next finds the log of the one before
            beside.unlink()
        backup.replace(file.path)
        said = await refusals(store)
    async with file.opened(**options) as store:
        rows = await store.get(["k", "t", "w", "g"])

    assert said == {MOVED.format(file.path)}
    assert [row and isinstance(row, StoredValue) and row.value for row in rows] == [b"backup", None, None, None]


async def test_a_file_that_comes_back_is_used_again(file: File) -> None:
    """A folder was moved away and back: nothing that was refused has happened."""
    away = file.path.parent.with_name("away")
    async with file.opened() as store:
        await put(store, Upsert("k", b"v"))
        file.path.parent.rename(away)
        said = await refusals(store)
        away.rename(file.path.parent)
        rows = await store.get(["k", "t", "w", "g"])
        await put(store, Upsert("k", b"w"))
        seen = await value_of(store, "k")

    assert said == {MOVED.format(file.path)}
    assert [isinstance(row, StoredValue) for row in rows] == [True, False, False, False]
    assert seen == b"w"


@pytest.mark.parametrize("suffix", ["", "-wal"])
async def test_a_write_whose_file_goes_while_it_is_committed_is_not_acknowledged(file: File, suffix: str) -> None:
    """The look that counts comes after the commit."""
    path = file.path.with_name(file.path.name + suffix)
    async with file.opened() as store:
        await put(store, Upsert("k", b"v"))
        executor = store._executors[0]
        commit = executor._commit

        def racing(units: Any) -> Any:
            outcomes = commit(units)
            path.unlink()
            return outcomes

        executor._commit = racing  # type: ignore[method-assign]
        outcome = await write_one(store, Upsert("k", b"w"))

    assert isinstance(outcome, StoreError)
    assert str(outcome) == MOVED.format(path)


async def test_a_database_in_memory_has_no_file_to_miss() -> None:
    """And is not asked for one."""
    from tests.stores.sqlite.conftest import store  # noqa: PLC0415 - the fixture's module

    opened = store(connectionString=":memory:")
    await opened.open()
    await put(opened, Upsert("k", b"v"))
    seen = await value_of(opened, "k")
    await opened.close()

    assert seen == b"v"
