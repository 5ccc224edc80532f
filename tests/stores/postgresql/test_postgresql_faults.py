"""What callers are told when the server is gone, deaf or locked, and what becomes of their data."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from decimal import Decimal
from typing import TYPE_CHECKING

import asyncpg
import pytest

from dapr_state.stores import paging
from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.postgresql import groups
from dapr_state.stores.postgresql.pool import LOCK_SECONDS, Connection
from dapr_state.testing.stores.asking import put, value_of, values_of, write_one
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.sql.groups import Unit, Write
    from tests.stores.postgresql.conftest import Database, Store

END_OTHERS = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'apart' AND pid <> pg_backend_pid()"
)


async def _answers(store: Store) -> list[object]:
    """What each kind of call comes to, all of them asked at once."""
    calls = [
        *(store.get([f"k{number}"]) for number in range(20)),
        *(store.write([Upsert(f"k{number}", b"v")]) for number in range(20)),
        store.transact([Upsert("a", b"1"), Upsert("b", b"1")]),
        store.list("", limit=10),
        store.ping(),
    ]
    return await asyncio.gather(*calls, return_exceptions=True)


async def until_true(look: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not look():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.001)


@contextmanager
def _held(database: Database, statement: str) -> Iterator[None]:
    """Another client keeps the locks that a statement takes."""
    with database.server.client(database.name) as client, client.transaction():
        client.execute(statement.encode())
        yield


async def test_a_server_that_is_killed_and_comes_back_is_found_again(own_database: Database) -> None:
    """Calls in between are told so; what was acknowledged before is there."""
    async with own_database.opened() as store:
        await put(store, Upsert("k", b"kept"))
        own_database.server.kill()
        away = await _answers(store)
        own_database.server.start()

        assert [answer for answer in away if not isinstance(answer, StoreError)] == []
        assert await value_of(store, "k") == b"kept"
        await put(store, Upsert("k", b"new"))


async def test_a_connection_that_the_server_ends_is_replaced(database: Database) -> None:
    """Reads that were on it are asked again."""
    async with database.opened() as store:
        await put(store, Upsert("k", b"v"))
        reading = [asyncio.create_task(store.get(["k"])) for _ in range(10)]
        database.sql(END_OTHERS)
        rows = await asyncio.gather(*reading)
        await put(store, Upsert("k", b"w"))

    assert [row.value for (row,) in rows if isinstance(row, StoredValue)] == [b"v"] * 10


async def test_a_deaf_server_keeps_nobody_waiting(own_database: Database) -> None:
    """Each caller has an answer within some timeouts, and is served once the server is back."""
    async with own_database.opened(timeout="1s") as store:
        await put(store, Upsert("k", b"kept"))
        own_database.server.pause()
        try:
            async with asyncio.timeout(20):
                deaf = await _answers(store)
        finally:
            own_database.server.resume()

        assert [answer for answer in deaf if not isinstance(answer, StoreError)] == []
        assert await value_of(store, "k") == b"kept"
        await put(store, Upsert("k", b"new"))


async def test_a_server_that_is_not_there_is_told_at_start(own_database: Database) -> None:
    """With the reason, and without the password."""
    own_database.server.kill()
    try:
        with pytest.raises(StoreError, match="failed to connect") as raised:
            await own_database.store(password="s3cret").open()
    finally:
        own_database.server.start()

    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("mode", ["cache_statement", "exec"])
async def test_a_row_that_somebody_holds_keeps_only_its_callers(database: Database, mode: str) -> None:
    """The others of its group are written, and so are those that come later; the row is when it is free."""
    async with database.opened(queryExecMode=mode, timeout="3s") as store:
        await put(store, Upsert("held", b"0"))
        with _held(database, "SELECT * FROM state WHERE key = 'held' FOR UPDATE"):
            waiting = asyncio.create_task(store.write([Upsert("held", b"1")]))
            beside = [asyncio.create_task(store.write([Upsert(f"k{number}", b"v")])) for number in range(20)]
            assert await asyncio.gather(*beside) == [[None]] * 20
            await put(store, Upsert("later", b"v"))
            await store.transact([Upsert("later", b"w"), Delete("k0")])

            assert not waiting.done()
        assert await waiting == [None]
        assert await values_of(store, "held", "later", "k0") == [b"1", b"w", None]


async def test_many_rows_that_somebody_holds_keep_only_their_callers(database: Database) -> None:
    """They are between others that wait for the same statement, and some are in transactions."""
    async with database.opened(timeout="2s") as store:
        held = [f"held{number}" for number in range(20)]
        await put(store, *(Upsert(key, b"0") for key in held))
        with _held(database, "SELECT * FROM state WHERE key LIKE 'held%' FOR UPDATE"):
            waiting, beside = [], []
            for number, key in enumerate(held):
                waiting.append(asyncio.create_task(store.write([Upsert(key, b"1")])))
                waiting.append(asyncio.create_task(store.transact([Upsert(f"k{number}", b"0"), Upsert(key, b"1")])))
                beside.append(asyncio.create_task(store.write([Upsert(f"k{number}", b"v"), Upsert("k", b"v")])))
            assert await asyncio.gather(*beside) == [[None] * 2] * 20

            assert not any(task.done() for task in waiting)
        assert await asyncio.gather(*waiting) == [[None], None] * 20
        assert await values_of(store, *held) == [b"1"] * 20


async def test_a_value_that_jsonb_cannot_hold_waits_for_a_held_row(database: Database) -> None:
    """It is kept as octets then too, alone and in a transaction, once the row is free."""
    async with database.opened() as store:
        await put(store, Upsert("held", b"0"), Upsert("other", b"0"))
        with _held(database, "SELECT * FROM state WHERE key IN ('held', 'other') FOR UPDATE"):
            alone = asyncio.create_task(write_one(store, Upsert("held", b'"\\u0000"', is_json=True)))
            together = asyncio.create_task(store.transact([Upsert("other", b"1e200000", is_json=True)]))
            for _ in range(2):  # both are known to be held once others are written behind them
                await put(store, Upsert("later", b"v"))

        assert (await alone, await together) == (None, None)
        assert await values_of(store, "held", "other") == [b'"\\u0000"', b"1e200000"]


async def test_a_connection_does_not_wait_as_long_for_the_next_row(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also when what it waited for was refused."""
    async with database.opened() as store:
        assert store._groups
        assert store._pool
        with monkeypatch.context() as patched:
            patched.setattr(groups, "_JUDGEMENTS", 0)
            refused = await store._groups.wait_for([Upsert("k", b"v", etag="1")], seconds=1)
        async with store._pool.use() as connection:
            seconds = await connection.fetchval("SELECT extract(epoch FROM current_setting('lock_timeout')::interval)")

    assert (str(refused), seconds) == ("others change the row too often", Decimal(str(LOCK_SECONDS)))


