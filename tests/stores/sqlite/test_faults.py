"""A locked, full, read-only or broken file: a clear error each, the others are served, and the store goes on."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.clock import SYSTEM
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Row, Upsert
from dapr_state.stores.sqlite.options import Database, Options
from dapr_state.stores.sqlite.rows import Rows
from dapr_state.stores.sqlite.session import Call, Session
from tests.stores.looking import put, value_of, values_of, write_one
from tests.stores.sqlite.conftest import store

if TYPE_CHECKING:
    import sqlite3
    from pathlib import Path

    from tests.stores.sqlite.conftest import File

LOCKED = "database is locked (5) (SQLITE_BUSY)"
FULL = "database or disk is full (13)"
ENDLESS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"


async def test_a_group_of_saves_is_few_commits(file: File) -> None:
    """A thousand callers of one tick wait for one commit."""
    async with file.opened() as opened:
        outcomes = await asyncio.gather(*(opened.write([Upsert(f"k{number}", b"v")]) for number in range(1000)))
        shown = repr(opened)

    assert outcomes == [[None]] * 1000
    assert shown == f"<SqliteStore file:{file.path} 1 commits>"
    assert repr(opened) == f"<SqliteStore file:{file.path} closed>"


async def test_in_a_group_each_request_has_its_own_outcome(file: File) -> None:
    """Saves, refusals and transactions of one commit: a failed transaction leaves no trace between the others."""
    async with file.opened() as opened:
        await put(opened, Upsert("old", b"0"))
        before = opened._sessions[0].writer.commits
        ends = await asyncio.gather(
            opened.write([Upsert("a", b"1"), Upsert("old", b"1", etag="stale")]),
            opened.transact([Upsert("b", b"1"), Upsert("a", b"2"), Delete("old", etag="stale")]),
            opened.transact([Upsert("b", b"3"), Delete("old")]),
            opened.write([Upsert("old", b"4", first_write=True)]),
            return_exceptions=True,
        )
        commits = opened._sessions[0].writer.commits - before

        assert commits == 1
        assert [isinstance(end, StoreError) for end in ends] == [False, True, False, False]
        assert await values_of(opened, "a", "b", "old") == [b"1", b"3", b"4"]


async def test_another_writer_s_lock_is_waited_for(file: File) -> None:
    """For as long as busyTimeout says, without holding up the readers."""
    async with file.opened(busyTimeout="10s") as opened:
        await put(opened, Upsert("k", b"1"))
        other = _lock(file)
        writing = asyncio.create_task(opened.write([Upsert("k", b"2")]))
        await asyncio.sleep(0)
        during = await value_of(opened, "k")
        waits = not writing.done()
        other.execute("ROLLBACK")
        other.close()
        outcome = await writing

        assert (during, waits, outcome) == (b"1", True, [None])
        assert await value_of(opened, "k") == b"2"


async def test_a_lock_that_stays_is_an_error_and_the_store_goes_on(file: File) -> None:
    """Saves and transactions say so; nothing of them happens later."""
    async with file.opened(busyTimeout="20ms") as opened:
        await put(opened, Upsert("k", b"1"))
        other = _lock(file)
        failed = await write_one(opened, Upsert("k", b"2"))
        with pytest.raises(StoreError) as refused:
            await opened.transact([Upsert("k", b"3"), Upsert("new", b"3", first_write=True)])
        other.execute("ROLLBACK")
        other.close()
        after = await values_of(opened, "k", "new")
        await put(opened, Upsert("k", b"4"))

        assert [str(failed), str(refused.value)] == [LOCKED] * 2
        assert after == [b"1", None]
        assert await value_of(opened, "k") == b"4"


async def test_opening_waits_for_another_s_lock_too(file: File) -> None:
    """Also to change the journal of the file, for which SQLite itself does not wait."""
    file.sql("CREATE TABLE unrelated (x)")
    other = _lock(file)
    opened = store(connectionString=str(file.path), busyTimeout="10s")
    opening = asyncio.create_task(opened.open())
    await asyncio.wait([opening], timeout=0.1)  # long enough to find the lock; a shorter one would prove less
    waits = not opening.done()
    other.execute("ROLLBACK")
    other.close()
    await opening
    await opened.close()

    assert waits


async def test_readers_of_a_file_without_wal_wait_for_writers(file: File) -> None:
    """On their thread: the event loop does not."""
    async with file.opened(disableWAL="true", busyTimeout="10s") as opened:
        await put(opened, Upsert("k", b"1"))
        other = _lock(file, "EXCLUSIVE")
        reading = asyncio.create_task(opened.get(["k"]))
        await asyncio.to_thread(lambda: None)  # the loop turns
        waits = not reading.done()
        other.execute("ROLLBACK")
        other.close()
        (row,) = await reading

    assert waits
    assert isinstance(row, Row)
    assert row.value == b"1"


async def test_a_full_disk_fails_the_write_and_nothing_else(file: File) -> None:
    """The error is SQLite's, nothing of the transaction is there, reads and deletes go on, later there is room."""
    async with file.opened("?_pragma=max_page_count(40)") as opened:
        await put(opened, *(Upsert(f"k{number}", b"x" * 4000) for number in range(10)))
        with pytest.raises(StoreError) as refused:
            await opened.transact([Upsert("first", b"v"), Upsert("big", b"x" * 200_000)])
        saved = await write_one(opened, Upsert("big", b"x" * 200_000))
        during = await values_of(opened, "first", "big", "k0")
        await put(opened, *(Delete(f"k{number}") for number in range(10)))
        await put(opened, Upsert("later", b"x" * 20_000))

        assert [str(refused.value), str(saved)] == [FULL] * 2
        assert during == [None, None, b"x" * 4000]
        assert await values_of(opened, "k0", "later") == [None, b"x" * 20_000]


