"""What a sidecar tells whoever supervises it, by systemd's protocol: sd_notify."""

from __future__ import annotations

import os
import select
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dapr_state.runtime import registry
from tests.support.configured import MEMORY
from tests.support.http import Socket, ask, request
from tests.support.sidecar import GRPC_SERVERS, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator


class Told:
    """A socket as systemd has one, and the messages that come."""

    def __init__(self, folder: Path) -> None:
        self.path = str(folder / "n")
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(self.path)
        self._socket.settimeout(10)

    def next(self) -> dict[str, str]:
        lines = self._socket.recv(65536).decode().splitlines()
        return dict(line.split("=", 1) for line in lines)

    def has_more(self) -> bool:
        return bool(select.select([self._socket], [], [], 0)[0])

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def told(tmp_path: Path) -> Iterator[Told]:
    told = Told(tmp_path)
    yield told
    told.close()


@pytest.mark.parametrize("grpc_server", GRPC_SERVERS)
def test_ready_with_the_ports_that_it_has_found_then_stopping(told: Told, tmp_path: Path, grpc_server: str) -> None:
    """READY comes once both APIs answer, also where it chose the ports itself."""
    flags = ["--dapr-http-port", "0", "--dapr-grpc-port", "0"]
    sidecar = Sidecar(
        tmp_path, [MEMORY], flags=flags, environment={"NOTIFY_SOCKET": told.path}, grpc_server=grpc_server
    )
    sidecar.launch()
    ready = told.next()
    listed = [entry.pid for entry in registry.entries({"XDG_RUNTIME_DIR": str(tmp_path)})]
    with Socket(int(ready["X_DAPR_HTTP_PORT"])) as client:
        health = client.send(request("GET", "/v1.0/healthz/outbound")).answer()
    with socket.create_connection(("127.0.0.1", int(ready["X_DAPR_GRPC_PORT"]))):
        pass
    discovered = told.next()
    code = sidecar.stop()

    assert (ready["READY"], health.status) == ("1", "HTTP/1.1 204 No Content")
    assert listed == [sidecar.pid]
    assert discovered == {"STATUS": "application discovered"}
    assert (told.next(), code) == ({"STOPPING": "1"}, 0)


SLOW = """
import pathlib, sys, time

class Slow:
    def find_spec(self, name, path=None, target=None):
        while name == "dapr_state.runtime.grpc_api" and not pathlib.Path({go!r}).exists():
            time.sleep(0.01)

sys.meta_path.insert(0, Slow())
"""


def test_ready_means_that_no_api_waits_for_its_code(told: Told, tmp_path: Path) -> None:
    """HTTP answers first; whoever is told of READY and calls over gRPC with a short deadline is answered, too."""
    go = tmp_path / "go"
    (tmp_path / "sitecustomize.py").write_text(SLOW.format(go=str(go)))
    environment = {"NOTIFY_SOCKET": told.path, "PYTHONPATH": f"{tmp_path}:{Path.cwd()}"}
    sidecar = Sidecar(tmp_path, [MEMORY], environment=environment)
    try:
        sidecar.launch()
        until(lambda: "HTTP server is running" in sidecar.log())
        until(lambda: ask(sidecar.http_port, "GET", "/v1.0/healthz/outbound").code == 204)
        early = told.has_more()
        go.touch()

        assert told.next()["READY"] == "1"
        assert not early
    finally:
        go.touch()
        sidecar.close()


def test_what_keeps_it_from_starting(told: Told, tmp_path: Path) -> None:
    """The fatal line, on one line."""
    flags = ["--resources-path", str(tmp_path / "none")]
    sidecar = Sidecar(tmp_path, flags=flags, environment={"NOTIFY_SOCKET": told.path})
    sidecar.launch()
    message = told.next()

    assert message["ERRNO"] == "1"
    assert str(tmp_path / "none") in message["STATUS"]
    assert sidecar.wait() == 1


@pytest.mark.skipif(sys.platform != "linux", reason="an abstract socket: run it on Linux")
def test_a_socket_without_a_file(tmp_path: Path) -> None:
    """As systemd names one in a container."""
    name = f"dapr-state-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
        told.bind(f"\0{name}")
        told.settimeout(10)
        with Sidecar(tmp_path, [MEMORY], environment={"NOTIFY_SOCKET": f"@{name}"}):
            message = told.recv(65536)

    assert message.startswith(b"READY=1\n")


def test_nobody_listens(tmp_path: Path) -> None:
    """It serves all the same."""
    with Sidecar(tmp_path, [MEMORY], environment={"NOTIFY_SOCKET": str(tmp_path / "gone")}) as sidecar:
        assert sidecar.stop() == 0
