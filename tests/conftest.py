"""Fixtures that all folders share, and how an `async def` test is run."""

from __future__ import annotations

import asyncio
import inspect
from typing import TYPE_CHECKING

import pytest
import uvloop

from tests.support import cache
from tests.support.redis import RedisServer
from tests.support.sidecar import GRPC_SERVERS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run an `async def` test on a loop of its own, the loop that the sidecar runs on."""
    if not inspect.iscoroutinefunction(pyfuncitem.obj):
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in inspect.signature(pyfuncitem.obj).parameters}
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(pyfuncitem.obj(**arguments))
    return True


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
def daprd_binary() -> Path:
    """The real daprd; a test that asks for it is marked `oracle`."""
    return cache.oracle() / "daprd"


@pytest.fixture(scope="session")
def sdk_python() -> Path:
    """The interpreter that has the official SDK."""
    return cache.sdk_python()
