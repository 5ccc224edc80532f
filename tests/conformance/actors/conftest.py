"""The two sides that host the same application: our sidecar, and daprd with placement and scheduler."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.actors.side import ControlPlane
from tests.support import cache, oracle
from tests.support.control_plane import Placement, Scheduler
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(scope="session")
def control_plane(tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[ControlPlane]:
    """One placement and one scheduler for all: each application has actor types of its own."""
    folder = tmp_path_factory.mktemp("control-plane")
    with (
        Placement(oracle.program("placement"), folder) as placement,
        Scheduler(oracle.program("scheduler"), folder) as scheduler,
    ):
        yield ControlPlane(daprd_binary, placement.address, scheduler.address)


@pytest.fixture(params=["sqlite", "redis"])
def redis(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RedisServer | None]:
    """Where the state of actors is kept, reminders included; None: in a file of SQLite."""
    if request.param == "sqlite":
        yield None
        return
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture(scope="session")
def hosting_python() -> Path:
    """The interpreter that has the official SDK and what hosts actors over HTTP."""
    return cache.hosting_python()


@pytest.fixture(scope="module", params=["ours", pytest.param("daprd", marks=pytest.mark.oracle)])
def plane(request: pytest.FixtureRequest) -> ControlPlane | None:
    """None for our side, which needs none."""
    found: ControlPlane | None = None if request.param == "ours" else request.getfixturevalue("control_plane")
    return found
