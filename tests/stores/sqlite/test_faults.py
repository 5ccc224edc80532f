"""A locked, full, read-only or broken file: a clear error each, the others are served, and the store goes on."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from dapr_state.clock import WAITING
from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.sqlite import inline as inline_reads
from dapr_state.stores.sqlite import schema
from dapr_state.stores.sqlite import statements as module
from dapr_state.stores.sqlite.executor import Call, Executor, Read, Write
from dapr_state.stores.sqlite.options import Database, Options
from dapr_state.stores.sqlite.statements import OCTETS_AT_ONCE, StateTable
from dapr_state.stores.sqlite.store import AT_ONCE
from dapr_state.testing.stores.asking import put, value_of, values_of, write_one
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
        before = opened._executors[0].commits
        ends = await asyncio.gather(
            opened.write([Upsert("a", b"1"), Upsert("old", b"1", etag="stale")]),
            opened.transact([Upsert("b", b"1"), Upsert("a", b"2"), Delete("old", etag="stale")]),
            opened.transact([Upsert("b", b"3"), Delete("old")]),
            opened.write([Upsert("old", b"4", first_write=True)]),
            return_exceptions=True,
        )
        commits = opened._executors[0].commits - before

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
    assert isinstance(row, StoredValue)
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
        before = opened._executors[0].commits
        keys = [*(f"a{number}" for number in range(600)), "bad", *(f"b{number}" for number in range(423))]
        outcomes = await opened.write([Upsert(key, b"v") for key in keys])
        commits = opened._executors[0].commits - before
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


@pytest.mark.parametrize("failing", ["call", "read"])
async def test_what_fails_unexpectedly_is_told_to_nobody_else(
    failing: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A save of the same group is committed by then: it is a success, and its caller hears of no error."""
    options = Options(Database(f"file:{tmp_path / 'state.db'}"))
    executor = Executor(options, table := StateTable("state"), WAITING, busy_timeout=2.0, timeout=options.timeout)
    schema.migrate(executor.connection, "state", "metadata")
    save = Write([Upsert("k", b"1")])

    def fail(*_: object) -> None:
        raise ZeroDivisionError("of ours")

    if failing == "call":
        answers = executor.handle([save, Call(fail)])
    else:
        with monkeypatch.context() as patch:
            patch.setattr(table, "read", fail)
            answers = executor.handle([save, Read(["k"])])
    (row,) = executor.read(["k"])
    executor.close()

    assert answers[0] == [None]
    assert isinstance(answers[1], StoreError)
    assert isinstance(row, StoredValue)
    assert row.value == b"1"


async def test_a_statement_that_takes_too_long_is_interrupted(tmp_path: Path) -> None:
    """After the component's timeout; the connection serves the next one."""
    options = Options(Database(f"file:{tmp_path / 'state.db'}"), timeout=0.05)
    executor = Executor(options, StateTable("state"), WAITING, busy_timeout=2.0, timeout=options.timeout)
    answers = executor.handle([Call(lambda connection: connection.execute(ENDLESS).fetchone())])
    after = executor.handle([Call(lambda connection: connection.execute("SELECT 1").fetchone())])
    executor.close()

    assert [str(answer) for answer in answers] == ["interrupted (9)"]
    assert after == [(1,)]


async def test_slow_reads_leave_the_event_loop_and_fast_ones_come_back(file: File) -> None:
    """A read that the disk held up sends the next one to the thread."""
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v"))
        inline = opened._inline
        assert inline is not None
        inline.read_elsewhere(seconds=1.0)
        left = inline.takes(["k"])
        seen = await value_of(opened, "k")

        assert (left, seen) == (False, b"v")
        assert inline.takes(["k"])


SLOW = """
    ALTER TABLE state RENAME TO moved;
    CREATE VIEW state AS SELECT * FROM moved WHERE 1 < (
        WITH RECURSIVE n(x) AS (SELECT moved.rowid UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n
    );
"""


async def test_a_read_that_fails_slowly_does_not_hold_the_event_loop(file: File) -> None:
    """It is interrupted, and left to the thread, which says after the timeout what became of it."""
    async with file.opened(timeout="1s") as opened:
        await put(opened, Upsert("k", b"v"))
        for statement in SLOW.split(";")[:-1]:
            file.sql(statement)
        reads = [asyncio.create_task(opened.get(["k"])) for _ in range(3)]
        turns = 0
        while not all(read.done() for read in reads):
            turns += 1
            await asyncio.sleep(0.01)
        ends = await asyncio.gather(*reads, return_exceptions=True)

    assert [str(end) for end in ends] == ["interrupted (9)"] * 3
    assert turns > 20


