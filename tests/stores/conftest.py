"""A fixture for each declared store, and `kind`, which is the one that a test runs over."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.clock import ManualClock
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import Key
from dapr_state.stores.memory import MemoryStore
from tests.stores.declared import Kind, Place

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state.stores.base import StateStore
    from tests.support.redis import RedisServer

REDIS_DB = 7  # the contract's own: it is emptied before each test


def create(kind: str, **properties: str) -> StateStore:
    return registry.create(Component("store", kind, "v1", Properties(properties)))


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> Kind:
    kind = Kind(request.param, request.getfixturevalue(request.param.name))
    kind.place.wipe()
    return kind


@pytest.fixture
def memory() -> Place:
    clock = ManualClock()
    return Place(lambda: MemoryStore(clock), lambda: None, clock.advance)


@pytest.fixture
def encrypted() -> Place:
    """What a wrapper forwards keeps the contract too."""
    clock = ManualClock()
    keys = [Key("k1", bytes(32))]
    return Place(lambda: EncryptedStore(MemoryStore(clock), "store", keys), lambda: None, clock.advance)


@pytest.fixture
def sqlite_file(tmp_path: Path) -> Place:
    return _sqlite(tmp_path / "state.db")


@pytest.fixture
def sqlite_no_wal(tmp_path: Path) -> Place:
    """Readers and writers wait for each other."""
    return _sqlite(tmp_path / "state.db", disableWAL="true")


def _sqlite(file: Path, **properties: str) -> Place:
    def wipe() -> None:
        for path in file.parent.glob(file.name + "*"):
            path.unlink()

    return Place(lambda: create("state.sqlite", connectionString=str(file), **properties), wipe)


@pytest.fixture
def sqlite_memory() -> Place:
    return Place(lambda: create("state.sqlite", connectionString=":memory:"), lambda: None)


@pytest.fixture
def redis(redis_server: RedisServer) -> Place:
    def wipe() -> None:
        with redis_server.client(db=REDIS_DB) as client:
            client.flushdb()

    return Place(lambda: create("state.redis", redisHost=redis_server.address, redisDB=str(REDIS_DB)), wipe)
