"""Behind PgBouncer, which gives each transaction of all clients any of two connections."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, value_of, values_of, write_one
from tests.support.pgbouncer import PgBouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.stores.postgresql.conftest import Database
    from tests.support.postgresql import PostgresServer


@pytest.fixture(scope="module")
def pooler(postgres_server: PostgresServer) -> Iterator[PgBouncer]:
    with PgBouncer(postgres_server) as pooler:
        yield pooler


@pytest.fixture(params=["exec", "simple_protocol"])
def pooled(request: pytest.FixtureRequest, pooler: PgBouncer, database: Database) -> dict[str, str]:
    """What a component says to go there."""
    return {"connectionString": pooler.url(database.name), "queryExecMode": request.param}


async def test_all_calls_go_through_a_pooler(database: Database, pooled: dict[str, str]) -> None:
    """Of several sidecars with many callers: each has his own outcome, and a transaction is whole."""
    async with database.opened(**pooled) as store, database.opened(**pooled, maxConns="8") as other:
        keys = [f"k{number}" for number in range(100)]
        both = zip(keys, 50 * [store, other], strict=True)
        await asyncio.gather(*(each.write([Upsert(key, b"v")]) for key, each in both))
        reading = (store.get(keys[number:]) for number in range(0, 100, 7))
        read = [values for found in await asyncio.gather(*reading) for values in found]
        (row,) = await store.get(["k0"])
        assert isinstance(row, StoredValue)
        first, second = await asyncio.gather(
            write_one(store, Upsert("k0", b"1", etag=row.etag)), write_one(other, Upsert("k0", b"2", etag=row.etag))
        )
        with pytest.raises(EtagMismatch):
            await other.transact([Delete("k1"), Upsert("k2", b"w", first_write=True)])
        await store.transact([Delete("k1"), Upsert("new", b"w", first_write=True, ttl=1000)])
        listed = await other.list("", limit=1000)
        await store.ping()

        assert {each.value for each in read if isinstance(each, StoredValue)} == {b"v"}
        assert sorted(map(type, (first, second)), key=str) == sorted((type(None), EtagMismatch), key=str)
        assert await values_of(other, "k1", "k2", "new") == [None, b"v", b"w"]
        assert [entry.key for entry in listed.entries] == sorted({*keys, "new"} - {"k1"})


async def test_what_waits_for_a_row_leaves_nothing_with_the_connection(
    database: Database, pooled: dict[str, str], pooler: PgBouncer
) -> None:
    """A row that somebody holds keeps its callers alone; the pooler's next client has the server's own patience."""
    async with database.opened(**pooled, timeout="1s") as store:
        await put(store, Upsert("held", b"0"))
        with database.server.client(database.name) as client, client.transaction():
            client.execute("SELECT * FROM state WHERE key = 'held' FOR UPDATE")
            waiting = asyncio.create_task(write_one(store, Upsert("held", b"1")))
            beside = await asyncio.gather(*(write_one(store, Upsert(f"k{number}", b"v")) for number in range(20)))
            outcome = await waiting
        settings = {await _setting(pooler, database, "lock_timeout") for _ in range(4)}

    assert beside == [None] * 20
    assert str(outcome) == "another client holds the row of key=held: it was not free within 1s"
    assert settings == {"0"}


async def _setting(pooler: PgBouncer, database: Database, name: str) -> str:
    import asyncpg  # noqa: PLC0415 - the tests' own client takes a session's prepared statements for granted

    connection = await asyncpg.connect(
        host="127.0.0.1", port=pooler.port, user="postgres", database=database.name, statement_cache_size=0
    )
    try:
        return str(await connection.fetchval(f"SHOW {name}"))
    finally:
        await connection.close()


async def test_a_pooler_that_dies_and_comes_back(database: Database, pooler: PgBouncer, pooled: dict[str, str]) -> None:
    """Calls fail with the reason meanwhile; nobody has to start the sidecar again."""
    async with database.opened(**pooled, timeout="2s") as store:
        await put(store, Upsert("k", b"v"))
        pooler.kill()
        away = await asyncio.gather(store.get(["k"]), store.write([Upsert("k", b"w")]), return_exceptions=True)
        pooler.start()
        read = await value_of(store, "k")
        await put(store, Upsert("k", b"new"))

    assert [type(each) for each in away if not isinstance(each, StoreError)] == []
    assert read in {b"v", b"w"}


async def test_who_does_not_say_that_there_is_a_pooler_is_told(database: Database, pooler: PgBouncer) -> None:
    """At the start, with what to say."""
    with pytest.raises(StoreError, match=r"unsupported startup parameter: .*`queryExecMode: exec`"):
        await database.store(connectionString=pooler.url(database.name)).open()
