"""An open store of each kind that reminders are kept in."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from contextlib import AbstractAsyncContextManager
    from pathlib import Path

    from dapr_state.stores.base import StateStore

REDIS_DB = 8  # of these tests alone: it is emptied before each


@pytest.fixture(params=["state.in-memory", "state.sqlite", "state.redis", "state.postgresql/v2"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> AbstractAsyncContextManager[StateStore]:
    properties = {}
    if request.param == "state.sqlite":
        properties = {"connectionString": str(tmp_path / "actors.db")}
    if request.param == "state.redis":
        server = request.getfixturevalue("redis_server")
        with server.client(db=REDIS_DB) as control:
            control.flushdb()
        properties = {"redisHost": server.address, "redisDB": str(REDIS_DB)}
    actor_type, _, version = request.param.partition("/")
    if actor_type == "state.postgresql":
        postgres = request.getfixturevalue("postgres_server")
        postgres.empty("actors")
        properties = {"connectionString": postgres.url("actors")}
    return _opened(Component("actors", actor_type, version, Properties(properties)))


@asynccontextmanager
async def _opened(component: Component) -> AsyncIterator[StateStore]:
    store = registry.create(component)
    await store.open()
    try:
        yield store
    finally:
        await store.close()
