"""A Redis that dies, is silent, is full, or takes no writes: every caller is told, and nothing is done by half."""

from __future__ import annotations

import asyncio
import gc
import random
import re
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import CALLERS_AT_MOST
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.redis.connection import ConnectionLost, Silence
from tests.stores.redis.conftest import create, eventually, opened, served_again, values
from tests.support.processes import free_port
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Awaitable
    from pathlib import Path

    from tests.stores.redis.conftest import Own

FULL = "OOM command not allowed when used memory > 'maxmemory'"
IMPATIENT = {"redisMaxRetries": "-1", "readTimeout": "400ms", "dialTimeout": "1s", "redisMinRetryInterval": "20ms"}


async def test_nobody_there_is_an_error_of_opening() -> None:
    """The reason is daprd's; nothing goes on in the background afterwards."""
    address = f"127.0.0.1:{free_port()}"
    store = create(address, **IMPATIENT)
    with pytest.raises(StoreError) as refused:
        await store.open()

    assert str(refused.value) == (
        f"redis store: error connecting to redis at {address}: dial tcp {address}: connect: connection refused"
    )
    assert len(asyncio.all_tasks()) == 1


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("a.invalid:1,b.invalid:1", "dial tcp: address a.invalid:1,b.invalid:1: too many colons in address"),
        ("127.0.0.1:http", "dial tcp: lookup tcp/http: unknown port"),
        ("127.0.0.1:65536", "dial tcp: address 65536: invalid port"),
        ("/nowhere/redis.sock", "dial unix /nowhere/redis.sock:6379: connect: no such file or directory"),
    ],
)
async def test_an_address_that_is_none(address: str, reason: str) -> None:
    """The reason names it."""
    store = create(address, **IMPATIENT)
    with pytest.raises(StoreError) as refused:
        await store.open()

    assert str(refused.value).endswith(f": {reason}")


async def test_a_killed_server_fails_what_is_in_flight_and_is_found_again(own: Own) -> None:
    """Every caller is answered, and a write that was under way is there once or not at all."""
    async with own.opened(redisMinRetryInterval="20ms") as store:
        await store.write([Upsert("k", b"v")])
        saves = [asyncio.ensure_future(store.write([Upsert(f"save-{number}", b"v")])) for number in range(3000)]
        await saves[random.Random(1).randint(10, 1000)]
        own.server.kill()
        outcomes = await asyncio.gather(*saves, return_exceptions=True)
        await asyncio.to_thread(own.start)
        await served_again(store)
        rows = await store.get([f"save-{number}" for number in range(3000)])

    lost = [outcome for outcome in outcomes if outcome != [None]]
    assert lost
    assert all(isinstance(outcome, StoreError) for outcome in lost)
    assert all(row == StoredValue(b"v", "1") for row, outcome in zip(rows, outcomes, strict=True) if outcome == [None])
    assert {getattr(row, "etag", None) for row in rows} <= {"1", None}


async def test_during_an_outage_every_call_fails_with_the_reason(own: Own) -> None:
    """Reads, writes and transactions alike; when the server is back, so are they."""
    async with own.opened(**IMPATIENT) as store:
        await store.write([Upsert("k", b"v")])
        own.server.kill()
        await eventually(lambda: "down" in repr(store))
        calls = [store.get(["k"]), store.write([Upsert("k", b"w")]), store.transact([Delete("k")]), store.ping()]
        refused = await asyncio.gather(*calls, return_exceptions=True)
        await asyncio.to_thread(own.start)
        await served_again(store)
        rows = await store.get(["k"])

    reason = rf"redis store: error connecting to redis at [\d.:]+: dial tcp {own.server.address}: "
    told = [each for outcome in refused for each in (outcome if isinstance(outcome, list) else [outcome])]
    assert [each for each in told if not (isinstance(each, StoreError) and re.match(reason, str(each)))] == []
    assert rows == [StoredValue(b"v", "1")]