async def test_what_waited_for_a_row_and_was_written_is_told_so_though_the_connection_ends_then(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The answer is here, and the server goes before the connection is made ready for the next caller."""
    set_patience = groups.Groups._set_patience

    async def lost(self: groups.Groups, connection: Connection, seconds: float) -> None:
        if seconds == LOCK_SECONDS:
            connection.terminate()
        await set_patience(self, connection, seconds)

    async with database.opened() as store:
        monkeypatch.setattr(groups.Groups, "_set_patience", lost)
        with _held(database, "LOCK TABLE state IN SHARE MODE"):
            writing = asyncio.create_task(write_one(store, Upsert("k", b"v")))
            await until_true(lambda: bool(store._lanes[1]._alone))

        assert await writing is None
        assert await value_of(store, "k") == b"v"


@pytest.mark.parametrize("mode", ["cache_statement", "exec"])
async def test_a_row_that_stays_held_is_told(database: Database, mode: str) -> None:
    """After the timeout, with its key and the reason; and nothing of the transaction has happened."""
    async with database.opened(queryExecMode=mode, timeout="1s") as store:
        await put(store, Upsert("held", b"0"))
        with _held(database, "SELECT * FROM state WHERE key = 'held' FOR UPDATE"):
            outcome = await write_one(store, Upsert("held", b"1"))
            with pytest.raises(StoreError) as raised:
                await store.transact([Upsert("beside", b"1"), Upsert("held", b"1")])

        assert str(outcome) == str(raised.value) == HELD
        assert await values_of(store, "held", "beside") == [b"0", None]


HELD = "another client holds the row of key=held: it was not free within 1s"


async def test_who_has_no_turn_to_wait_for_a_held_row_is_told_its_key_too(database: Database) -> None:
    """There are two connections, and one of them is for what nobody holds: who waits behind another gives up."""
    async with database.opened(maxConns="2", timeout="1s") as store:
        keys = ["first", "held"]
        await put(store, *(Upsert(key, b"0") for key in keys))
        with _held(database, "SELECT * FROM state WHERE key IN ('first', 'held') FOR UPDATE"):
            calls = [asyncio.create_task(write_one(store, Upsert(key, b"1"))) for key in ["first", *["held"] * 6]]
            told = {str(outcome) for outcome in await asyncio.gather(*calls)}

    assert {text.partition(": ")[0] for text in told} == {f"another client holds the row of key={key}" for key in keys}


async def test_what_was_written_stays_so_though_no_connection_is_left_for_the_rest(database: Database) -> None:
    """Of one request: the row that another client holds is an error, and names its key; the others are written."""
    async with database.opened(maxConns="2", timeout="1s") as store:
        assert store._pool
        await put(store, Upsert("held", b"0"))
        async with store._pool.use() as connection:
            with _held(database, "SELECT * FROM state WHERE key = 'held' FOR UPDATE"):
                writing = asyncio.create_task(store.write([Upsert("held", b"1"), Upsert("beside", b"1")]))
                await until_true(store._pool._free.locked)
                async with store._pool.use() as other:  # once the others of its group are written
                    outcomes = await writing
            assert connection is not other

        assert "none of the 2 connections was free within 1s" in str(outcomes[0])
        assert outcomes[1] is None
        assert await values_of(store, "held", "beside") == [b"0", b"1"]


async def test_what_the_first_runs_of_a_save_have_done_is_told_though_the_next_fails(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each item of those behind has the error: who asks again asks for them alone."""
    async with database.opened() as store:
        ask = store._ask

        async def fail_after_first(work: Write, octets: int) -> Outcomes:
            if work.operations[0].key != "k0":
                raise StoreError("gone")
            return await ask(work, octets)

        monkeypatch.setattr(store, "_ask", fail_after_first)
        count = groups.WRITES_AT_MOST
        outcomes = await store.write([Upsert(f"k{number}", b"1") for number in range(count + 2)])

        assert outcomes[:count] == [None] * count
        assert [str(outcome) for outcome in outcomes[count:]] == ["gone"] * 2
        assert await value_of(store, f"k{count - 1}") == b"1"
        assert await store.get([f"k{count}"]) == [None]


async def test_who_gave_up_waiting_for_a_row_does_not_write_it_behind_what_was_asked_since(database: Database) -> None:
    """One at a time waits for a held row here, and the second one goes away before its turn."""
    async with database.opened(maxConns="2", timeout="10s") as store:
        await put(store, Upsert("first", b"0"), Upsert("mine", b"0"))
        with _held(database, "SELECT * FROM state WHERE key = 'first' FOR UPDATE"):
            with _held(database, "SELECT * FROM state WHERE key = 'mine' FOR UPDATE"):
                first = asyncio.create_task(write_one(store, Upsert("first", b"1")))
                await until_true(lambda: bool(store._lanes[1]._alone))
                given_up = asyncio.create_task(write_one(store, Upsert("mine", b"old")))
                await until_true(lambda: len(store._lanes[1]._alone) == 2)
                given_up.cancel()
                await asyncio.wait([given_up])
            await put(store, Upsert("mine", b"new"))
        assert await first is None
        await until_true(lambda: not store._lanes[1]._alone)

        assert await value_of(store, "mine") == b"new"


async def test_of_one_request_the_last_write_of_a_key_stays_though_the_first_waited_for_its_row(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its row was held while the first half of the group was tried, and free when the second was."""
    real, refusals = groups.Groups._kept, [asyncpg.LockNotAvailableError("locked")] * 3  # of all four, of two, of one

    async def locked_at_first(self: groups.Groups, connection: object, units: Sequence[Unit]) -> Outcomes:
        if refusals:
            raise refusals.pop()
        return await real(self, connection, units)

    async with database.opened() as store:
        monkeypatch.setattr(groups.Groups, "_kept", locked_at_first)
        outcomes = await store.write(
            [Upsert("k", b"first"), Upsert("a", b"v"), Upsert("b", b"v"), Upsert("k", b"last")]
        )

        assert outcomes == [None] * 4
        assert await values_of(store, "k", "a", "b") == [b"last", b"v", b"v"]


async def test_rows_of_one_request_that_stay_held_have_one_patience(database: Database) -> None:
    """It does not begin anew for each of them; what is let go meanwhile is written, and each has its own outcome."""
    async with database.opened(timeout="1s") as store:
        held = [f"held{number}" for number in range(6)]
        await put(store, *(Upsert(key, b"0") for key in held))
        with _held(database, "SELECT * FROM state WHERE key BETWEEN 'held0' AND 'held4' FOR UPDATE"):
            with _held(database, "SELECT * FROM state WHERE key = 'held5' FOR UPDATE"):
                waiting = asyncio.create_task(store.write([Upsert(key, b"1") for key in held]))
                await put(store, Upsert("beside", b"1"))
            for _ in range(2):
                await write_one(store, Upsert("held0", b"1"))
            is_told = waiting.done()
            outcomes = await waiting

        assert is_told
        assert [isinstance(outcome, StoreError) for outcome in outcomes] == [True] * 5 + [False]
        assert await values_of(store, *held) == [b"0"] * 5 + [b"1"]


async def test_who_waits_for_a_locked_table_is_served_when_it_is_free(database: Database) -> None:
    """All of a group: it is nobody's row that is held."""
    async with database.opened() as store:
        with _held(database, "LOCK TABLE state IN EXCLUSIVE MODE"):
            writes = [asyncio.create_task(store.write([Upsert(f"k{number}", b"v")])) for number in range(20)]
            waiting = "SELECT count(*) FROM pg_locks WHERE NOT granted"
            await asyncio.to_thread(
                until, lambda: database.sql(waiting) == [(2,)] or all(each.done() for each in writes)
            )
        assert await asyncio.gather(*writes) == [[None]] * 20


async def test_who_reads_waits_for_a_table_that_somebody_changes(database: Database) -> None:
    """As long as for any answer, and not only as long as a group waits for a row."""
    async with database.opened() as store:
        await put(store, Upsert("k", b"v"))
        with _held(database, "LOCK TABLE state IN ACCESS EXCLUSIVE MODE"):
            reading = asyncio.create_task(value_of(store, "k"))
            begun = "SELECT max(waitstart) FROM pg_locks WHERE NOT granted"
            first = await asyncio.to_thread(until, lambda: database.sql(begun)[0][0])
            again = "SELECT count(*) FROM pg_locks WHERE NOT granted AND waitstart > %s"
            await asyncio.to_thread(until, lambda: database.sql(again, first) == [(1,)] or reading.done())

        assert await reading == b"v"


async def test_a_locked_table_keeps_nobody_waiting(database: Database) -> None:
    """Also those for whom there is no connection; then all are served."""
    async with database.opened(timeout="1s", maxConns="2") as store:
        with _held(database, "LOCK TABLE state IN ACCESS EXCLUSIVE MODE"):
            async with asyncio.timeout(20):
                locked = await _answers(store)

        assert [answer for answer in locked if not isinstance(answer, StoreError | list)] == []
        lists = [answer for answer in locked if isinstance(answer, list)]
        assert [each for answer in lists for each in answer if not isinstance(each, NotDone)] == []
        await put(store, Upsert("k", b"v"))
        assert await value_of(store, "k") == b"v"


async def test_a_server_that_only_reads_refuses_writes_until_it_takes_them(own_database: Database) -> None:
    """Reads go on; no sidecar has to be started again."""
    async with own_database.opened() as store:
        await put(store, Upsert("k", b"kept"))
        own_database.sql("ALTER DATABASE apart SET default_transaction_read_only = on")
        try:
            own_database.sql(END_OTHERS)
            assert await value_of(store, "k") == b"kept"
            refused = await asyncio.gather(store.write([Upsert("k", b"lost")]), return_exceptions=True)
        finally:
            own_database.server.sql("ALTER DATABASE apart RESET default_transaction_read_only")

        assert "read-only" in str(refused)
        await put(store, Upsert("k", b"new"))
        assert await value_of(store, "k") == b"new"


@pytest.mark.parametrize("mode", ["cache_statement", "exec"])
async def test_a_shorter_time_for_statements_that_the_database_sets_holds(database: Database, mode: str) -> None:
    """An administrator has set it; and a write that took longer has not happened."""
    async with database.opened(queryExecMode=mode) as store:
        database.sql(SLEEPS.format(seconds=10))
        database.sql("ALTER DATABASE apart SET statement_timeout = '300ms'")
        try:
            database.sql(END_OTHERS)
            await store.get(["k"])
            outcome = await write_one(store, Upsert("slow", b"v"))
        finally:
            database.server.sql("ALTER DATABASE apart RESET statement_timeout")

    assert isinstance(outcome, NotDone)
    assert "canceling statement due to statement timeout" in str(outcome)


SLEEPS = """
CREATE OR REPLACE FUNCTION sleep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_sleep({seconds}); RETURN NEW; END $$;
CREATE TRIGGER sleep BEFORE INSERT OR UPDATE ON state FOR EACH ROW WHEN (NEW.key LIKE 'slow%') EXECUTE FUNCTION sleep();
"""


async def test_rows_that_take_a_while_each_are_written_in_smaller_groups(database: Database) -> None:
    """All of them in one statement take longer than any may; where they are quick again, groups grow again."""
    async with database.opened(timeout="2s") as store:
        assert store._groups
        database.sql(SLEEPS.format(seconds=0.05))
        many = [Upsert(f"slow{number}", b"v") for number in range(60)]
        refused = 0
        async with asyncio.timeout(60):
            while await asyncio.gather(store.write(many), return_exceptions=True) != [[None] * len(many)]:
                refused += 1
        smallest = store._groups.writes_at_once
        await put(store, *(Upsert(f"quick{number}", b"v") for number in range(groups.WRITES_AT_MOST)))

        assert refused
        assert store._groups.writes_at_once > smallest


@pytest.mark.parametrize(
    "error",
    [
        asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress"),
        asyncpg.InterfaceError("connection is closed"),
    ],
)
async def test_what_was_not_sent_as_the_connection_was_lost_goes_on_another(
    database: Database, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """The driver says so where the server has ended one that stood idle: reads and writes happen all the same."""
    async with database.opened() as store:
        await put(store, Upsert("k", b"v"))
        lost = []
        fetch = Connection.fetch

        async def fail_once(self: Connection, *arguments: object) -> object:
            if len(lost) % 2 == 0:
                lost.append(self)
                self.terminate()
                raise error
            return await fetch(self, *arguments)

        monkeypatch.setattr(Connection, "fetch", fail_once)
        assert await value_of(store, "k") == b"v"
        lost.append(None)
        await put(store, Upsert("k", b"w"))
        monkeypatch.undo()

        assert len(lost) == 3
        assert await value_of(store, "k") == b"w"


async def test_what_the_database_refuses_is_refused_alone(database: Database) -> None:
    """In its transaction nothing happens, and the others of the group are written, once each."""
    async with database.opened() as store:
        database.sql("ALTER TABLE state ADD CHECK (key <> 'bad')")
        writing = [asyncio.create_task(store.write([Upsert(key, b"v")])) for key in ("a", "bad", "b", "c")]
        both = asyncio.create_task(store.transact([Upsert("d", b"v"), Upsert("bad", b"v")]))
        outcomes = [str(outcome) for (outcome,) in await asyncio.gather(*writing)]
        with pytest.raises(StoreError, match="state_key_check"):
            await both

        assert ["state_key_check" in outcome for outcome in outcomes] == [False, True, False, False]
        assert await values_of(store, "a", "bad", "b", "c", "d") == [b"v", None, b"v", b"v", None]


async def test_what_a_part_of_a_group_has_written_is_told_though_the_server_then_only_reads(database: Database) -> None:
    """It went in parts, for one of them was refused; the others are not done, and may be asked again."""
    async with database.opened() as store:
        database.sql(
            """
            CREATE OR REPLACE FUNCTION judge() RETURNS trigger LANGUAGE plpgsql AS $$
            BEGIN
              IF NEW.key = 'b' THEN RAISE EXCEPTION 'no' USING ERRCODE = '23514'; END IF;
              IF NEW.key = 'late' THEN RAISE EXCEPTION 'read-only' USING ERRCODE = '25006'; END IF;
              RETURN NEW;
            END $$;
            CREATE TRIGGER judge BEFORE INSERT OR UPDATE ON state FOR EACH ROW EXECUTE FUNCTION judge();
            """
        )
        outcomes = await store.write([Upsert(key, b"v") for key in ("a", "b", "c", "late")])

        assert [outcome and (type(outcome), outcome.is_undone) for outcome in outcomes] == [
            None,
            *[(NotDone, True)] * 3,
        ]
        assert await values_of(store, "a", "b", "c", "late") == [b"v", None, None, None]


async def test_what_one_tick_asks_is_one_statement(database: Database) -> None:
    """A hundred saves of a hundred callers, guarded ones among them; and a save of a hundred, and a transaction."""
    async with database.opened() as store:
        assert store._groups is not None
        await asyncio.gather(
            *(store.write([Upsert(f"k{number}", b"v", first_write=number % 2 == 0)]) for number in range(100))
        )
        first = store._groups.statements
        await store.write([Upsert(f"s{number}", b"v") for number in range(100)])
        await store.transact([Upsert("t", b"v", first_write=True), Delete("s0"), Upsert("u", b"v")])

        assert (first, store._groups.statements) == (1, 3)
        assert all(await values_of(store, *(f"k{number}" for number in range(100))))


@pytest.mark.parametrize("rest", [b"\xff", b"\0", b"a\0b"])
async def test_a_token_with_a_key_that_cannot_be_is_refused(database: Database, rest: bytes) -> None:
    """As any that no list gave."""
    async with database.opened() as store:
        with pytest.raises(StoreError, match="the token to go on with was not given by this list"):
            await store.list("a", after=paging.token(b"a" + rest), limit=10)


async def test_what_the_driver_cannot_send_is_told_without_the_value(database: Database) -> None:
    """And harms nobody beside it: a TTL that no column of times holds, and a number that no parameter is."""
    async with database.opened() as store:
        calls = [
            store.write([Upsert("a", b"s3cret", ttl=2**70)]),
            store.write([Upsert("b", b"s3cret", ttl=2**60)]),
            store.write([Upsert("c", b"v")]),
        ]
        (first,), (second,), (third,) = await asyncio.gather(*calls)

        assert isinstance(first, StoreError)
        assert isinstance(second, StoreError)
        assert third is None
        assert "s3cret" not in f"{first} {second}"
        assert str(2**70) not in str(first)
