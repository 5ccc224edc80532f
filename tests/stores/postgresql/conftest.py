"""Stores in a database of their own, and a second pair of eyes on it."""

from __future__ import annotations

from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores import registry
from dapr_state.stores.postgresql import PostgresV1, PostgresV2
from tests.support.postgresql import PostgresServer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

Store = PostgresV1 | PostgresV2


@dataclass(frozen=True)
class Database:
    server: PostgresServer
    version: str  # of the component
    name: str = "apart"

    def store(self, **properties: str) -> Store:
        properties = {"connectionString": self.server.url(self.name), **properties}
        made = registry.create(Component("store", "state.postgresql", self.version, Properties(properties)))
        assert isinstance(made, Store)
        return made

    @asynccontextmanager
    async def opened(self, **properties: str) -> AsyncIterator[Store]:
        opened = self.store(**properties)
        await opened.open()
        try:
            yield opened
        finally:
            await opened.close()

    def sql(self, statement: str, *arguments: object) -> list[tuple[Any, ...]]:
        """Run a statement as a foreign program would."""
        return self.server.sql(statement, *arguments, database=self.name)


@pytest.fixture(params=["v1", "v2"])
def database(request: pytest.FixtureRequest, postgres_server: PostgresServer) -> Database:
    postgres_server.wipe("apart")
    return Database(postgres_server, request.param)


@pytest.fixture(scope="module")
def own_server() -> Iterator[PostgresServer]:
    """A server that a test may stop, and brings back: it writes to disk before it answers."""
    with PostgresServer(fsync="on") as server:
        yield server


@pytest.fixture(params=["v1", "v2"])
def own_database(request: pytest.FixtureRequest, own_server: PostgresServer) -> Database:
    own_server.wipe("apart")
    return Database(own_server, request.param)