async def test_calls_wait_for_a_server_that_is_only_restarted(own_redis: RedisServer) -> None:
    """What was not sent yet is sent when the connection is there, within the retries that are allowed."""
    async with opened(
        own_redis.address, redisMaxRetries="300", redisMinRetryInterval="20ms", dialTimeout="20s"
    ) as store:
        own_redis.kill()
        await eventually(lambda: "down" in repr(store))
        save = asyncio.ensure_future(store.write([Upsert("k", b"v")]))
        read = asyncio.ensure_future(store.get(["other"]))
        await asyncio.sleep(0)
        own_redis.start()

        assert await asyncio.gather(save, read) == [[None], [None]]
        assert await store.get(["k"]) == [StoredValue(b"v", "1")]


async def test_a_read_whose_connection_is_lost_is_asked_again(own: Own) -> None:
    """A write is not: nobody knows whether it happened."""
    async with own.opened(redisMaxRetries="300", redisMinRetryInterval="20ms") as store:
        await store.write([Upsert("k", b"v")])
        own.server.pause()
        read = asyncio.ensure_future(store.get(["k"]))
        save = asyncio.ensure_future(store.write([Upsert("k", b"w", etag="7")]))
        await eventually(lambda: "2 waiting" in repr(store))
        own.server.kill()
        await asyncio.to_thread(own.start)

        assert await read == [StoredValue(b"v", "1")]
        with pytest.raises(ConnectionLost):
            await save


async def fails(call: Awaitable[object]) -> type[Exception] | None:
    try:
        await call
    except StoreError as error:
        return type(error)
    return None


async def test_a_silent_server_leaves_nothing_of_those_who_waited(own_redis: RedisServer) -> None:
    """What 200 callers held is free when they are told: no cycle keeps it until the next collection."""
    async with opened(own_redis.address, **IMPATIENT) as store:
        own_redis.pause()
        gc.collect()
        gc.disable()
        try:
            told = await asyncio.gather(*(fails(store.get([f"k{number}"])) for number in range(200)))
            left = gc.collect()
        finally:
            gc.enable()
            own_redis.resume()

    assert set(told) == {Silence}
    assert left < len(told)


async def test_a_silent_server_fails_what_waits_and_its_late_replies_find_nobody(own: Own) -> None:
    """The reason names the address; afterwards each caller has his own answer."""
    async with own.opened(**IMPATIENT) as store:
        await store.write([Upsert("k", b"v"), Upsert("mine", b"mine")])
        own.server.pause()
        calls = [store.get(["k"]), store.write([Upsert("late", b"w")]), store.transact([Upsert("late", b"x")])]
        silent = await asyncio.gather(*calls, return_exceptions=True)
        own.server.resume()
        await served_again(store)
        rows = [await store.get(["mine"]) for _ in range(20)]
        (late,) = await store.get(["late"])

    assert [type(outcome) for outcome in silent] == [Silence] * 3
    assert all(own.server.address in str(outcome) and "timeout" in str(outcome) for outcome in silent)
    assert rows == [[StoredValue(b"mine", "1")]] * 20
    assert late in (None, StoredValue(b"x", "2"))  # given up by us, and by the server when it saw the closed connection


async def test_a_full_server_refuses_writes_whole_and_deletes_all_the_same(own: Own) -> None:
    """No operation leaves half of itself, and room can be made."""
    async with own.opened() as store:
        await store.write([Upsert("{f}k", b"v"), Upsert("{f}other", b"v", ttl=1000)])
        before = await store.get(["{f}k", "{f}other"])
        with own.server.client() as client:
            client.config_set("maxmemory", "1")
        alone = await store.write([Upsert("{f}k", b"w"), Upsert("{f}other", b"w"), Upsert("{f}new", b"w", ttl=5)])
        with pytest.raises(StoreError, match=f"failed to set key {{f}}k: {FULL}"):
            await store.transact([Upsert("{f}k", b"w"), Delete("{f}other")])
        unchanged = await store.get(["{f}k", "{f}other", "{f}new"])
        deleted = await store.write([Delete("{f}other", etag="1")])
        with own.server.client() as client:
            client.config_set("maxmemory", "0")
        after = await store.get(["{f}k", "{f}other"])

    assert [str(outcome).rstrip(".") for outcome in alone] == [
        f"failed to set key {key}: {FULL}" for key in ("{f}k", "{f}other", "{f}new")
    ]
    assert unchanged == [*before, None]
    assert deleted == [None]
    assert values(after) == [b"v", None]


