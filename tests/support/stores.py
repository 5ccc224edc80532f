"""A store of every kind, as components: what most sidecars of the tests have."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from tests.support.components import component
from tests.support.redis_groups import MASTER

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Component
    from tests.support.postgresql import PostgresServer
    from tests.support.redis import RedisServer
    from tests.support.redis_groups import ClusterServers, Group

STORES = ("mem", "redis", "lite")
GROUPED = ("sentinel", "cluster")  # of Redis
EVERY = (*STORES, "pg1", "pg2", *GROUPED)

_XMIN = re.compile(r"(?<=etag=')[0-9]+|(?<=current=)[0-9]+|(?<='etag': ')[0-9]+")


def on_postgresql(server: PostgresServer, database: str) -> list[Component]:
    """Both versions, in tables of their own of this database, which is emptied."""
    server.wipe(database)
    first = {"tableName": "first", "metadataTableName": "first_metadata"}
    return [
        component("pg1", "state.postgresql", connectionString=server.url(database), **first),
        component("pg2", "state.postgresql/v2", connectionString=server.url(database), tablePrefix="second_"),
    ]


def in_groups(group: Group, servers: ClusterServers, database: int) -> list[Component]:
    """The master of a group, in this database, and a cluster, which has no other than one; both are emptied."""
    with group.master().client(db=database) as control:
        control.flushdb()
    servers.wipe()
    found = {"failover": "true", "sentinelMasterName": MASTER, "redisDB": str(database)}
    return [
        component("sentinel", "state.redis", redisHost=group.address, **found),
        component("cluster", "state.redis", redisHost=servers.address, redisType="cluster"),
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


class Servers(NamedTuple):
    """What the stores of every kind are on."""

    redis: RedisServer
    group: Group
    cluster: ClusterServers
    postgres: PostgresServer

    def every(self, folder: Path, name: str, database: int) -> list[Component]:
        """A store of each of EVERY: empty; `name` and `database` are of these components alone."""
        return [
            *one_of_each(folder, self.redis, database),
            *on_postgresql(self.postgres, name),
            *in_groups(self.group, self.cluster, database),
        ]


def beginning(store: str, name: str) -> str:
    """Of the keys of a scenario: in a cluster they carry a tag, as transactions need it."""
    return f"{{{name}}}" if store == "cluster" else name


def without_xmin(line: str, store: str) -> str:
    """The number of a transaction is a row's etag in `pg1`, and is of that server."""
    return _XMIN.sub("XMIN", line) if store == "pg1" else line
