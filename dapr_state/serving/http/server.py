"""The HTTP port: where it listens, what its connections share, and how it stops."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dapr_state.serving.http import http2 as over_http2
from dapr_state.serving.http.http1 import Connection
from dapr_state.serving.http.limits import BACKLOG, DEFAULT_HEAD, HEAD_SLACK, Timeouts
from dapr_state.serving.http.shared import Shared
from dapr_state.serving.request_memory import RequestMemory

if TYPE_CHECKING:
    from dapr_state.serving.http.service import Service

SCOPE_UNIX = "unix:"

_NO_SUCH_FAMILY = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # a machine without IPv6


class HttpServer:
    """A server for one service, over HTTP/1.1, or HTTP/2 where a client begins with it; from `start` to `stop`.

    `max_body` 0 and below mean no limit; `read_buffer` is daprd's limit of a request's head, to which 4 KiB are added;
    `memory` is the process's account of large requests, a new one if none is given.
    """

    def __init__(
        self,
        service: Service,
        *,
        max_body: int,
        read_buffer: int,
        http2: bool = True,
        timeouts: Timeouts | None = None,
        memory: RequestMemory | None = None,
    ) -> None:
        max_head = (read_buffer if read_buffer > 0 else DEFAULT_HEAD) + HEAD_SLACK
        times = timeouts or Timeouts()
        self._shared = Shared(
            service,
            max_head,
            max_body,
            http2=over_http2.bounds(max_head, times.head) if http2 else None,
            timeouts=times,
            memory=memory or RequestMemory(),
        )
        self._sockets: list[socket.socket] = []
        self._paths: list[Path] = []
        self._servers: list[asyncio.Server] = []

    def __repr__(self) -> str:
        return f"<HttpServer {len(self._sockets)} addresses, {len(self._shared.connections)} connections>"

    def listen(self, address: str) -> int:
        """Bind `host:port` or `unix:path`; returns the port. Raises OSError if that is not possible."""
        if address.startswith(SCOPE_UNIX):
            self.listen_unix(Path(address.removeprefix(SCOPE_UNIX)))
            return 0
        host, _, port = address.rpartition(":")
        return self.listen_tcp(host.strip("[]"), int(port))

    def listen_tcp(self, host: str, port: int) -> int:
        """Bind every address of `host`; the empty host is all of the machine's."""
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        bound: list[socket.socket] = []
        for family, *_, where in dict.fromkeys(found):
            try:
                # port 0: the second family gets the port that the first one was given
                bound.append(_listening(family, (where[0], port, *where[2:])))
            except OSError as error:
                if error.errno in _NO_SUCH_FAMILY and (bound or len(found) > 1):
                    continue
                for each in bound:
                    each.close()
                raise
            port = bound[0].getsockname()[1]
        self._sockets += bound
        return port

    def listen_unix(self, path: Path) -> None:
        """Bind a socket file. One that is left over from another run makes this fail, as for daprd."""
        unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            unix.bind(str(path))
            unix.listen(BACKLOG)
        except OSError:
            unix.close()
            raise
        self._sockets.append(unix)
        self._paths.append(path)

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for each in self._sockets:
            server = await loop.create_server(lambda: Connection(self._shared), sock=each, backlog=BACKLOG)
            self._servers.append(server)

    async def stop(self, grace: float | None) -> None:
        """Refuse new connections, answer what is under way within `grace` seconds (None: however long it takes).

        What is still under way then is given up, and its callers are told so.
        """
        for server in self._servers:
            server.close()
        for each in self._sockets:
            each.close()
        for path in self._paths:
            path.unlink(missing_ok=True)
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
        await asyncio.wait_for(shared.all_gone.wait(), seconds)
    return not shared.connections


def _listening(family: socket.AddressFamily, where: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:  # the IPv4 addresses have a socket of their own
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        made.bind(where)
        made.listen(BACKLOG)
    except OSError:
        made.close()
        raise
    return made
