"""The tables, made as daprd makes them, so that each opens what the other made (state-stores.md 2.6)."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Final

from dapr_state.stores.sql import migrations
from dapr_state.stores.sqlite import failures

if TYPE_CHECKING:
    from collections.abc import Iterator

# The order of the columns matters: daprd inserts by position. A rowid table: daprd lists keys by rowid.
_STATE: Final = """CREATE TABLE {table} (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL,
    is_binary BOOLEAN NOT NULL,
    etag TEXT NOT NULL,
    expiration_time TIMESTAMP DEFAULT NULL,
    update_time TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP
)"""
_METADATA: Final = "CREATE TABLE {metadata} (key text NOT NULL PRIMARY KEY, value text NOT NULL)"
_GET_LEVEL: Final = "SELECT value FROM {metadata} WHERE key = 'migrations'"
_SET_LEVEL: Final = "REPLACE INTO {metadata} (key, value) VALUES ('migrations', ?)"
_MIGRATIONS: Final = (("create state table", _STATE),)  # the level is how many of them are done

saying = partial(migrations.saying, errors=sqlite3.Error, describe=failures.describe)


def migrate(connection: sqlite3.Connection, table: str, metadata: str) -> None:
    """Bring the tables up to date. The level's row does not name the table: so has daprd decided."""
    with saying("perform migrations"), _transaction(connection):
        with saying("ensure metadata table exists"):
            _create_metadata(connection, metadata)
        level = _level(connection, metadata)
        for number, (aim, statement) in enumerate(_MIGRATIONS[level:], level):
            with saying(f"perform migration {number}"), saying(aim):
                connection.execute(statement.format(table=table))
            connection.execute(_SET_LEVEL.format(metadata=metadata), (str(number + 1),))


@contextmanager
def _transaction(connection: sqlite3.Connection) -> Iterator[None]:
    with saying("begin transaction"):
        connection.execute("BEGIN EXCLUSIVE")
    try:
        yield
        with saying("commit transaction"):
            connection.execute("COMMIT")
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")


def _create_metadata(connection: sqlite3.Connection, metadata: str) -> None:
    found = connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = ?", (metadata,))
    if found.fetchone() is None:
        with saying("create metadata table"):
            connection.execute(_METADATA.format(metadata=metadata))


def _level(connection: sqlite3.Connection, metadata: str) -> int:
    row = connection.execute(_GET_LEVEL.format(metadata=metadata)).fetchone()
    return migrations.level(row and str(row[0]))
