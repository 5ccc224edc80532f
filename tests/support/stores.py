"""A store of every kind, as components: what most sidecars of the tests have."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.support.components import component

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Component
    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer

STORES = ("mem", "redis", "lite")


def on_postgresql(server: PostgresServer, database: str) -> list[Component]:
    """Both versions, in tables of their own of this database, which is emptied."""
    server.wipe(database)
    first = {"tableName": "first", "metadataTableName": "first_metadata"}
    return [
        component("pg1", "state.postgresql", connectionString=server.url(database), **first),
        component("pg2", "state.postgresql/v2", connectionString=server.url(database), tablePrefix="second_"),
    ]


def one_of_each(folder: Path, redis_server: RedisServer, database: int) -> list[Component]:
    """A store of every kind, in this folder and this database of the server, which is emptied."""
    with redis_server.client(db=database) as control:
        control.flushdb()
    return [
        component("mem", "state.in-memory"),
        component("redis", "state.redis", redisHost=redis_server.address, redisDB=str(database)),
        component("lite", "state.sqlite", connectionString=str(folder / "state.db")),
    ]