async def test_an_operation_that_sql_refuses_does_not_take_others_down(file: File) -> None:
    """Alone at fault, alone refused: the other requests of its group are written."""
    async with file.opened() as opened:
        file.sql(
            "CREATE TRIGGER no BEFORE INSERT ON state WHEN new.key = 'bad' BEGIN SELECT RAISE(ABORT, 'not this'); END"
        )
        ends = await asyncio.gather(
            opened.write([Upsert("a", b"1"), Upsert("bad", b"1"), Upsert("b", b"1")]),
            opened.transact([Upsert("c", b"1"), Upsert("bad", b"1")]),
            opened.transact([Upsert("d", b"1"), Upsert("e", b"1")]),
            return_exceptions=True,
        )

        first, second, third = ends
        assert isinstance(first, list)
        assert [str(outcome) for outcome in first] == ["None", "not this (1811)", "None"]
        assert (str(second), third) == ("not this (1811)", None)
        assert await values_of(opened, "a", "b", "bad", "c", "d", "e") == [b"1", b"1", None, None, b"1", b"1"]


async def test_one_refused_operation_costs_few_commits(file: File) -> None:
    """Halves are tried until it stands alone: of a thousand requests, ten halves."""
    async with file.opened() as opened:
        file.sql(
            "CREATE TRIGGER no BEFORE INSERT ON state WHEN new.key = 'bad' BEGIN SELECT RAISE(ABORT, 'not this'); END"
        )
        before = opened._sessions[0].writer.commits
        keys = [*(f"a{number}" for number in range(600)), "bad", *(f"b{number}" for number in range(423))]
        outcomes = await opened.write([Upsert(key, b"v") for key in keys])
        commits = opened._sessions[0].writer.commits - before
        rows = await opened.get(keys)

    assert [key for key, outcome in zip(keys, outcomes, strict=True) if outcome] == ["bad"]
    assert [key for key, row in zip(keys, rows, strict=True) if row is None] == ["bad"]
    assert commits == 10


async def test_a_read_only_file_is_read_and_refuses_writes(file: File) -> None:
    """The schema must be there already."""
    async with file.opened(disableWAL="true") as opened:
        await put(opened, Upsert("k", b"v"))
    async with file.opened("?mode=ro") as opened:
        failed = await write_one(opened, Upsert("k", b"w"))
        guarded = await write_one(opened, Upsert("k", b"w", first_write=False, etag="x"))
        seen = await value_of(opened, "k")

    assert str(failed) == "attempt to write a readonly database (8)"
    assert isinstance(guarded, StoreError)
    assert seen == b"v"


