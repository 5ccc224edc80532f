"""Writes of one tick that go to Redis as one call: to each caller it is as if he were alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, Row, Upsert
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError
from dapr_state.stores.redis.grouping import Grouping
from tests.stores.redis.conftest import opened
from tests.stores.redis.peer import connected
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state.stores.redis.store import RedisStore


def calls(server: RedisServer) -> int:
    """How often a script was called since the server started."""
    with server.client() as client:
        stats = client.info("commandstats")
    return sum(stats.get(f"cmdstat_{name}", {"calls": 0})["calls"] for name in ("eval", "evalsha"))


async def known(store: RedisStore) -> None:
    """Let the server know the script, so that it is called once for each group."""
    await store.write([Upsert("first", b"")])


async def test_the_writes_of_a_tick_are_one_call(own_redis: RedisServer) -> None:
    """A hundred callers are two groups, as 64 operations are the most; each has its own outcome."""
    async with opened(own_redis.address) as store:
        await known(store)
        before = calls(own_redis)
        outcomes = await asyncio.gather(*(store.write([Upsert(f"k{number}", b"v")]) for number in range(100)))

        assert outcomes == [[None]] * 100
        assert calls(own_redis) - before == 2
        assert await store.get([f"k{number}" for number in range(100)]) == [Row(b"v", "1")] * 100


async def test_each_caller_has_the_outcome_of_his_own_operations(own_redis: RedisServer) -> None:
    """Whatever the others wanted, and in the order in which they came: the second finds what the first has left."""
    async with opened(own_redis.address) as store:
        await store.write([Upsert("k", b"0")])
        first, stale, both, gone = await asyncio.gather(
            store.write([Upsert("k", b"1", etag="1")]),
            store.write([Upsert("k", b"2", etag="1")]),
            store.write([Upsert("k", b"3"), Upsert("l", b"4", etag="7")]),
            store.write([Delete("k", etag="3")]),
        )
        rows = await store.get(["k", "l"])

    assert first == [None]
    assert [str(outcome) for outcome in stale] == [str(EtagMismatch.stale("k", "2", "1"))]
    assert (both[0], str(both[1])) == (None, str(EtagMismatch.missing("l")))
    assert gone == [None]
    assert rows == [None, None]


async def test_writes_are_done_in_the_order_in_which_they_came(own_redis: RedisServer) -> None:
    """A transaction does not overtake the writes of its tick."""
    async with opened(own_redis.address) as store:
        await known(store)
        await asyncio.gather(
            store.write([Upsert("k", b"1")]), store.transact([Upsert("k", b"2")]), store.write([Upsert("k", b"3")])
        )

        assert await store.get(["k"]) == [Row(b"3", "3")]


async def test_a_key_that_one_may_not_use_does_not_keep_the_others_from_theirs(tmp_path: Path) -> None:
    """Redis refuses a call for one of its keys: the callers are then served one by one, and none twice."""
    with RedisServer(tmp_path) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "u", "on", ">p", "~app||*", "+@all")
        async with opened(server.address, redisUsername="u", redisPassword="p") as store:
            keys = ("app||a", "other||b", "app||c")
            a, b, c = await asyncio.gather(*(store.write([Upsert(key, b"v")]) for key in keys), return_exceptions=True)
            rows = await store.get(["app||a", "app||c"])

    assert (a, c) == ([None], [None])
    assert isinstance(b, StoreError)
    assert str(b).startswith("NOPERM")
    assert rows == [Row(b"v", "1")] * 2


async def test_a_group_whose_script_the_server_forgot_is_sent_again(own_redis: RedisServer) -> None:
    """Nothing of it was done before, and nothing is done twice."""
    async with opened(own_redis.address) as store:
        await known(store)
        with own_redis.client() as client:
            client.script_flush()
        outcomes = await asyncio.gather(*(store.write([Upsert("k", b"%d" % number)]) for number in range(10)))

        assert outcomes == [[None]] * 10
        assert await store.get(["k"]) == [Row(b"9", "10")]


async def test_large_values_go_alone(own_redis: RedisServer) -> None:
    """Beyond a megabyte in all a call is for one caller: no limit of the server is met because others came along."""
    value = b"x" * 400_000
    async with opened(own_redis.address) as store:
        await known(store)
        before = calls(own_redis)
        await asyncio.gather(*(store.write([Upsert(f"k{number}", value)]) for number in range(4)))

        assert calls(own_redis) - before == 4
        assert await store.get([f"k{number}" for number in range(4)]) == [Row(value, "1")] * 4


async def test_who_gives_up_keeps_nobody_waiting(own_redis: RedisServer) -> None:
    """The others of the group have their outcomes."""
    async with opened(own_redis.address) as store:
        await known(store)
        tasks = [asyncio.ensure_future(store.write([Upsert(f"k{number}", b"v")])) for number in range(10)]
        await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()

        assert await asyncio.gather(*tasks[1::2]) == [[None]] * 5


async def test_closing_sends_what_waits_for_the_end_of_the_tick(own_redis: RedisServer) -> None:
    """Whoever called before has his outcome."""
    async with opened(own_redis.address) as store:
        await known(store)
        save = asyncio.ensure_future(store.write([Upsert("k", b"v")]))
        await asyncio.sleep(0)
        await store.close()

        assert await save == [None]


async def test_an_answer_that_no_script_gives_reaches_every_caller_as_an_error() -> None:
    """Whose answer it is nobody knows: the connection ends."""
    async with connected() as (connection, peer):
        grouping = Grouping(connection)
        waiting = [grouping.write([Upsert("a", b"v")]), grouping.write([Upsert("b", b"v")])]
        await peer.read()
        peer.answer(b":1\r\n")
        nonsense = await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(error) for error in nonsense] == [ConnectionLost] * 2
    assert "of another kind than was asked for" in str(nonsense[0])


async def test_an_error_of_the_server_is_the_same_for_all() -> None:
    """Each has one of his own."""
    async with connected() as (connection, peer):
        grouping = Grouping(connection)
        waiting = [grouping.write([Upsert("a", b"v")]), grouping.write([Upsert("b", b"v")])]
        await peer.read()
        peer.answer(b"-LOADING wait\r\n")
        loading = await asyncio.gather(*waiting, return_exceptions=True)

    assert [(type(error), str(error)) for error in loading] == [(ReplyError, "LOADING wait")] * 2
