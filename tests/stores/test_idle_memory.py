"""What a store costs a sidecar that does nothing: each kind less than five megabytes, PostgreSQL less than six."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.fairness.measured import resident
from tests.support.components import component
from tests.support.pluggable import PluggableComponent
from tests.support.redis_groups import MASTER
from tests.support.sidecar import Sidecar
from tests.support.stores import on_postgresql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.components import Component

AT_MOST = {"postgresql": 6.0}  # megabytes; asyncpg alone is 3.3 of them
OTHERS_AT_MOST = 5.0
MEMORY = component("memory", "state.in-memory")
KINDS = ("sqlite", "redis", "sentinel", "cluster", "postgresql", "pluggable")


def _component(kind: str, request: pytest.FixtureRequest, folder: Path) -> Component:
    match kind:
        case "sqlite":
            return component("store", "state.sqlite", connectionString=str(folder / "state.db"))
        case "redis":
            return component("store", "state.redis", redisHost=request.getfixturevalue("redis_server").address)
        case "sentinel":
            address = request.getfixturevalue("redis_group").address
            return component("store", "state.redis", redisHost=address, failover="true", sentinelMasterName=MASTER)
        case "cluster":
            address = request.getfixturevalue("redis_cluster_servers").address
            return component("store", "state.redis", redisHost=address, redisType="cluster")
        case "postgresql":
            return on_postgresql(request.getfixturevalue("postgres_server"), "idle")[1]
    return component("store", "state.plugged")


def _resident(folder: Path, components: list[Component], environment: Mapping[str, str]) -> float:
    """Megabytes of a sidecar that is ready; of several starts the least."""
    seen = []
    for _ in range(2):
        with Sidecar(folder, components, environment=environment) as sidecar, sidecar.client() as client:
            assert client.get("memory", "k").ok  # the code of its APIs is there
            seen.append(resident(sidecar))
    return min(seen)


@pytest.fixture(scope="module")
def plugged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluggableComponent]:
    with PluggableComponent(tmp_path_factory.mktemp("plugged")) as process:
        yield process


@pytest.fixture(scope="module")
def without(plugged: PluggableComponent) -> float:
    return _resident(plugged.folder, [MEMORY], plugged.environment)


@pytest.mark.parametrize("kind", KINDS)
def test_an_idle_store_takes_a_few_megabytes(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, plugged: PluggableComponent, without: float
) -> None:
    """Beside a sidecar that keeps its state in memory; its driver and its connections included."""
    store = _component(kind, request, tmp_path)
    added = _resident(tmp_path, [MEMORY, store], plugged.environment) - without
    print(f"an idle {kind} store: {added:.2f} MB")  # noqa: T201 - `pytest -s` gives the figures

    assert added < AT_MOST.get(kind, OTHERS_AT_MOST)