@pytest.mark.parametrize("position", [0, 59])
async def test_large_values_are_read_by_the_thread(file: File, position: int) -> None:
    """Whichever place they have among small ones, and however often they are asked for."""
    async with file.opened() as opened:
        keys = [f"k{number:02}" for number in range(60)]
        await put(opened, *(Upsert(key, b"small") for key in keys))
        await put(opened, *(Upsert(key, bytes(2**20)) for key in (keys[position], "other", "third")))
        threads: list[str] = []
        opened._executors[1].connection.set_trace_callback(threads.append)
        for _ in range(2):
            rows = await opened.get([*keys, "other", "third"])
            await value_of(opened, "k01")

    assert [len(row.value) for row in rows if isinstance(row, StoredValue)].count(2**20) == 3
    assert len(rows) == 62
    assert ["LEFT JOIN" in sql for sql in threads].count(True) == 2


async def test_large_values_are_converted_some_at_a_time(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """While msgspec decodes, no other thread goes on: the event loop would wait for a whole bulk read."""
    converted: list[int] = []

    def counting(rows: Any, wanted: Any) -> Any:
        converted.append(sum(len(row[0]) for row in rows if row))
        return msgspec.convert(rows, wanted)

    async with file.opened() as opened:
        keys = [f"k{number}" for number in range(2000)]
        await put(opened, *(Upsert(key, bytes(2**20 if number < 8 else 500)) for number, key in enumerate(keys)))
        monkeypatch.setattr(module, "msgspec", SimpleNamespace(convert=counting))
        found = await opened.get(keys)

    assert [len(row.value) for row in found if isinstance(row, StoredValue)] == [2**20] * 8 + [500] * 1992
    assert max(converted) <= 2**20 * 4 // 3 + OCTETS_AT_ONCE


async def test_large_values_are_bound_one_by_one(file: File) -> None:
    """For the same reason; small ones go sixty-four to a statement. Their order is that of their last writes."""
    async with file.opened() as opened:
        statements: list[str] = []
        opened._executors[0].connection.set_trace_callback(statements.append)
        await put(opened, *(Upsert(f"k{number}", bytes(2**20)) for number in range(6)))
        large, statements[:] = len(statements), []
        await put(opened, *(Upsert(f"k{number}", b"v") for number in range(64)))

    assert (large, len(statements)) == (6 + 2, 1)
    assert file.sql("SELECT key FROM state ORDER BY rowid") == [(f"k{number}",) for number in range(64)]


async def test_a_huge_request_lets_others_go_between_its_parts(file: File) -> None:
    """Its outcomes are one for each operation, in order; a read and a write beside it do not wait for its end."""
    async with file.opened() as opened:
        many = [Upsert(f"k{number}", b"%d" % number) for number in range(3 * AT_ONCE)]
        writing = asyncio.create_task(opened.write([*many, Upsert("k0", b"w", etag="stale")]))
        await asyncio.sleep(0)
        await put(opened, Upsert("beside", b"v"))
        waits = not writing.done()
        outcomes = await writing
        reading = asyncio.create_task(opened.get([operation.key for operation in many]))
        await asyncio.sleep(0)
        await opened.list("beside", limit=1)
        reads = not reading.done()
        rows = await reading

    assert (waits, reads) == (True, True)
    assert [isinstance(outcome, EtagMismatch) for outcome in outcomes] == [False] * len(many) + [True]
    assert [row.value for row in rows if isinstance(row, StoredValue)] == [operation.value for operation in many]


async def test_the_reads_of_a_tick_are_one_statement(file: File, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many callers there are, each has his own rows; more than 256 keys are more statements."""
    monkeypatch.setattr(inline_reads, "SLOW_SECONDS", 60.0)  # else a machine that is held up leaves them to a thread
    async with file.opened() as opened:
        await put(opened, *(Upsert(f"k{number}", b"%d" % number) for number in range(300)))
        inline = opened._inline
        assert inline is not None
        statements: list[str] = []
        inline._executor.connection.set_trace_callback(statements.append)
        rows = await asyncio.gather(*(opened.get([f"k{number}", "missing"]) for number in range(300)))

    assert [row.value for row, _ in rows if isinstance(row, StoredValue)] == [b"%d" % number for number in range(300)]
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

    assert isinstance(first, StoredValue)
    assert isinstance(last, StoredValue)
    assert (first.value, last.value) == (b"0", b"2")


def _lock(file: File, mode: str = "IMMEDIATE") -> sqlite3.Connection:
    connection = file.connect()
    connection.execute(f"BEGIN {mode}")
    return connection
