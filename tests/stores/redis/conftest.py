"""What the tests of the Redis store share: an open store, a server of one's own, and waiting on the event loop."""

from __future__ import annotations

import asyncio
import time
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import pytest

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores.base import StoreError
from dapr_state.stores.redis.store import RedisStore
from tests.support.processes import free_port
from tests.support.redis import RedisServer
from tests.support.redis_groups import MASTER, SLOTS, Sentinel
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

PATIENCE = 15  # seconds


def create(address: str, **properties: str) -> RedisStore:
    return RedisStore.from_component(
        Component("store", "state.redis", "v1", Properties({"redisHost": address, **properties}))
    )


@asynccontextmanager
async def opened(address: str, **properties: str) -> AsyncIterator[RedisStore]:
    store = create(address, **properties)
    await store.open()
    try:
        yield store
    finally:
        await store.close()


async def eventually(look: Callable[[], object]) -> None:
    """Look again and again until it is true."""
    deadline = time.monotonic() + PATIENCE
    while not look():
        assert time.monotonic() < deadline, "it did not come true"
        await asyncio.sleep(0.01)


async def served_again(store: RedisStore) -> None:
    """Wait until the store has found its server again."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            await store.ping()
        except StoreError:
            assert time.monotonic() < deadline, f"{store!r} did not come back"
            await asyncio.sleep(0.01)
        else:
            return


def values(rows: object) -> list[bytes | None]:
    """The values of rows; whatever is no row is None."""
    return [getattr(row, "value", None) for row in cast("list[object]", rows)]


DURABLE = {"appendonly": "yes", "appendfsync": "always"}


@dataclass
class Own:
    """One server that a test may stop, kill and fill, and how a component finds it."""

    server: RedisServer
    address: str
    properties: dict[str, str] = field(default_factory=dict)

    def opened(self, **properties: str) -> AbstractAsyncContextManager[RedisStore]:
        return opened(self.address, **self.properties, **properties)

    def start(self) -> None:
        """Return when it serves: a node of a cluster waits for two seconds after its start."""
        self.server.start()
        self.whole()

    def whole(self) -> None:
        if self.properties.get("redisType") == "cluster":
            until(lambda: "cluster_state:ok" in self._info(), what="the cluster serves")

    def _info(self) -> str:
        with self.server.client() as client:
            client.set_response_callback("CLUSTER INFO", bytes.decode)
            return str(client.execute_command("CLUSTER INFO"))


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    with RedisServer(tmp_path_factory.mktemp("alone"), **DURABLE) as server:
        yield Own(server, server.address)


@pytest.fixture(scope="module")
def under_sentinel(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """The sentinel names it whatever happens: it has nobody with whom to agree on another."""
    folder = tmp_path_factory.mktemp("under-sentinel")
    with RedisServer(folder, **DURABLE) as server, Sentinel(folder, server.port) as sentinel:
        yield Own(server, sentinel.address, {"failover": "true", "sentinelMasterName": MASTER})


@pytest.fixture(scope="module")
def in_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Own]:
    """It has all slots."""
    cluster = {"cluster_enabled": "yes", "cluster_port": str(free_port())}
    with RedisServer(tmp_path_factory.mktemp("in-cluster"), **cluster, **DURABLE) as server:
        with server.client() as client:
            client.execute_command("CLUSTER", "ADDSLOTSRANGE", 0, SLOTS - 1)
        own = Own(server, server.address, {"redisType": "cluster"})
        own.whole()
        yield own


@pytest.fixture(params=["alone", "under_sentinel", "in_cluster"])
def own(request: pytest.FixtureRequest) -> Own:
    """Empty, by each of the ways in which a component finds a server."""
    found: Own = request.getfixturevalue(request.param)
    with found.server.client() as client:
        client.flushall()
        client.script_flush()
    return found


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A server that the test may stop, kill and fill; it keeps on disk what it acknowledged."""
    with RedisServer(tmp_path, **DURABLE) as server:
        yield server
