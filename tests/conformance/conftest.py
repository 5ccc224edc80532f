"""The servers that are compared: each with one store of every kind, and data of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import on_postgresql, one_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer


@pytest.fixture(scope="module")
def sidecar(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    grpc_server: str,
) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    stores = [*one_of_each(folder, redis_server, 1), *on_postgresql(postgres_server, "ours")]
    with Sidecar(folder, stores, grpc_server=grpc_server) as server:
        yield server


@pytest.fixture(scope="session")
def daprd(
    tmp_path_factory: pytest.TempPathFactory,
    redis_server: RedisServer,
    postgres_server: PostgresServer,
    daprd_binary: Path,
) -> Iterator[Daprd]:
    folder = tmp_path_factory.mktemp("daprd")
    stores = [*one_of_each(folder, redis_server, 2), *on_postgresql(postgres_server, "theirs")]
    with Daprd(daprd_binary, folder, stores) as server:
        yield server