@pytest.mark.parametrize(
    ("setting", "code"), [({"min_replicas_to_write": "1"}, "NOREPLICAS"), ({"replicaof": "127.0.0.1 1"}, "READONLY")]
)
async def test_a_server_that_takes_no_writes_says_why(tmp_path: Path, setting: dict[str, str], code: str) -> None:
    """Saves, deletes and transactions are refused with its code, and reads are served."""
    with RedisServer(tmp_path, **setting) as server:
        async with opened(server.address) as store:
            outcomes = await store.write([Upsert("k", b"v"), Delete("k")])
            with pytest.raises(StoreError, match=code):
                await store.transact([Upsert("k", b"v"), Delete("k")])

            assert [code in str(outcome) for outcome in outcomes] == [True, True]
            assert await store.get(["k"]) == [None]


async def test_a_server_that_still_loads_is_waited_for(own_redis: RedisServer) -> None:
    """Its connection is not used before it serves."""
    with own_redis.client() as client:
        client.mset({f"key{number}": b"x" * 100 for number in range(20_000)})
    async with opened(own_redis.address, redisMaxRetries="1000", redisMinRetryInterval="10ms") as store:
        await store.write([Upsert("k", b"v")])
        own_redis.kill()
        own_redis.launch()
        await served_again(store)

        assert await store.get(["k"]) == [StoredValue(b"v", "1")]


async def test_thousands_of_callers_share_the_connection(redis_server: RedisServer) -> None:
    """As many as may wait. Each gets the answer to his own question, a tenth of them having given up."""
    dice = random.Random(2)
    async with opened(redis_server.address, redisDB="6") as store:
        await store.write([Upsert(f"{number}", b"%d" % number) for number in range(1000)])
        calls = [asyncio.ensure_future(store.get([f"{number % 1000}"])) for number in range(CALLERS_AT_MOST)]
        await asyncio.sleep(0)
        for call in dice.sample(calls, CALLERS_AT_MOST // 10):
            call.cancel()
        await asyncio.wait(calls)
        with redis_server.client() as client:
            clients = {each["addr"] for each in client.client_list() if each["db"] == "6"}

    answers = {number: values(call.result()) for number, call in enumerate(calls) if not call.cancelled()}
    assert len(answers) >= CALLERS_AT_MOST * 9 // 10
    assert answers == {number: [b"%d" % (number % 1000)] for number in answers}
    assert len(clients) == 1


async def test_a_cancelled_save_happens_whole_or_not(own: Own) -> None:
    """Whoever gives up may find the value or not, but never half of it, and the next save counts on."""
    async with own.opened() as store:
        for number in range(50):
            save = asyncio.ensure_future(store.write([Upsert("k", b"%d" % number, ttl=1000), Upsert("l", b"")]))
            await asyncio.sleep(0)
            save.cancel()
            await asyncio.wait([save])
        (outcome,) = await store.write([Upsert("k", b"last", ttl=1000)])
        (k,) = await store.get(["k"])

    assert outcome is None
    assert isinstance(k, StoredValue)
    assert (k.value, k.expires_at is not None) == (b"last", True)


async def test_after_closing_every_call_says_so(redis_server: RedisServer) -> None:
    """What was under way is finished first."""
    store = create(redis_server.address, redisDB="6")
    await store.open()
    save = asyncio.ensure_future(store.write([Upsert("closing", b"v")]))
    await asyncio.sleep(0)
    await store.close()
    refused = await asyncio.gather(
        store.get(["closing"]), store.write([Upsert("closing", b"w")]), store.ping(), return_exceptions=True
    )

    assert await save == [None]
    assert all(isinstance(outcome, StoreError) and "the store is closed" in str(outcome) for outcome in refused)
