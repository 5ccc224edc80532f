"""The layout that the store shares with daprd, and with whoever else writes to the same Redis."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.api import expiry
from dapr_state.stores.base import EtagInvalid, EtagMismatch, StoreError, Unfit
from dapr_state.stores.model import Delete, StoredValue, Upsert
from tests.stores.redis.conftest import opened
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import redis

DB = "5"


@pytest.fixture
def client(redis_server: RedisServer) -> Iterator[redis.Redis]:
    with redis_server.client(db=int(DB)) as client:
        client.flushdb()
        yield client


async def test_a_row_is_a_hash_with_data_and_version(redis_server: RedisServer, client: redis.Redis) -> None:
    """daprd finds exactly what it would have written."""
    async with opened(redis_server.address, redisDB=DB) as store:
        await store.write([Upsert("k", b"\x00v"), Upsert("k", b"w", ttl=100)])

    assert client.hgetall("k") == {b"data": b"w", b"version": b"2"}
    assert 0 < client.ttl("k") <= 100


async def test_fields_of_others_stay(redis_server: RedisServer, client: redis.Redis) -> None:
    """The first-write marker of daprd is neither obeyed nor removed."""
    client.hset("k", mapping={"data": "v", "version": "4", "first-write": "0"})
    async with opened(redis_server.address, redisDB=DB) as store:
        outcomes = await store.write([Upsert("k", b"w")])

    assert outcomes == [None]
    assert client.hgetall("k") == {b"data": b"w", b"version": b"5", b"first-write": b"0"}


@pytest.mark.parametrize(
    ("command", "text"),
    [
        (("RPUSH", "k", "x"), "WRONGTYPE Operation against a key holding the wrong kind of value"),
        (("HSET", "k", "data", "x"), "required hash field 'data' or 'version' was not found"),
        (("HSET", "k", "version", "1"), "required hash field 'data' or 'version' was not found"),
        (("HSET", "k", "other", "1"), "required hash field 'data' or 'version' was not found"),
    ],
)
async def test_what_is_no_row_is_an_error_of_its_entry(
    redis_server: RedisServer, client: redis.Redis, command: tuple[str, ...], text: str
) -> None:
    """The neighbours in a bulk get are served."""
    client.execute_command(*command)
    async with opened(redis_server.address, redisDB=DB) as store:
        await store.write([Upsert("a", b"1"), Upsert("b", b"2")])
        first, broken, last = await store.get(["a", "k", "b"])

    assert (first, last) == (StoredValue(b"1", "1"), StoredValue(b"2", "1"))
    assert (type(broken), str(broken)) == (Unfit, text)


async def test_a_plain_string_is_a_value_without_an_etag(redis_server: RedisServer, client: redis.Redis) -> None:
    """What was written before there were hashes is read, its expiry included."""
    client.set("k", b"old")
    client.set("mortal", b"old", ex=1000)
    async with opened(redis_server.address, redisDB=DB) as store:
        plain, mortal = await store.get(["k", "mortal"])

    assert plain == StoredValue(b"old")
    assert isinstance(mortal, StoredValue)
    assert mortal.expires_at == pytest.approx(client.expiretime("mortal"), abs=2)


@pytest.mark.parametrize("command", [("SET", "k", "x"), ("RPUSH", "k", "x")])
async def test_a_key_of_another_type_is_replaced_by_a_save(
    redis_server: RedisServer, client: redis.Redis, command: tuple[str, ...]
) -> None:
    """Alone and in a transaction; with an etag or first-write it is a conflict, for there is something."""
    client.execute_command(*command)
    async with opened(redis_server.address, redisDB=DB) as store:
        refused = await store.write(
            [Upsert("k", b"v", etag="1"), Upsert("k", b"v", first_write=True), Delete("k", etag="1")]
        )
        kept = client.type("k")
        await store.transact([Upsert("k", b"v"), Upsert("k", b"w", etag="1")])
        row = await store.get(["k"])
        client.delete("k")
        client.execute_command(*command)
        outcomes = await store.write([Upsert("k", b"v")])

    assert [type(each) for each in refused] == [EtagMismatch] * 3
    assert kept != b"hash"
    assert row == [StoredValue(b"w", "2")]
    assert outcomes == [None]
    assert client.hgetall("k") == {b"data": b"v", b"version": b"1"}


@pytest.mark.parametrize("version", ["", "x", "1.5", " 1", "9" * 16, "1e+14", "inf", "nan", "0x10"])
async def test_a_version_that_is_no_number_stops_a_save(
    redis_server: RedisServer, client: redis.Redis, version: str
) -> None:
    """The row can be read; a save fails and leaves it whole, where daprd has overwritten the data by then."""
    client.hset("k", mapping={"data": "v", "version": version})
    async with opened(redis_server.address, redisDB=DB) as store:
        outcomes = await store.write([Upsert("k", b"w")]) + await store.write([Upsert("k", b"w", ttl=10)])
        with pytest.raises(StoreError, match="failed to set key k: ERR hash value is not an integer"):
            await store.transact([Upsert("a", b"1"), Upsert("k", b"w")])
        rows = await store.get(["k", "a"])

    assert list(map(str, outcomes)) == ["failed to set key k: ERR hash value is not an integer"] * 2
    assert rows == [StoredValue(b"v", version), None]


@pytest.mark.parametrize(
    ("version", "etag"), [("3", "3"), ("3", "+3"), ("3", "03"), ("03", "03"), ("03", "3"), ("-2", "-2"), ("0", "0")]
)
async def test_etags_are_compared_as_numbers(
    redis_server: RedisServer, client: redis.Redis, version: str, etag: str
) -> None:
    """daprd reads an etag with Atoi; what a get returned always fits."""
    client.hset("k", mapping={"data": "v", "version": version})
    async with opened(redis_server.address, redisDB=DB) as store:
        outcomes = await store.write([Upsert("k", b"w", etag=etag)])
        client.hset("k", "version", version)
        outcomes += await store.write([Delete("k", etag=etag)])

    assert outcomes == [None, None]


async def test_a_malformed_etag_is_invalid_for_a_save_and_a_mismatch_for_a_delete(
    redis_server: RedisServer, client: redis.Redis
) -> None:
    """As in daprd; a delete compares texts, and a foreign version may be any text."""
    client.hset("foreign", mapping={"data": "v", "version": "abc"})
    async with opened(redis_server.address, redisDB=DB) as store:
        await store.write([Upsert("k", b"v")])
        outcomes = await store.write(
            [Upsert("k", b"w", etag="nomatch"), Delete("k", etag="nomatch"), Delete("foreign", etag="abc")]
        )
        with pytest.raises(EtagInvalid, match=r'strconv\.Atoi: parsing "nomatch": invalid syntax'):
            await store.transact([Delete("k"), Upsert("k", b"w", etag="nomatch")])
        rows = await store.get(["k"])

    assert [str(outcome) for outcome in outcomes] == [
        'invalid etag value: strconv.Atoi: parsing "nomatch": invalid syntax',
        "possible etag mismatch. error from state store: state etag not match for key=k: current=1, expect=nomatch",
        "None",
    ]
    assert rows == [StoredValue(b"v", "1")]


async def test_an_expiry_beyond_what_redis_counts_is_refused(redis_server: RedisServer) -> None:
    """The value is not written without it."""
    async with opened(redis_server.address, redisDB=DB) as store:
        (outcome,) = await store.write([Upsert("far", b"v", ttl=2**62)])
        with pytest.raises(StoreError, match="invalid expire time"):
            await store.transact([Upsert("a", b"1"), Upsert("far", b"v", ttl=2**62)])
        rows = await store.get(["far", "a"])

    assert str(outcome) == "failed to set key far: ERR invalid expire time in 'expire' command"
    assert rows == [None, None]


async def test_a_script_that_the_server_forgot_is_brought_again(redis_server: RedisServer, client: redis.Redis) -> None:
    """SCRIPT FLUSH between two saves goes unnoticed, and nothing is applied twice."""
    async with opened(redis_server.address, redisDB=DB) as store:
        await store.write([Upsert("k", b"1")])
        client.script_flush()
        await store.write([Upsert("k", b"2")])
        client.script_flush()
        await store.transact([Upsert("k", b"3"), Upsert("t", b"")])

        assert await store.get(["k", "t"]) == [StoredValue(b"3", "3"), StoredValue(b"", "1")]


async def test_a_server_without_pexpiretime_tells_the_expiry_too(tmp_path: Path) -> None:
    """Before Redis 7 it is computed from the TTL and the server's clock."""
    (tmp_path / "old.conf").write_text('rename-command PEXPIRETIME ""\n')
    with RedisServer(tmp_path, include=str(tmp_path / "old.conf")) as server:
        async with opened(server.address) as store:
            await store.write([Upsert("k", b"v", ttl=1000), Upsert("immortal", b"v")])
            mortal, immortal, missing = await store.get(["k", "immortal", "missing"])
        with server.client() as client:
            expected = client.expiretime("k")

    assert isinstance(mortal, StoredValue)
    assert mortal.expires_at == pytest.approx(expected, abs=2)
    assert (immortal, missing) == (StoredValue(b"v", "1"), None)


