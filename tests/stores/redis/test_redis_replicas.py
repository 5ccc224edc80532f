"""Strong consistency: a write that waits for the replicas."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.model import StoredValue, Upsert
from tests.stores.redis.conftest import eventually, opened
from tests.support.redis import RedisServer
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[tuple[RedisServer, RedisServer]]:
    """A server and its replica, in step."""
    with (
        RedisServer(tmp_path, repl_diskless_sync_delay="0") as primary,
        RedisServer(tmp_path, replicaof=f"127.0.0.1 {primary.port}", dbfilename="replica.rdb") as replica,
        primary.client() as client,
    ):
        until(lambda: client.info("replication").get("slave0", {}).get("state") == "online")
        yield primary, replica


async def test_a_strong_write_is_on_the_replica_when_it_is_acknowledged(pair: tuple[RedisServer, RedisServer]) -> None:
    """Twenty of them, each looked up there at once."""
    primary, replica = pair
    async with opened(primary.address) as store:
        with replica.client() as client:
            for number in range(20):
                assert await store.write([Upsert("k", b"%d" % number, strong=True)]) == [None]
                assert client.hget("k", "data") == b"%d" % number


async def test_a_replica_that_does_not_answer_holds_up_no_one_else(pair: tuple[RedisServer, RedisServer]) -> None:
    """The strong write has a second of patience and succeeds, as in daprd; others go by on the shared connection."""
    primary, replica = pair
    async with opened(primary.address) as store:
        await store.write([Upsert("warm", b"", strong=True)])
        replica.pause()
        strong = asyncio.ensure_future(store.write([Upsert("k", b"v", strong=True)]))
        with primary.client() as client:
            await eventually(lambda: client.exists("k"))
        others = await asyncio.gather(*(store.write([Upsert(f"o{number}", b"v")]) for number in range(100)))
        overtaken = not strong.done()
        read = await store.get(["k"])
        replica.resume()

        assert await strong == [None]
        assert (others, read) == ([[None]] * 100, [StoredValue(b"v", "1")])
        assert overtaken


async def test_strong_writes_wait_together(pair: tuple[RedisServer, RedisServer]) -> None:
    """Fifty of them share the second that a replica does not use, even if no reply may take as long."""
    primary, replica = pair
    async with opened(primary.address, readTimeout="200ms") as store:
        await store.write([Upsert("warm", b"", strong=True)])
        replica.pause()
        writes = [store.write([Upsert(f"k{number}", b"v", strong=True)]) for number in range(50)]
        async with asyncio.timeout(10):
            outcomes = await asyncio.gather(*writes)
        replica.resume()

    assert outcomes == [[None]] * 50


async def test_without_replicas_strong_means_nothing_more(redis_server: RedisServer) -> None:
    """There is nobody to wait for."""
    async with opened(redis_server.address, redisDB="6") as store:
        await store.write([Upsert("strong", b"v", strong=True)])

        assert [getattr(row, "value", None) for row in await store.get(["strong"])] == [b"v"]
