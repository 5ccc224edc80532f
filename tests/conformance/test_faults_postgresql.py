"""What happens when PostgreSQL dies under load, or hands over to its replica."""

from __future__ import annotations

import logging
import os
import random
import time
from typing import TYPE_CHECKING

import pytest

from tests.conformance.load import Load
from tests.support.client import item
from tests.support.components import component
from tests.support.postgresql import PostgresServer
from tests.support.sidecar import Sidecar
from tests.support.stores import on_postgresql
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STORES = ("pg1", "pg2")
KILLS = int(os.environ.get("FAILOVER_ROUNDS", "4"))  # more by hand: scripts/soak-failover
BACK_WITHIN = 10  # seconds

log = logging.getLogger(__name__)


@pytest.fixture
def server() -> Iterator[PostgresServer]:
    """A server that the test may kill: it writes to disk before it answers."""
    with PostgresServer(fsync="on") as server:
        yield server


def test_no_acknowledged_write_is_lost_when_the_server_is_killed(tmp_path: Path, server: PostgresServer) -> None:
    """After each kill every acknowledged write is there, once, and no transaction by half; and writes go on."""
    moments = random.Random(3)
    loads: list[Load] = []
    with Sidecar(tmp_path, on_postgresql(server, "killed")) as sidecar, sidecar.client() as client:
        for number in range(KILLS):
            store = STORES[number % 2]
            with Load(sidecar.grpc_port, store, f"round-{number}") as load:
                load.wait_for(moments.randint(20, 200))
                server.kill()
            loads.append(load)
            server.start()
            started = time.monotonic()
            for name in STORES:
                until(lambda name=name: client.save(name, item("k", b"v")).ok, BACK_WITHIN, what=f"{name} writes again")
            log.info("%.1f s from its start until all was written again", time.monotonic() - started)
            load.check(client)
        log.info("%d writes acknowledged, none lost", sum(load.acknowledged for load in loads))
        for load in loads:
            load.check(client)


def test_writes_go_on_at_the_replica_that_took_over(tmp_path: Path, server: PostgresServer) -> None:
    """The connection string names both; what was acknowledged was on both, and none of it is lost."""
    server.sql("CREATE DATABASE shared")
    with server.replica() as replica:
        server.sql("ALTER SYSTEM SET synchronous_standby_names = '*'")
        server.sql("SELECT pg_reload_conf()")
        until(lambda: server.sql("SELECT sync_state FROM pg_stat_replication") == [("sync",)], what="in step")
        hosts = f"host=127.0.0.1,127.0.0.1 port={server.port},{replica.port} target_session_attrs=read-write"
        store = component("pg2", "state.postgresql/v2", connectionString=f"{hosts} user=postgres database=shared")
        with Sidecar(tmp_path, [store]) as sidecar, sidecar.client() as client:
            with Load(sidecar.grpc_port, "pg2", "before") as load:
                load.wait_for(200)
                server.kill()
            replica.sql("ALTER SYSTEM SET synchronous_standby_names = ''")
            replica.sql("SELECT pg_promote()")
            until(lambda: client.save("pg2", item("k", b"v")).ok, BACK_WITHIN, what="writes go on")
            load.check(client)
