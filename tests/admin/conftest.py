"""Sidecars that may be looked into, and changed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.admin import TRANSPORTS, Admin
from tests.support.components import component
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis import RedisServer

WRITE = ("--console", "write")


@pytest.fixture(scope="session")
def writable(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Sidecar]:
    """Of three stores: one in memory, one in a file that actors use, and Redis, which has no order."""
    folder = tmp_path_factory.mktemp("admin")
    components = [
        component("memory", "state.in-memory"),
        component("sqlite", "state.sqlite", connectionString=str(folder / "state.db"), actorStateStore="true"),
        component("redis", "state.redis", redisHost=redis_server.address, redisDB="9"),
    ]
    with redis_server.client(db=9) as client:
        client.flushdb()
    with Sidecar(folder, components, flags=WRITE, app_id="app") as sidecar:
        yield sidecar


@pytest.fixture(params=TRANSPORTS)
def admin(request: pytest.FixtureRequest, writable: Sidecar) -> Admin:
    return Admin(writable, request.param)


@pytest.fixture(params=["memory", "sqlite", "redis"])
def store(request: pytest.FixtureRequest, writable: Sidecar) -> str:
    """Emptied."""
    name: str = request.param
    for space in ("APPLICATION", "ACTORS"):
        Admin(writable, "grpc").call("DeleteByPrefix", store_name=name, space=space, everything=True)
    return name


@pytest.fixture
def ordered(writable: Sidecar) -> str:
    """A store with an order, emptied."""
    Admin(writable, "grpc").call("DeleteByPrefix", store_name="memory", everything=True)
    return "memory"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What actors do over both transports need not be seen on a second store over both."""
    items[:] = [item for item in items if "test_actors.py" not in item.nodeid or "[redis-http]" not in item.nodeid]
