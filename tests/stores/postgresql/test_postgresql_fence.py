"""A write that was not answered does not come after one that was acknowledged since."""

from __future__ import annotations

import asyncio
import os
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.postgresql import PostgresV1
from dapr_state.testing.stores.asking import put, value_of, values_of, write_one
from tests.support.unsteady import Unsteady

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.stores.postgresql.conftest import Database, Store

PATIENCE = 0.2  # seconds until a connection is given up
LIMITED = "may_not_end_sessions"  # a role


def _used(store: Store) -> int:
    """The server's process that the next statement goes to."""
    assert store._pool
    pid: int = store._pool._idle[-1][0].get_server_pid()
    return pid


async def _ended(database: Database, pid: int) -> None:
    await _until(lambda: not database.sql("SELECT 1 FROM pg_stat_activity WHERE pid = %s", pid))


async def _until(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not look():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.005)


@contextmanager
def _stopped(pid: int) -> Iterator[None]:
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


async def _given_up(store: Store, *operations: Upsert) -> None:
    """Nobody waits for the answer any more."""
    with _impatient(store):
        (error,) = await asyncio.gather(store.write(operations), return_exceptions=True)
    assert isinstance(error, StoreError)
    assert not error.is_undone


@contextmanager
def _impatient(store: Store) -> Iterator[None]:
    assert store._pool
    before, store._pool.answer_seconds = store._pool.answer_seconds, PATIENCE
    yield
    store._pool.answer_seconds = before


async def test_octets_that_come_late_do_not_undo_what_was_acknowledged_since(database: Database) -> None:
    """They were held on the way until the connection was given up and the key was written anew."""
    async with Unsteady(database.server.port) as way, database.opened(port=str(way.port)) as store:
        await put(store, Upsert("k", b"first"), Upsert("other", b"first"))
        pid, held = _used(store), way.hold_these()
        await _given_up(store, Upsert("k", b"old"), Upsert("other", b"old"))
        await put(store, Upsert("k", b"new"))
        held.set()
        await _ended(database, pid)

        assert await values_of(store, "k", "other") == [b"new", b"first"]


async def test_who_has_left_does_not_undo_what_was_acknowledged_since(database: Database) -> None:
    """His write is still on its way, of which nobody has given up the connection; the next one waits for it."""
    async with Unsteady(database.server.port) as way, database.opened(port=str(way.port)) as store:
        await put(store, Upsert("k", b"first"))
        held = way.hold_these()
        left = asyncio.create_task(store.write([Upsert("k", b"old")]))
        await _until(lambda: bool(way.held))
        left.cancel()
        anew = asyncio.create_task(write_one(store, Upsert("k", b"new")))
        await _until(lambda: anew.done() or bool(store._lanes[1]._alone))
        beside = await write_one(store, Upsert("beside", b"v"))
        held.set()

        assert (await anew, beside) == (None, None)
        await _until(lambda: not store._lanes[1]._runs)
        assert await value_of(store, "k") == b"new"


async def test_a_process_of_the_server_that_hangs_holds_up_the_keys_that_it_was_to_write_alone(
    database: Database,
) -> None:
    """Until it has ended: who waits too long is told why, and others are not held up."""
    async with database.opened() as store:
        assert store._groups
        await put(store, Upsert("k", b"first"))
        patience, store._groups.timeout, pid = store._groups.timeout, PATIENCE, _used(store)
        with _stopped(pid):
            await _given_up(store, Upsert("k", b"old"))
            waiting, beside = await store.write([Upsert("k", b"new"), Upsert("beside", b"v")])
        store._groups.timeout = patience
        later = await write_one(store, Upsert("k", b"newest"))
        await _ended(database, pid)

        assert isinstance(waiting, NotDone)
        assert "an earlier write of key=k may still come" in str(waiting)
        assert (beside, later) == (None, None)
        assert await values_of(store, "k", "beside") == [b"newest", b"v"]


async def test_who_waits_for_a_session_to_end_goes_on_once_it_has(database: Database) -> None:
    """The process hangs for longer than a group waits for it, and is there again before the caller gives up."""
    async with database.opened() as store:
        await put(store, Upsert("k", b"first"))
        pid = _used(store)
        with _stopped(pid):
            await _given_up(store, Upsert("k", b"old"))
            writing = asyncio.create_task(write_one(store, Upsert("k", b"new")))
            await _until(lambda: bool(store._lanes[1]._alone))
            assert not writing.done()
        assert await writing is None
        await _ended(database, pid)

        assert await value_of(store, "k") == b"new"


async def test_a_commit_that_comes_late_holds_its_rows_until_then(database: Database) -> None:
    """Behind a pooler, where a session cannot be named: who writes the row anew waits for it."""
    waits = "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query NOT LIKE '%pg_stat%'"
    async with (
        Unsteady(database.server.port) as way,
        database.opened(port=str(way.port), queryExecMode="exec") as store,
    ):
        assert store._pool
        await put(store, Upsert("k", b"first"))
        ((lent, _),) = store._pool._idle
        with database.server.client(database.name) as client, client.transaction():
            client.execute("SELECT FROM state WHERE key = 'k' FOR UPDATE")
            writing = asyncio.create_task(store.write([Upsert("k", b"old")]))
            await _until(lambda: bool(database.sql(waits)))
            held = way.hold_these()
        await _until(lambda: bool(way.held))
        lent.terminate()
        (lost,) = await asyncio.gather(writing, return_exceptions=True)
        assert isinstance(lost, StoreError)
        anew = asyncio.create_task(write_one(store, Upsert("k", b"new")))
        await _until(lambda: bool(database.sql(waits)))
        assert not anew.done()
        held.set()

        assert await anew is None
        assert await value_of(store, "k") == b"new"


async def test_a_role_that_may_end_no_session_waits_until_it_has_ended(database: Database) -> None:
    """Where its administrator has taken that from it."""
    database.sql("REVOKE EXECUTE ON FUNCTION pg_terminate_backend(int, bigint) FROM public")
    database.sql(
        f"""DO $$ BEGIN CREATE ROLE {LIMITED} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
        GRANT ALL ON SCHEMA public TO {LIMITED}"""
    )
    async with Unsteady(database.server.port) as way:
        way_in = database.store(port=str(way.port), user=LIMITED)
        await way_in.open()
        try:
            await put(way_in, Upsert("k", b"first"))
            pid, held = _used(way_in), way.hold_these()
            await _given_up(way_in, Upsert("k", b"old"))
            writing = asyncio.create_task(write_one(way_in, Upsert("k", b"new")))
            await _until(lambda: bool(way_in._lanes[1]._alone))
            held.set()
            assert await writing is None
            await _ended(database, pid)
            assert await value_of(way_in, "k") == b"new"
        finally:
            await way_in.close()
            database.sql(f"DROP OWNED BY {LIMITED} CASCADE")
            database.sql("GRANT EXECUTE ON FUNCTION pg_terminate_backend(int, bigint) TO public")


async def test_a_late_time_to_live_does_not_undo_a_later_one(database: Database) -> None:
    """A row is touched, which is not answered, and touched again."""
    async with Unsteady(database.server.port) as way, database.opened(port=str(way.port)) as store:
        if isinstance(store, PostgresV1):  # it has no such call
            return
        await put(store, Upsert("k", b"v"))
        pid, held = _used(store), way.hold_these()
        with _impatient(store), pytest.raises(StoreError):
            await store.touch("k", 1000)
        await store.touch("k", None)
        held.set()
        await _ended(database, pid)
        (row,) = await store.get(["k"])

        assert isinstance(row, StoredValue)
        assert row.expires_at is None
