"""The servers that are compared: each with one store of every kind, and data of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.stores import Servers


@pytest.fixture(scope="module")
def sidecar(
    tmp_path_factory: pytest.TempPathFactory, servers_of_stores: Servers, grpc_server: str
) -> Iterator[Sidecar]:
    folder = tmp_path_factory.mktemp("sidecar")
    with Sidecar(folder, servers_of_stores.every(folder, "ours", 1), grpc_server=grpc_server) as server:
        yield server


@pytest.fixture(scope="session")
def daprd(tmp_path_factory: pytest.TempPathFactory, servers_of_stores: Servers, daprd_binary: Path) -> Iterator[Daprd]:
    folder = tmp_path_factory.mktemp("daprd")
    with Daprd(daprd_binary, folder, servers_of_stores.every(folder, "theirs", 2)) as server:
        yield server