@pytest.mark.parametrize("version", ["0", "-5", "99999999999998", "99999999999999", "999999999999998", "007"])
async def test_a_version_is_counted_exactly(redis_server: RedisServer, client: redis.Redis, version: str) -> None:
    """Up to fifteen digits, alone, in a batch and in a transaction."""
    client.hset("k", mapping={"data": "v", "version": version})
    async with opened(redis_server.address, redisDB=DB) as store:
        await store.write([Upsert("k", b"w")])
        once = client.hget("k", "version")
        client.hset("k", mapping={"data": "v", "version": version})
        await store.transact([Upsert("k", b"w"), Upsert("other", b"")])
        again = client.hget("k", "version")

    assert (once, again) == (b"%d" % (int(version) + 1),) * 2


async def test_an_expiry_beyond_the_year_9999_is_told_as_its_end(
    redis_server: RedisServer, client: redis.Redis
) -> None:
    """Redis counts on for 292 million years; RFC 3339 has four digits."""
    async with opened(redis_server.address, redisDB=DB) as store:
        await store.write([Upsert("k", b"v")])
        client.pexpireat("k", 2**63 - 1)
        (row,) = await store.get(["k"])

    assert isinstance(row, StoredValue)
    assert expiry.metadata(row) == {"ttlExpireTime": "9999-12-31T23:59:59Z"}


async def test_a_default_ttl_without_an_end_is_none(redis_server: RedisServer) -> None:
    """As that of a request."""
    async with opened(redis_server.address, redisDB=DB, ttlInSeconds=str(2**62)) as store:
        assert store.ttl_rule.read({}) is None
