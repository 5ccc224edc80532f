"""Our sidecar with a store of every kind, for the scenarios over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.stores import Servers


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory, servers_of_stores: Servers) -> Iterator[Sidecar]:
    """On the usual gRPC server alone: it is not asked."""
    folder = tmp_path_factory.mktemp("sidecar")
    with Sidecar(folder, servers_of_stores.every(folder, "ours", 1)) as server:
        yield server
