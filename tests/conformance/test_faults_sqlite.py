"""What SQLite keeps when the sidecar is killed, and what is said when the file cannot be written."""

from __future__ import annotations

import random
import resource
import sqlite3
from typing import TYPE_CHECKING

from tests.conformance.load import Load
from tests.support.client import item
from tests.support.components import component
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from pathlib import Path

KILLS = 20


def _store(path: Path, query: str = "", **metadata: str) -> list[dict[str, object]]:
    return [component("lite", "state.sqlite", connectionString=f"{path}{query}", **metadata)]


def test_no_acknowledged_write_is_lost_by_kill_9(tmp_path: Path) -> None:
    """After each of twenty kills under load every acknowledged write is there, and no transaction by half."""
    moments = random.Random(3)
    loads: list[Load] = []
    server = Sidecar(tmp_path, _store(tmp_path / "state.db"))
    try:
        for number in range(KILLS):
            server.start()
            with server.client() as client:
                for load in loads[-1:]:
                    load.check(client)
            with Load(server.grpc_port, "lite", f"round-{number}") as load:
                load.wait_for(moments.randint(20, 300))
                server.kill()
            loads.append(load)
        server.start()
        with server.client() as client:
            for load in loads:
                load.check(client)
        stopped = server.stop()
    finally:
        server.close()

    assert len(loads) == KILLS
    assert stopped == 0
    with sqlite3.connect(tmp_path / "state.db") as database:
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]


def test_a_full_disk_refuses_and_recovers(tmp_path: Path) -> None:
    """Writes fail with the reason while there is no room, reads go on, and so do writes when there is room again."""
    # a limit of the file size looks to SQLite like a disk that takes no more, and needs no rights
    value = b"x" * 2**16
    with Sidecar(tmp_path, _store(tmp_path / "state.db")) as server, server.client() as client:
        first = client.save("lite", item("first", value))
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (2**20, resource.RLIM_INFINITY))
        replies = [client.save("lite", item(f"k{number}", value)) for number in range(64)]
        torn = client.transact("lite", ("upsert", item("t1", value)), ("upsert", item("t2", value * 32)))
        meanwhile = client.get("lite", "first")
        resource.prlimit(server.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        after = client.save("lite", item("after", value))
        found = client.bulk_get("lite", *(f"k{number}" for number in range(64)))
        half = client.bulk_get("lite", "t1", "t2")

    refused = [reply for reply in replies if not reply.ok]
    assert first.ok
    assert len(refused) > 40
    assert {reply.code for reply in refused} == {"INTERNAL"}
    assert all("disk" in reply.message for reply in refused), refused[0]
    assert torn.code == "INTERNAL"
    assert meanwhile.response["data"] == value
    assert after.ok
    written = {entry["key"] for entry in found.response["items"] if "data" in entry}
    assert written == {f"k{number}" for number, reply in enumerate(replies) if reply.ok}
    assert not any("data" in entry for entry in half.response["items"])


def test_a_read_only_database_refuses_and_reads(tmp_path: Path) -> None:
    """A file that may only be read is served; every way of writing to it fails with that reason."""
    path = tmp_path / "state.db"
    with Sidecar(tmp_path, _store(path, disableWAL="true")) as server, server.client() as client:
        client.save("lite", item("k", b"v"))
    with Sidecar(tmp_path, _store(path, "?mode=ro")) as server, server.client() as client:
        refused = [
            client.save("lite", item("k", b"w")),
            client.save("lite", item("a", b"1"), item("b", b"2")),
            client.delete("lite", "k"),
            client.transact("lite", ("upsert", item("a", b"1")), ("delete", item("k"))),
        ]
        found = client.get("lite", "k")

    assert {reply.code for reply in refused} == {"INTERNAL"}
    assert all("readonly" in reply.message for reply in refused), refused
    assert found.response["data"] == b"v"


def test_a_locked_database_refuses_and_recovers(tmp_path: Path) -> None:
    """While another process holds the write lock, writes fail when busyTimeout is over; then they work again."""
    path = tmp_path / "state.db"
    with Sidecar(tmp_path, _store(path, busyTimeout="200ms")) as server, server.client() as client:
        client.save("lite", item("k", b"v"))
        with sqlite3.connect(path, isolation_level=None) as holder:
            holder.execute("BEGIN IMMEDIATE")
            refused = client.save("lite", item("k", b"w"))
            meanwhile = client.get("lite", "k")
            holder.execute("ROLLBACK")
        after = client.save("lite", item("k", b"x"))
        found = client.get("lite", "k")

    assert refused.code == "INTERNAL"
    assert "locked" in refused.message
    assert meanwhile.response["data"] == b"v"
    assert after.ok
    assert found.response["data"] == b"x"
