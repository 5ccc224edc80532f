"""A store in a file of its own, and a second pair of eyes on that file."""

from __future__ import annotations

import sqlite3
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties
from dapr_state.stores.sqlite import SqliteStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


def store(**properties: str) -> SqliteStore:
    return SqliteStore.from_component(Component("store", "state.sqlite", "v1", Properties(properties)))


@dataclass(frozen=True)
class File:
    """A database file, which need not exist yet."""

    path: Path

    @asynccontextmanager
    async def opened(self, query: str = "", **properties: str) -> AsyncIterator[SqliteStore]:
        opened = store(connectionString=f"{self.path}{query}", **properties)
        await opened.open()
        try:
            yield opened
        finally:
            await opened.close()

    def sql(self, statement: str, parameters: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
        """Run a statement as a foreign program would."""
        with closing(self.connect()) as connection:
            return connection.execute(statement, parameters).fetchall()

    def connect(self) -> sqlite3.Connection:
        return sqlite3.connect(self.path, isolation_level=None, check_same_thread=False)


@pytest.fixture
def file(tmp_path: Path) -> File:
    return File(tmp_path / "state.db")
