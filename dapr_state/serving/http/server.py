"""The HTTP server: what it is given, and how it stops."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from dapr_state.clock import WAITING
from dapr_state.serving import sockets
from dapr_state.serving.http.http1 import Http1Protocol
from dapr_state.serving.http.shared import Shared
from dapr_state.serving.request_memory import RequestMemory

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from dapr_state.serving.http.service import Service
    from dapr_state.serving.http.settings import Settings


class HttpServer:
    """A server for one service, over HTTP/1.1, or HTTP/2 where a client begins with it; from `start` to `stop`.

    `memory` is the process's account of large requests, a new one if none is given.
    """

    def __init__(self, service: Service, settings: Settings, *, memory: RequestMemory | None = None) -> None:
        self._shared = Shared(service, settings, memory or RequestMemory())
        self._sockets: list[socket.socket] = []
        self._servers: list[sockets.Listener] = []

    def __repr__(self) -> str:
        return f"<HttpServer {len(self._sockets)} addresses, {len(self._shared.connections)} connections>"

    def listen_on(self, bound: Iterable[socket.socket]) -> None:
        """Accept connections on these sockets, from the start on; they are closed at the stop."""
        self._sockets += bound

    async def start(self) -> None:
        self._servers = await sockets.accept(self._sockets, lambda: Http1Protocol(self._shared))

    async def stop(self, grace: float | None) -> None:
        """Refuse new connections, answer what is under way within `grace` seconds (None: however long it takes).

        What is still under way then is given up, and its callers are told so.
        """
        sockets.close(self._sockets, self._servers)
        shared = self._shared
        for connection in list(shared.connections):
            connection.finish()
        if await _settled(shared, grace):
            return
        for connection in list(shared.connections):
            connection.abort()
        await _settled(shared, 1.0)


async def _settled(shared: Shared, seconds: float | None) -> bool:
    shared.all_gone.clear()
    if not shared.connections:
        return True
    with suppress(TimeoutError):
        async with WAITING.timeout(seconds):
            await shared.all_gone.wait()
    return not shared.connections
