"""What callers of a sidecar see when a master of Redis dies under load: a cluster's, or one under sentinels."""

from __future__ import annotations

import logging
import os
import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest

from tests.conformance.load import Load
from tests.support.client import STRONG, item
from tests.support.components import component
from tests.support.redis_groups import MASTER, ClusterServers, Group
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Component
    from tests.support.redis import RedisServer

ROUNDS = int(os.environ.get("FAILOVER_ROUNDS", "1"))  # more by hand: scripts/soak-failover
BACK_WITHIN = 10  # seconds
STORES = ("redis_cluster_servers", "redis_group")

log = logging.getLogger(__name__)


def _component(servers: ClusterServers | Group) -> Component:
    if isinstance(servers, Group):
        found = {"redisHost": servers.address, "failover": "true", "sentinelMasterName": MASTER}
        return component("store", "state.redis", **found)
    return component("store", "state.redis", redisHost=servers.address, redisType="cluster")


def _killed(servers: ClusterServers | Group, key: str) -> RedisServer:
    old = servers.master() if isinstance(servers, Group) else servers.owner(key)
    old.kill()
    return old


@pytest.mark.parametrize("group", STORES)
def test_no_strong_write_is_lost_when_a_master_is_killed(
    tmp_path: Path, request: pytest.FixtureRequest, group: str
) -> None:
    """Each is there, once, and no transaction by half; writes go on within ten seconds, and calls end meanwhile."""
    servers: ClusterServers | Group = request.getfixturevalue(group)
    moments = random.Random(5)
    loads: list[Load] = []
    with Sidecar(tmp_path, [_component(servers)]) as sidecar, sidecar.client() as client, ThreadPoolExecutor(1) as pool:
        for number in range(ROUNDS):
            name = f"{{{group}-{number}}}"  # one slot, for the transactions
            with Load(sidecar.grpc_port, "store", name, strong=True) as load:
                load.wait_for(moments.randint(20, 200))
                killed = time.monotonic()
                old = _killed(servers, name)
            loads.append(load)
            replaced = pool.submit(servers.replaced, old if isinstance(servers, Group) else name)  # type: ignore[arg-type]
            again = item(name, b"v", options=STRONG)
            until(lambda again=again: client.save("store", again).ok, BACK_WITHIN, what="writes go on")
            log.info("%.1f s from the kill until it was written again", time.monotonic() - killed)
            replaced.result()
            load.check(client)
            servers.bring_back(old)
        for load in loads:
            load.check(client)
        log.info("%d strong writes acknowledged, none lost", sum(load.acknowledged for load in loads))
