"""Writes of one tick that go to Redis as one call: to each caller it is as if he were alone."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.redis.connecting import Server
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.grouping import Grouping, budget
from dapr_state.stores.redis.node import OPERATIONS_AT_ONCE, in_order
from tests.stores.redis.conftest import opened
from tests.stores.redis.peer import connected
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.model import Operation
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
        assert await store.get([f"k{number}" for number in range(100)]) == [StoredValue(b"v", "1")] * 100


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

        assert await store.get(["k"]) == [StoredValue(b"3", "3")]


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
    assert rows == [StoredValue(b"v", "1")] * 2


async def test_a_group_whose_script_the_server_forgot_is_sent_again(own_redis: RedisServer) -> None:
    """Nothing of it was done before, and nothing is done twice."""
    async with opened(own_redis.address) as store:
        await known(store)
        with own_redis.client() as client:
            client.script_flush()
        outcomes = await asyncio.gather(*(store.write([Upsert("k", b"%d" % number)]) for number in range(10)))

        assert outcomes == [[None]] * 10
        assert await store.get(["k"]) == [StoredValue(b"9", "10")]


@pytest.mark.parametrize("server", [Server(), Server(cluster=True)], ids=["alone", "cluster"])
async def test_what_is_given_up_is_not_sent_again_behind_what_was_asked_since(server: Server) -> None:
    """A server that has forgotten the script has run nothing. Who stands beside it in the group is written."""
    async with connected() as (connection, peer):
        grouping = Grouping(connection, server)
        given_up = asyncio.ensure_future(grouping.write([Upsert("mine", b"old")]))
        beside = asyncio.ensure_future(grouping.write([Upsert("beside", b"v")]))
        await asyncio.sleep(0)
        await peer.read()
        given_up.cancel()
        newer = asyncio.ensure_future(grouping.write([Upsert("mine", b"new")]))
        await peer.read()
        peer.answer(b"-NOSCRIPT none\r\n" * (2 if server.cluster else 1))
        again = await peer.read()
        peer.answer(b"*0\r\n" * 2)
        outcomes = await asyncio.gather(beside, newer)

    assert outcomes == [[None], [None]]
    assert (b"beside" in again, b"mine" in again) == (True, False)


async def test_a_group_that_nobody_waits_for_any_more_is_not_sent_again() -> None:
    """What is bounded is free again."""
    async with connected() as (connection, peer):
        waiting = budget()
        grouping = Grouping(connection, waiting=waiting)
        given_up = asyncio.ensure_future(grouping.write([Upsert("mine", b"old")]))
        await asyncio.sleep(0)
        await peer.read()
        given_up.cancel()
        await asyncio.wait([given_up])
        peer.answer(b"-NOSCRIPT none\r\n")
        newer = asyncio.ensure_future(grouping.write([Upsert("mine", b"new")]))
        sent = await peer.read()
        peer.answer(b"*0\r\n")

        async with asyncio.timeout(5):
            assert await newer == [None]
        assert (b"new" in sent, b"old" in sent, waiting.callers, waiting.octets) == (True, False, 0, 0)


async def test_large_values_go_in_several_calls(own_redis: RedisServer) -> None:
    """A call for several callers has a megabyte at most: no limit of the server is met because others came along."""
    value = b"x" * 400_000
    async with opened(own_redis.address) as store:
        await known(store)
        before = calls(own_redis)
        await asyncio.gather(*(store.write([Upsert(f"k{number}", value)]) for number in range(4)))

        assert calls(own_redis) - before == 2
        assert await store.get([f"k{number}" for number in range(4)]) == [StoredValue(value, "1")] * 4


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


@pytest.mark.parametrize("bad", ["\ud800", "a\udfffb\ud800"])
async def test_a_key_that_cannot_be_sent_keeps_nobody_from_an_answer(own_redis: RedisServer, bad: str) -> None:
    """Its caller is told so, and the others of the tick are served."""
    async with opened(own_redis.address) as store:
        await known(store)
        good, wrong, other, refused, fine = await asyncio.gather(
            store.get(["first"]),
            store.get([bad]),
            store.write([Upsert("k", b"v")]),
            store.write([Upsert(bad, b"v")]),
            store.get(["first"]),
            return_exceptions=True,
        )
        with pytest.raises(StoreError, match="cannot be sent to the store: UnicodeEncodeError"):
            await store.transact([Upsert("k", b"w"), Delete(bad)])

        assert good == fine == [StoredValue(b"", "1")]
        assert other == [None]
        assert [str(each) for each in (wrong, refused)] == [
            "the request cannot be sent to the store: UnicodeEncodeError"
        ] * 2
        assert await store.get(["k"]) == [StoredValue(b"v", "1")]


async def test_a_huge_save_lets_others_in_between(own_redis: RedisServer) -> None:
    """It goes in runs of bounded size, in its order; gets and saves of others do not wait for its end."""
    size = 60_000
    async with opened(own_redis.address) as store:
        await known(store)
        operations = [Upsert(f"k{number % 50_000}", b"%d" % number) for number in range(size)]
        before = calls(own_redis)
        operations[30_000] = Upsert("k30000", b"x", etag="77")
        huge = asyncio.ensure_future(store.write(operations))
        served = 0
        while not huge.done():
            await store.get(["first"])
            await store.write([Upsert("other", b"v")])
            served += 1
        outcomes = await huge
        called = calls(own_redis) - before - served
        rows = await store.get(["k0", "k9999", "k10000", "k30000"])

    assert served > 20
    assert [number for number, outcome in enumerate(outcomes) if outcome] == [30_000]
    assert rows == [StoredValue(b"50000", "2"), StoredValue(b"59999", "2"), StoredValue(b"10000", "1"), None]
    assert called >= size / 512


async def test_what_the_first_runs_of_a_save_have_done_is_told_though_the_next_fails(own_redis: RedisServer) -> None:
    """Each item of those behind has the error: who asks again asks for them alone."""
    async with opened(own_redis.address) as store:

        async def write(run: Sequence[Operation]) -> Outcomes:
            if run[0].key != "k0":
                raise StoreError("gone")
            return await store.write(run)

        operations = [Upsert(f"k{number}", b"v") for number in range(OPERATIONS_AT_ONCE + 2)]
        outcomes = await in_order(operations, write, lambda _: False)

        assert outcomes[:OPERATIONS_AT_ONCE] == [None] * OPERATIONS_AT_ONCE
        assert [str(outcome) for outcome in outcomes[OPERATIONS_AT_ONCE:]] == ["gone"] * 2
        rows = await store.get([f"k{OPERATIONS_AT_ONCE - 1}", f"k{OPERATIONS_AT_ONCE}"])
        assert rows == [StoredValue(b"v", "1"), None]


async def test_a_huge_bulk_read_goes_in_runs_that_shrink_with_the_values(own_redis: RedisServer) -> None:
    """Each key has its own row, in order; others are served in between."""
    async with opened(own_redis.address) as store:
        await store.write(
            [Upsert(f"k{number}", b"%d" % number * (50_000 if number < 600 else 1)) for number in range(2000)]
        )
        huge = asyncio.ensure_future(store.get([f"k{number % 2100}" for number in range(4000)]))
        served = 0
        while not huge.done():
            await store.get(["k1999"])
            served += 1
        rows = await huge

    expected = [number % 2100 for number in range(4000)]
    assert [
        row.value[: len(b"%d" % number)] if isinstance(row, StoredValue) else row
        for number, row in zip(expected, rows, strict=True)
    ] == [b"%d" % number if number < 2000 else None for number in expected]
    assert served > 20


async def test_a_huge_transaction_is_one_call(own_redis: RedisServer) -> None:
    """All or nothing, whatever its size; more than the protocol takes is refused before it is sent."""
    async with opened(own_redis.address) as store:
        many: list[Operation] = [Upsert(f"k{number}", b"%d" % number) for number in range(5000)]
        await store.transact(many)
        before = calls(own_redis)
        with pytest.raises(EtagMismatch):
            await store.transact([*many, Delete("k7", etag="9")])
        with pytest.raises(StoreError, match="more than redis takes in one call"):
            await store.transact([Delete("k")] * 400_000)

        assert calls(own_redis) - before == 1
        assert await store.get(["k0", "k4999"]) == [StoredValue(b"0", "1"), StoredValue(b"4999", "1")]


async def test_what_waits_is_bounded_in_octets(own_redis: RedisServer) -> None:
    """Large saves for a server that stands still are refused beyond the limit, also those whose callers gave up."""
    value = b"x" * 1024 * 1024
    async with opened(own_redis.address, readTimeout="60s") as store:
        await known(store)
        own_redis.pause()
        crowd = [asyncio.ensure_future(store.write([Upsert(f"k{number}", value)])) for number in range(100)]
        await asyncio.sleep(0)
        for caller in crowd[::2]:
            caller.cancel()
        late = asyncio.ensure_future(store.write([Upsert("late", value)]))
        await asyncio.wait([late])
        own_redis.resume()
        outcomes = await asyncio.gather(*crowd[1::2], return_exceptions=True)
        after = await store.write([Upsert("after", value)])

    refused = [outcome for outcome in (*outcomes, late.exception()) if isinstance(outcome, StoreError)]
    assert {str(error)[:33] for error in refused} == {"too many requests wait for redis:"}
    assert 18 < len(refused) < 22  # of 100 MB, 64 wait
    assert after == [None]


async def test_nobody_waits_for_all_of_a_large_bulk_read(own_redis: RedisServer) -> None:
    """Once values were seen to be large they are asked for some at a time; once they are small, together again."""
    keys = [f"k{number}" for number in range(60)]
    async with opened(own_redis.address) as store:
        for key in keys:
            await store.write([Upsert(key, b"x" * 500_000)])
        await store.write([Upsert("small", b"")])
        await store.get(keys)
        bulk = asyncio.create_task(store.get(keys))
        await asyncio.sleep(0)
        small = await store.get(["small"])
        was_done = bulk.done()
        rows = await bulk
        await store.write([Upsert(key, b"") for key in keys])
        for _ in range(10):
            await store.get(keys)
        before = commands(own_redis)
        tick = await asyncio.gather(store.get(keys), store.get(["small"]))

        assert small == [StoredValue(b"", "1")]
        assert not was_done
        assert {len(row.value) for row in rows if isinstance(row, StoredValue)} == {500_000}
        assert [len(rows) for rows in tick] == [60, 1]
        assert commands(own_redis) - before == 1


def commands(server: RedisServer) -> int:
    """How many batches were sent: each ends with an ECHO."""
    with server.client() as client:
        calls: int = client.info("commandstats")["cmdstat_echo"]["calls"]
    return calls


@pytest.mark.parametrize("small", [0, 2_000], ids=["at first", "after small ones"])
async def test_what_is_read_of_large_values_is_not_kept_whole_by_the_server(tmp_path: Path, small: int) -> None:
    """Four hundred megabytes that are asked for in one tick stand in its memory a few at a time; all are answered."""
    value = bytes(1 << 20)
    with RedisServer(tmp_path) as server, server.client() as client:
        async with opened(server.address) as store:
            await store.write([Upsert("large", value), Upsert("small", b"v")])
            for _ in range(small // 20):
                await asyncio.gather(*(store.get(["small"]) for _ in range(20)))
            before = client.info("memory")["used_memory"]
            await asyncio.gather(*(read(store, "large", value) for _ in range(400)))
            peak = client.info("memory")["used_memory_peak"]

    assert peak - before < 100 << 20


async def read(store: RedisStore, key: str, value: bytes) -> None:
    (row,) = await store.get([key])
    assert row == StoredValue(value, "1")


async def test_reads_that_are_held_are_told_of_a_lost_connection() -> None:
    """As those before them that were sent, and with the same reason: nobody waits for what will not come."""
    async with connected(read_timeout=0.1) as (connection, peer):
        grouping = Grouping(connection)
        outcomes = await asyncio.gather(*(grouping.read([f"k{n}"]) for n in range(500)), return_exceptions=True)
        asked = (await peer.read()).count(b"HMGET")

    assert 0 < asked < 500
    assert {type(outcome) for outcome in outcomes} == {Silence}


async def test_reads_that_are_held_come_before_the_end() -> None:
    """Closing waits for them as for those that were sent."""
    async with connected() as (connection, peer):
        grouping = Grouping(connection)
        waiting = [grouping.read([f"k{number}"]) for number in range(100)]
        closing: asyncio.Task[None] | None = None
        answered = 0
        while answered < len(waiting):
            asked = (await peer.read()).count(b"HMGET")
            closing = closing or asyncio.create_task(connection.close(10))
            peer.answer(b"*2\r\n$1\r\nv\r\n$1\r\n1\r\n:-1\r\n" * asked)
            answered += asked
        assert closing
        await closing

        assert await asyncio.gather(*waiting) == [[StoredValue(b"v", "1")]] * 100


async def test_a_large_reply_that_goes_on_is_no_silence() -> None:
    """Each piece of it is a sign of life, though the whole takes longer than the read timeout."""
    value, pieces = b"x" * 10_000, 10
    async with connected(read_timeout=0.2) as (connection, peer):
        waiting = connection.ask(b"<a>", 1)
        reply = b"$%d\r\n%b\r\n" % (len(value), value)
        step = len(reply) // pieces + 1
        for number in range(pieces):
            asyncio.get_running_loop().call_later(0.1 * number, peer.answer, reply[number * step : (number + 1) * step])

        assert await waiting == [value]
