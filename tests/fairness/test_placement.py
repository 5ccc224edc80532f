"""A cluster of a thousand sidecars: what placement tells of them takes its time, and nobody else's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.fairness.test_worst_requests import BOUND
from tests.support.control_plane import OwnPlacement
from tests.support.http import ask
from tests.support.waiting import until
from tests.support.watched import Watched

if TYPE_CHECKING:
    from pathlib import Path

HOSTS = 1000


def test_a_table_of_many_hosts_holds_nobody_up(tmp_path: Path) -> None:
    """Read for the first time, and again when the service has been away."""

    def is_connected() -> bool:
        return bool(ask(sidecar.http_port, "GET", "/v1.0/metadata").json["actorRuntime"].get("hostReady"))

    with OwnPlacement(tmp_path, hosts=HOSTS) as placement:
        placement.close()
        with Watched(tmp_path, flags=("--placement-host-address", placement.address)) as sidecar:
            with sidecar.watch() as first:
                placement.start()
                until(is_connected, what="the table is read")
            with sidecar.watch() as again:
                placement.close()
                until(lambda: not is_connected(), what="it is away")
                placement.start()
                until(is_connected, what="it is back")

    assert max(first.worst, again.worst) < BOUND, f"{first}\n{again}"
