"""Our sidecar and daprd, each with a store of every kind, for all tests of this folder."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import one_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.redis import RedisServer


@pytest.fixture(scope="session")
def sidecar(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("http-sidecar")
    with Sidecar(folder, one_of_each(folder, redis_server, 3)) as server:
        yield server


@pytest.fixture(scope="session")
def daprd(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, daprd_binary: Path) -> Iterator[Daprd]:
    folder = tmp_path_factory.mktemp("http-daprd")
    with Daprd(daprd_binary, folder, one_of_each(folder, redis_server, 4)) as server:
        yield server
