"""Sidecars in test mode with every store, and an application that does as it is told."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.pytest.ports import Ports
from dapr_state.pytest.process import Process, Settings
from dapr_state.pytest.sidecar import Dapr
from tests.support.components import component, write_components
from tests.support.pluggable import PluggableComponent
from tests.support.rawapp import RawApp

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.support.components import Component
    from tests.support.stores import Servers

COMMAND = (sys.executable, "-m", "dapr_state", "serve")
STORES = ("mem", "lite", "redis", "pg1", "pg2", "sentinel", "cluster", "plugged")


def sidecar(
    folder: Path,
    *components: Component,
    flags: tuple[str, ...] = (),
    app_id: str = "app",
    env: Mapping[str, str] | None = None,
) -> Dapr:
    """One that runs; `close` it."""
    ports = Ports(3)
    resources = write_components(folder / "components", components)
    process = Process(
        Settings(COMMAND, [resources], flags=flags, app_id=app_id, env=env or {}), ports.numbers, folder / "log"
    )
    ports.release()
    process.start()
    return Dapr(process.http_port, process.grpc_port, app_id, process)


@pytest.fixture(scope="module")
def every_store(tmp_path_factory: pytest.TempPathFactory, servers_of_stores: Servers) -> Iterator[Dapr]:
    """A sidecar with one store of each kind."""
    folder = tmp_path_factory.mktemp("every-store")
    stores = [*servers_of_stores.every(folder, "moved", 5), component("plugged", "state.plugged")]
    with PluggableComponent(folder) as plugged:
        dapr = sidecar(folder, *stores, env=plugged.environment)
        yield dapr
        dapr.close()


@pytest.fixture
def stores(every_store: Dapr) -> Iterator[Dapr]:
    """The same, empty, at the real time."""
    every_store.begin()
    yield every_store
    every_store.end()


@pytest.fixture(scope="module")
def actors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Dapr]:
    """One for actors."""
    folder = tmp_path_factory.mktemp("actors")
    dapr = sidecar(folder, component("statestore", "state.in-memory", actorStateStore="true"))
    yield dapr
    dapr.close()


@pytest.fixture(scope="module")
def hosting(tmp_path_factory: pytest.TempPathFactory, actors: Dapr) -> Iterator[RawApp]:
    """Its application, which hosts carts."""
    config = {"entities": ["Cart"], "actorIdleTimeout": "1h"}
    with RawApp(tmp_path_factory.mktemp("app"), config, port=actors.app_port) as app:
        actors.reload_app()
        yield app


@pytest.fixture
def dapr(actors: Dapr, hosting: RawApp) -> Iterator[Dapr]:
    """The sidecar for actors, empty, with an obedient application."""
    hosting.obey()
    actors.begin()
    hosting.forget()
    yield actors
    hosting.obey()
    hosting.release()
    actors.end()


@pytest.fixture
def app(dapr: Dapr, hosting: RawApp) -> RawApp:  # noqa: ARG001 - after it
    """The application of `dapr`."""
    return hosting
