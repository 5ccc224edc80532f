"""Fixtures that all folders share, and how an `async def` test is run."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

from dapr_state.testing.running import pytest_pyfunc_call  # noqa: F401 - a hook
from tests.support import cache, oracle
from tests.support.postgresql import PostgresServer
from tests.support.recorded import Record, Recorded, of_module
from tests.support.redis import RedisServer
from tests.support.redis_groups import ClusterServers, Group
from tests.support.sidecar import GRPC_SERVERS
from tests.support.stores import Servers

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# no example is late because the machine is busy; else as hypothesis has it, here or in CI
settings.register_profile("patient", settings(), deadline=None)
settings.load_profile("patient")


def pytest_configure() -> None:
    """A shell that runs us in the background has us ignore SIGINT, and whatever we start would with us."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--record", action="store_true", help="write anew what daprd answers to the files that are run")


@pytest.fixture(scope="module", params=GRPC_SERVERS)
def grpc_server(request: pytest.FixtureRequest) -> str:
    """What serves the gRPC API: a test that is about that API asks for it, and runs on each."""
    kind: str = request.param
    return kind


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """One server for all tests that keep to their own keys or database and do it no harm."""
    with RedisServer(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_group(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Group]:
    """A master, two replicas, three sentinels: who kills one of them brings it back."""
    with Group(tmp_path_factory.mktemp("redis-group")) as group:
        yield group


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """One server for all tests that keep to their own database and do it no harm."""
    with PostgresServer() as server:
        yield server


@pytest.fixture(scope="session")
def redis_cluster_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterServers]:
    """Three primaries, each with a replica: who kills one of them brings it back."""
    with ClusterServers(tmp_path_factory.mktemp("redis-cluster")) as servers:
        yield servers


@pytest.fixture(scope="session")
def servers_of_stores(
    redis_server: RedisServer,
    redis_group: Group,
    redis_cluster_servers: ClusterServers,
    postgres_server: PostgresServer,
) -> Servers:
    """For a sidecar with a store of every kind."""
    return Servers(redis_server, redis_group, redis_cluster_servers, postgres_server)


@pytest.fixture(scope="session")
def daprd_binary() -> Path:
    """The real daprd; a test that asks for it is marked `oracle`."""
    return oracle.program("daprd")


@pytest.fixture(scope="module")
def record(request: pytest.FixtureRequest) -> Iterator[Record]:
    """What daprd answers to the questions of this file."""
    record = of_module(request)
    yield record
    record.write()


@pytest.fixture
def recorded(record: Record, request: pytest.FixtureRequest) -> Recorded:
    """The same, for a test to ask."""
    return Recorded(record, request)


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The interpreter that has the official SDK."""
    return cache.sdk_python()
