"""Our sidecar and daprd, each with a store of every kind, for the scenarios over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import one_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with Sidecar(folder, one_of_each(folder, redis_server, 1)) as server:
        yield server


@pytest.fixture(scope="module")
def daprd(tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, daprd_binary: Path) -> Iterator[Daprd]:
    folder = tmp_path_factory.mktemp("daprd")
    with Daprd(daprd_binary, folder, one_of_each(folder, redis_server, 2)) as server:
        yield server
