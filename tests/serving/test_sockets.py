"""Sockets are bound once and handed to a server: every address of a name, one port, and files that are cleared away."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.serving.grpc.server import NativeServer
from dapr_state.serving.http.response import Response
from dapr_state.serving.http.server import HttpServer
from dapr_state.serving.http.service import Service
from dapr_state.serving.http.settings import Settings
from dapr_state.serving.sockets import bind, bind_patiently, close, port_of
from tests.serving.http.serving import blocking
from tests.support.http import Socket, request

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


async def reached(server: Any, bound: list[socket.socket]) -> list[str]:
    """The loopback addresses at which a server on these sockets is found."""
    server.listen_on(bound)
    await server.start()
    found = []
    for host in ("::1", "127.0.0.1"):
        with socket.create_connection((host, port_of(bound)), 5) as client:
            found.append(client.getpeername()[0])
    await server.stop(0)
    return found


def http() -> HttpServer:
    """Answers everything with 204."""

    async def answer(_: object) -> Response:
        return Response(204)

    return HttpServer(Service(answer, lambda *_: Response(500)), Settings.read())


@pytest.fixture(params=[http, NativeServer], ids=["HTTP", "gRPC"])
def server(request: pytest.FixtureRequest) -> Any:
    return request.param


@pytest.fixture
def busy() -> Iterator[str]:
    """An address that somebody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"127.0.0.1:{listening.getsockname()[1]}"


async def test_every_address_of_a_name_is_bound(server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where localhost is ::1 and 127.0.0.1, clients of both are answered, on one port."""
    resolve = socket.getaddrinfo

    def both(_: str, port: int, **more: Any) -> list[Any]:
        return [*resolve("::1", port, **more), *resolve("127.0.0.1", port, **more)]

    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", both)
        bound = bind("localhost:0")

    assert await reached(server(), bound) == ["::1", "127.0.0.1"]


@pytest.mark.parametrize("address", [":0", "[::]:0"])
async def test_all_interfaces_are_one_port(server: Any, address: str) -> None:
    """The empty host, and :: alone, listen on IPv4 and IPv6 alike."""
    bound = bind(address)

    assert await reached(server(), bound) == ["::1", "127.0.0.1"]


def test_a_busy_port_is_an_error(busy: str) -> None:
    """Two servers do not share a port, also where the first has not started."""
    first = bind("127.0.0.1:0")

    with pytest.raises(OSError, match="in use"):
        bind(busy)
    with pytest.raises(OSError, match="in use"):
        bind(f"127.0.0.1:{port_of(first)}")
    close(first)


def test_a_name_without_an_address_here_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing stays bound."""
    there = socket.getaddrinfo("192.0.2.1", 0, type=socket.SOCK_STREAM)
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [*there, *there[:0]])

    with pytest.raises(OSError, match="assign"):
        bind("elsewhere:0")


async def test_patience_ends(busy: str) -> None:
    """A port that stays busy is told of once, and given up."""
    told: list[OSError] = []

    assert await bind_patiently(busy, 0.15, told.append) == []
    assert [error.strerror for error in told] == ["Address already in use"]


async def test_a_socket_file_is_served_and_removed(tmp_path: Path) -> None:
    """A Unix socket answers as a port does, is refused where somebody listens on it, and is gone after the end."""
    path = tmp_path / "dapr.socket"
    serving = http()
    serving.listen_on(bind(f"unix:{path}"))
    await serving.start()
    with pytest.raises(OSError, match="in use"):
        bind(f"unix:{path}")

    with Socket(str(path)) as client:
        client.send(request("GET", "/"))
        answer = await blocking(client.answer)
    await serving.stop(1)

    assert (answer.code, path.exists()) == (204, False)


def test_a_socket_file_that_is_left_over_is_taken(tmp_path: Path) -> None:
    """Nobody listens on it any more."""
    path = tmp_path / "dapr.socket"
    (left,) = bind(f"unix:{path}")
    left.close()
    there = path.exists()
    bound = bind(f"unix:{path}")
    close(bound)

    assert there
    assert not path.exists()
