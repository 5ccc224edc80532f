"""A name may have several addresses: the server listens on all of them."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any

from dapr_state.serving.grpc import NativeServer

if TYPE_CHECKING:
    import pytest


async def test_every_address_of_a_name_is_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where localhost is ::1 and 127.0.0.1, clients of both are answered, on one port."""
    resolve = socket.getaddrinfo

    def both(_: str, port: int, **more: Any) -> list[Any]:
        return [*resolve("::1", port, **more), *resolve("127.0.0.1", port, **more)]

    server = NativeServer()
    with monkeypatch.context() as patched:
        patched.setattr(socket, "getaddrinfo", both)
        port = server.add_insecure_port("localhost:0")
    await server.start()
    reached = []
    for host in ("::1", "127.0.0.1"):
        with socket.create_connection((host, port), 5) as client:
            reached.append(client.getpeername()[0])
    await server.stop(0)

    assert reached == ["::1", "127.0.0.1"]
