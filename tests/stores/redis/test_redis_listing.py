"""Lists of Redis: what SCAN does not say, and what others have put among our keys."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.base import StoreError, Unfit
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.redis import listing
from dapr_state.stores.redis.connection import ConnectionLost
from dapr_state.testing.stores.asking import put
from dapr_state.testing.stores.lists import keys_of, pages_of
from tests.stores.redis.conftest import opened, served_again
from tests.stores.redis.peer import connected

if TYPE_CHECKING:
    from tests.support.redis import RedisServer

STAYING = 500
STAY = [f"stay{number}" for number in range(STAYING)]


async def test_nothing_is_missed_while_the_table_shrinks_and_grows(own_redis: RedisServer) -> None:
    """Keys that stay come, though between two pages tens of thousands are written, and then most are deleted."""
    chance = random.Random(1)
    async with opened(own_redis.address) as store:
        with own_redis.client() as others:
            others.config_set("appendfsync", "no")
            for _ in range(3):
                await put(store, *(Upsert(key, b"v") for key in STAY))
                page = await store.list("stay", limit=50)
                seen = keys_of([page])
                while page.after:
                    if chance.random() < 0.5:
                        others.mset({f"other{number}": 1 for number in range(chance.choice((100, 20_000)))})
                    else:
                        for start in range(0, 20_000, 5000):
                            others.delete(*(f"other{number}" for number in range(start, start + 5000)))
                    page = await store.list("stay", after=page.after, limit=50)
                    seen += keys_of([page])

                assert {*seen} == {*STAY}


async def test_nothing_is_missed_where_the_server_starts_anew(own_redis: RedisServer) -> None:
    """Another process of Redis has its keys in another order: the list begins again."""
    async with opened(own_redis.address) as store:
        await put(store, *(Upsert(key, b"v") for key in STAY))
        page = await store.list("stay", limit=STAYING // 2)
        seen = keys_of([page])
        own_redis.kill()
        own_redis.start()
        await served_again(store)
        while page.after:
            page = await store.list("stay", after=page.after, limit=STAYING // 2)
            seen += keys_of([page])

    assert {*seen} == {*STAY}


async def test_a_page_looks_through_so_many_keys_and_no_more(own_redis: RedisServer) -> None:
    """A page may be empty: others come in between, however many keys there are that are not asked for."""
    async with opened(own_redis.address) as store:
        with own_redis.client() as others:
            for start in range(0, 50_000, 10_000):
                others.mset({f"other{number}": 1 for number in range(start, start + 10_000)})
        await put(store, Upsert("rare", b"v"))
        pages = await pages_of(store, "rare", 1000)

    assert keys_of(pages) == ["rare"]
    assert len(pages) >= 50_000 // listing._SCANNED_AT_MOST


async def test_keys_of_others_are_listed_as_get_gives_them(own_redis: RedisServer) -> None:
    """A string is its value, another type is an error in its place."""
    with own_redis.client() as others:
        others.set("app||string", "s")
        others.rpush("app||list", "x")
        others.hset("app||half", "data", "x")
        others.set("other||string", "s")
    async with opened(own_redis.address) as store:
        await put(store, Upsert("app||row", b"v"))
        entries = {entry.key: entry.row for page in await pages_of(store, "app||", 10) for entry in page.entries}
        got = dict(zip(entries, await store.get([*entries]), strict=True))

    assert {key: type(row) for key, row in entries.items()} == {
        "app||string": StoredValue,
        "app||row": StoredValue,
        "app||list": Unfit,
        "app||half": Unfit,
    }
    assert [*map(str, entries.values())] == [*map(str, got.values())]


async def test_a_prefix_that_ends_within_a_character(own_redis: RedisServer) -> None:
    """As octets they begin alike; as keys they do not."""
    async with opened(own_redis.address) as store:
        await put(store, Upsert("\u00e9", b"v"), Upsert("\udcc3", b"v"))

        assert keys_of(await pages_of(store, "\udcc3", 10)) == ["\udcc3"]
        with pytest.raises(StoreError, match="is not valid UTF-8"):
            await store.list("\ud800", limit=1)


@pytest.mark.parametrize(
    ("rights", "keys", "pages"),
    [("-hstrlen", ["a", "b", "c"], 3), ("-info", ["a", "b", "c"], 1)],
)
async def test_what_a_user_may_not_ask(own_redis: RedisServer, rights: str, keys: list[str], pages: int) -> None:
    """Without the lengths values come one by one; the list is whole."""
    async with opened(own_redis.address) as store:
        await put(store, *(Upsert(key, b"v") for key in keys))
    with own_redis.client() as control:
        control.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", rights)
    async with opened(own_redis.address, redisUsername="app", redisPassword="pw") as store:
        found = await pages_of(store, "", 1000)

    assert sorted(keys_of(found)) == keys
    assert len(found) >= pages


async def test_a_user_who_may_not_scan_is_told(own_redis: RedisServer) -> None:
    """In the server's words."""
    with own_redis.client() as control:
        control.execute_command("ACL", "SETUSER", "app", "on", ">pw", "~*", "+@all", "-scan")
    async with opened(own_redis.address, redisUsername="app", redisPassword="pw") as store:
        with pytest.raises(StoreError, match=r"^NOPERM"):
            await store.list("", limit=1)


@pytest.mark.parametrize("reply", [b":1\r\n", b"*1\r\n:0\r\n", b"*2\r\n$1\r\nx\r\n*0\r\n", b"*2\r\n:0\r\n*1\r\n:7\r\n"])
async def test_a_reply_that_is_no_list_ends_the_connection(reply: bytes) -> None:
    """Who knows whose it was."""
    async with connected() as (connection, peer):
        found = asyncio.create_task(listing.find(connection, "process", "k", "", 10))
        await peer.read()
        peer.answer(reply)
        with pytest.raises(ConnectionLost, match="broke the protocol: a reply to SCAN"):
            await found

        assert connection.lost
