"""A cluster of Redis: slots move, under load and by halves, and nodes die; no answer is lost, doubled or another's."""

from __future__ import annotations

import asyncio
import logging
import os
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.redis.slots import slot_of
from tests.stores.redis.conftest import opened
from tests.stores.redis.load import Load

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dapr_state.stores.redis.store import RedisStore
    from tests.support.redis import RedisServer
    from tests.support.redis_groups import ClusterServers

log = logging.getLogger(__name__)

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "1"))  # of kill -9 and of moved slots: more by hand
CLUSTER = {"redisType": "cluster"}
KEYS = [f"key{number}" for number in range(9)]  # on all nodes


@pytest.fixture
def servers(redis_cluster_servers: ClusterServers) -> ClusterServers:
    redis_cluster_servers.wipe()
    return redis_cluster_servers


@pytest.fixture
async def store(servers: ClusterServers) -> AsyncIterator[RedisStore]:
    async with opened(servers.address, **CLUSTER) as store:
        yield store


def other_than(servers: ClusterServers, server: RedisServer) -> RedisServer:
    return next(each for each in servers.primaries() if each is not server)


@pytest.mark.parametrize("strong", [True, False], ids=["strong", "eventual"])
async def test_a_killed_primary_is_replaced_under_load(servers: ClusterServers, strong: bool) -> None:
    """Its keys are written again within ten seconds, none twice; strong writes are kept, others as far as replicas had
    them.
    """
    async with opened(servers.address, **CLUSTER) as store:
        for number in range(ROUNDS):
            async with Load(store, KEYS, strong=strong) as load:
                await load.goes_on()
                old = await asyncio.to_thread(servers.fail_over, load.writers[number % len(KEYS)].key)
                await load.goes_on()
                await asyncio.to_thread(servers.bring_back, old)
                await load.goes_on()
            lost = await load.lost()
            acknowledged = sum(writer.acknowledged for writer in load.writers)
            failed = sum(len(writer.unknown) for writer in load.writers)
            log.info("%d writes acknowledged, %d failed, lost: %s", acknowledged, failed, lost)

            assert load.foreign == []
            assert not strong or lost == []


async def test_slots_that_move_under_load_lose_nothing(servers: ClusterServers) -> None:
    """Back and forth, with their keys; no write fails, happens twice, or is another's."""
    async with opened(servers.address, **CLUSTER) as store:
        async with Load(store, KEYS, strong=False) as load:
            for _ in range(2 * ROUNDS):
                for writer in load.writers:
                    owner = await asyncio.to_thread(servers.owner, writer.key)
                    await asyncio.to_thread(servers.move, slot_of(writer.key), other_than(servers, owner))
                await load.goes_on()
        lost = await load.lost()

    assert (load.reasons(), load.foreign, lost) == (set(), [], [])