async def test_a_read_only_file_without_tables_cannot_be_opened(file: File) -> None:
    """There is no making them."""
    file.sql("CREATE TABLE unrelated (x)")
    with pytest.raises(StoreError, match=r"^failed to perform migrations: .* attempt to write a readonly database"):
        await store(connectionString=f"{file.path}?mode=ro").open()


@pytest.mark.parametrize("name", ["missing/state.db", ""])
async def test_a_path_that_cannot_be_opened_says_so(tmp_path: Path, name: str) -> None:
    """A folder that is missing, a folder instead of a file."""
    with pytest.raises(StoreError, match=r"^failed to ping: unable to open database file \(14\)$"):
        await store(connectionString=str(tmp_path / name)).open()


async def test_a_file_that_is_no_database_says_so(file: File) -> None:
    """And is left as it is."""
    file.path.write_text("not a database at all, " * 100)
    with pytest.raises(StoreError, match=r"^failed to ping: file is not a database \(26\)$"):
        await store(connectionString=str(file.path)).open()

    assert file.path.read_text().startswith("not a database")


async def test_a_store_that_failed_to_open_refuses_calls(tmp_path: Path) -> None:
    """And can be closed."""
    opened = store(connectionString=str(tmp_path / "missing" / "state.db"))
    with pytest.raises(StoreError):
        await opened.open()
    with pytest.raises(StoreError, match=r"^the store is not open$"):
        await opened.get(["k"])
    await opened.close()


async def test_a_statement_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    """After the component's timeout; the connection serves the next one."""
    options = Options(Database(f"file:{tmp_path / 'state.db'}"), timeout=0.05)
    session = Session(options, Rows("state"), SYSTEM, None)
    answers = session.handle([Call(lambda connection: connection.execute(ENDLESS).fetchone())])
    after = session.handle([Call(lambda connection: connection.execute("SELECT 1").fetchone())])
    session.close()

    assert [str(answer) for answer in answers] == ["interrupted (9)"]
    assert after == [(1,)]


async def test_slow_reads_leave_the_event_loop_and_fast_ones_come_back(file: File) -> None:
    """A read that the disk held up sends the next one to the thread."""
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v"))
        spot = opened._spot
        assert spot is not None
        spot.read_elsewhere(seconds=1.0)
        left = spot.takes(["k"])
        seen = await value_of(opened, "k")

        assert (left, seen) == (False, b"v")
        assert spot.takes(["k"])


async def test_the_reads_of_a_tick_are_one_statement(file: File) -> None:
    """However many callers there are, each has his own rows; more than 256 keys are more statements."""
    async with file.opened() as opened:
        await put(opened, *(Upsert(f"k{number}", b"%d" % number) for number in range(300)))
        spot = opened._spot
        assert spot is not None
        statements: list[str] = []
        spot._session.connection.set_trace_callback(statements.append)
        rows = await asyncio.gather(*(opened.get([f"k{number}", "missing"]) for number in range(300)))

    assert [row.value for row, _ in rows if isinstance(row, Row)] == [b"%d" % number for number in range(300)]
    assert {missing for _, missing in rows} == {None}
    assert len(statements) == 3


async def test_a_reader_who_gives_up_keeps_no_other_from_his_rows(file: File) -> None:
    """His place among them stays his."""
    async with file.opened() as opened:
        await put(opened, *(Upsert(f"k{number}", b"%d" % number) for number in range(3)))
        reads = [asyncio.ensure_future(opened.get([f"k{number}"])) for number in range(3)]
        await asyncio.sleep(0)
        reads[1].cancel()
        (first,), (last,) = await asyncio.gather(reads[0], reads[2])

    assert isinstance(first, Row)
    assert isinstance(last, Row)
    assert (first.value, last.value) == (b"0", b"2")


def _lock(file: File, mode: str = "IMMEDIATE") -> sqlite3.Connection:
    connection = file.connect()
    connection.execute(f"BEGIN {mode}")
    return connection
