"""Where a sidecar listens: ports that are busy, socket files, and what is left of them."""

from __future__ import annotations

import signal
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import grpc
import pytest
from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.runtime.listening import ListeningError, listen
from dapr_state.serving.sockets import close, port_of
from tests.support.components import component
from tests.support.http import ask
from tests.support.processes import free_port
from tests.support.sidecar import GRPC_SERVERS, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

MEMORY = component("mem", "state.in-memory")


class FakeServer:
    """Writes down the ports that it is given."""

    def __init__(self) -> None:
        self.ports: list[int] = []

    def listen_on(self, bound: Sequence[socket.socket]) -> None:
        self.ports.append(port_of(bound))
        close(bound)

    async def start(self) -> None: ...

    async def stop(self, grace: float | None) -> None: ...


@pytest.fixture
def busy() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def on_sockets(folder: Path, grpc_server: str = GRPC_SERVERS[0]) -> tuple[Sidecar, Path, Path]:
    """A sidecar on Unix domain sockets, and its two files."""
    sockets = folder / "s"
    sockets.mkdir(exist_ok=True)
    sidecar = Sidecar(folder, [MEMORY], flags=["--unix-domain-socket", str(sockets)], grpc_server=grpc_server)
    return sidecar, sockets / "dapr-app-http.socket", sockets / "dapr-app-grpc.socket"


def test_a_port_that_becomes_free_is_taken(tmp_path: Path) -> None:
    """A sidecar that meets its predecessor's port waits for it, and says so once."""
    sidecar = Sidecar(tmp_path, [MEMORY])
    with socket.create_server(("127.0.0.1", sidecar.http_port)):
        sidecar.launch()
        until(lambda: "Failed to listen for HTTP server" in sidecar.log())
    sidecar.wait_ready()
    health = ask(sidecar.http_port, "GET", "/v1.0/healthz").code
    sidecar.close()

    assert health == 204
    assert sidecar.log().count("Failed to listen") == 1


async def test_a_port_that_stays_busy_is_named(busy: str) -> None:
    """Where no address is free in time, the error tells the address and the flag for another one."""
    text = f"failed to start HTTP server: could not listen on any endpoint: {busy} .*--dapr-http-port"

    with pytest.raises(ListeningError, match=text):
        await listen(FakeServer(), "HTTP", [busy], patience=0)


async def test_one_free_address_is_enough(busy: str) -> None:
    """Of several listen addresses, those that work are served."""
    server, port = FakeServer(), free_port()

    await listen(server, "gRPC", [busy, f"127.0.0.1:{port}"], patience=0)

    assert server.ports == [port]


@pytest.mark.parametrize(
    ("flag", "words"), [("--metrics-port", "failed to listen on"), ("--dapr-public-port", "listen tcp")]
)
def test_a_busy_port_beside_the_api_ends_the_start(tmp_path: Path, flag: str, words: str) -> None:
    """For metrics and the public port nothing is waited for: status 1, and the address in the last line."""
    with socket.create_server(("0.0.0.0", 0)) as busy:
        port = busy.getsockname()[1]
        sidecar = Sidecar(tmp_path, [MEMORY], flags=[flag, str(port)]).launch()
        code = sidecar.wait()

    last = sidecar.log().splitlines()[-1]
    assert code == 1
    assert f"Fatal error from runtime: {words}" in last
    assert f":{port}: bind: address already in use" in last


def test_both_transports_are_served_on_sockets(tmp_path: Path, grpc_server: str) -> None:
    """Both APIs answer on daprd's file names, no port is open, and a stop removes the files."""
    sidecar, http, grpc_file = on_sockets(tmp_path, grpc_server)
    with sidecar:
        saved = ask(str(http), "POST", "/v1.0/state/mem", '[{"key":"k","value":1}]').code
        with grpc.insecure_channel(f"unix:{grpc_file}") as channel:
            get = channel.unary_unary(
                "/dapr.proto.runtime.v1.Dapr/GetState",
                request_serializer=state_pb2.GetStateRequest.SerializeToString,
                response_deserializer=state_pb2.GetStateResponse.FromString,
            )
            found = get(state_pb2.GetStateRequest(store_name="mem", key="k"), timeout=10)
        with socket.socket() as probe:
            refused = probe.connect_ex(("127.0.0.1", sidecar.http_port))
        code = sidecar.stop()

    assert (saved, found.data, code) == (204, b"1", 0)
    assert refused != 0
    assert not http.exists()
    assert not grpc_file.exists()
    assert f"HTTP server listening on UNIX socket: {http}" in sidecar.log()
    assert "API gRPC server is running on a Unix Domain Socket" in sidecar.log()


def test_socket_files_of_a_killed_sidecar_are_no_obstacle(tmp_path: Path, grpc_server: str) -> None:
    """What a killed sidecar left behind is taken over; daprd refuses to start."""
    sidecar, http, _ = on_sockets(tmp_path, grpc_server)
    sidecar.start()
    sidecar.signal(signal.SIGKILL)
    sidecar.wait()
    left = http.exists()
    with sidecar:
        health = ask(str(http), "GET", "/v1.0/healthz").code

    assert left
    assert health == 204


def test_socket_files_in_use_are_left_to_their_sidecar(tmp_path: Path, grpc_server: str) -> None:
    """A second sidecar on the same files ends at once with status 1, and the first one serves on."""
    first, http, _ = on_sockets(tmp_path, grpc_server)
    with first:
        second, _, grpc_file = on_sockets(tmp_path, grpc_server)
        code = second.launch().wait()
        health = ask(str(http), "GET", "/v1.0/healthz").code

    assert (code, health) == (1, 204)
    assert (
        f"Fatal error from runtime: failed to start API gRPC server: listen unix {grpc_file}: bind:"
        " address already in use" in second.log()
    )


def addresses_of(port: int) -> set[str]:
    """The local addresses at which somebody listens on this port, as the kernel tells them."""
    found = set()
    for table in ("tcp", "tcp6"):
        for row in Path(f"/proc/net/{table}").read_text(encoding="ascii").splitlines()[1:]:
            _, local, _, state, *_ = row.split()
            host, _, number = local.partition(":")
            if state == "0A" and int(number, 16) == port:
                found.add(host)
    return found


@pytest.mark.parametrize(
    ("flags", "address"), [((), "127.0.0.1"), (("--metrics-listen-address", "0.0.0.0"), "0.0.0.0")]
)
def test_metrics_are_for_this_machine_unless_told_otherwise(
    tmp_path: Path, flags: tuple[str, ...], address: str
) -> None:
    """Daprd's are on every interface; here a flag puts them there, and without one all ports are on loopback."""
    port = free_port()
    with Sidecar(tmp_path, [MEMORY], flags=["--metrics-port", str(port), *flags]) as sidecar:
        found = addresses_of(port)
        others = addresses_of(sidecar.grpc_port) | addresses_of(sidecar.http_port)

    assert found == {socket.inet_aton(address)[::-1].hex().upper()}
    assert others == {"0100007F"}
