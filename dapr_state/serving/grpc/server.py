"""The server: which methods it has, where it listens, and how it ends."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import grpc
from grpc.aio import UsageError

from dapr_state.clock import SYSTEM
from dapr_state.serving.grpc.protocol import Protocol
from dapr_state.serving.grpc.settings import Settings, read
from dapr_state.serving.grpc.shared import Shared
from dapr_state.serving.http2 import FAREWELL, LOOK
from dapr_state.serving.request_memory import RequestMemory

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # a machine without IPv6
_BACKLOG: Final = 1024  # connections that wait to be accepted: a burst of clients; the kernel may allow fewer


class NativeServer(grpc.aio.Server):
    """Another grpc.aio.Server; see there what its methods promise. Interceptors and TLS are not supported."""

    def __init__(
        self,
        handlers: Iterable[grpc.GenericRpcHandler] = (),
        options: Iterable[tuple[str, Any]] = (),
        settings: Settings | None = None,
        memory: RequestMemory | None = None,
    ) -> None:
        """`memory` is the process's account of large requests, a new one if none is given."""
        self._settings = read(options, settings or Settings())
        self.shared = Shared(self._settings, memory or RequestMemory())
        self.shared.methods.add_generic(handlers)
        self._sockets: list[socket.socket] = []
        self._listeners: list[asyncio.Server] = []
        self._looking: asyncio.TimerHandle | None = None
        self._unix_paths: list[str] = []
        self._terminated = asyncio.Event()
        self._stop: asyncio.Task[None] | None = None
        self._grace_ends: float | None = None
        self._no_grace = asyncio.Event()

    def __repr__(self) -> str:
        return f"<NativeServer {len(self._sockets)} ports, {len(self.shared.connections)} connections>"

    # Before the start

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self.shared.methods.add_generic(generic_rpc_handlers)

    def add_registered_method_handlers(
        self, service_name: str, method_handlers: Mapping[str, grpc.RpcMethodHandler[Any, Any]]
    ) -> None:
        self.shared.methods.add_registered(service_name, method_handlers)

    def add_insecure_port(self, address: str) -> int:
        """Bind `host:port`, `[ipv6]:port`, `unix:path` or `unix-abstract:name`; OSError if that is not possible."""
        bound = [_unix(address)] if address.startswith("unix") else _tcp(address, reuse_port=self._settings.reuse_port)
        self._sockets += bound
        name = bound[0].getsockname()
        if bound[0].family == socket.AF_UNIX:
            if isinstance(name, str):
                self._unix_paths.append(name)
            return 1  # as grpc does: any number but 0
        return int(name[1])

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:  # noqa: ARG002
        raise UsageError("the native server speaks no TLS")

    # Life

    async def start(self) -> None:
        loop = asyncio.get_running_loop()
        for bound in self._sockets:
            create: Any = loop.create_unix_server if bound.family == socket.AF_UNIX else loop.create_server
            self._listeners.append(await create(self._protocol, sock=bound, backlog=_BACKLOG))
        self._looking = loop.call_later(LOOK, self._look)

    async def stop(self, grace: float | None) -> None:
        loop = asyncio.get_running_loop()
        ends = loop.time() + (grace or 0)
        # a later call may only shorten the grace
        if self._grace_ends is None or ends < self._grace_ends:
            self._grace_ends = ends
            loop.call_at(ends, self._no_grace.set)
        if self._stop is None:
            self._stop = asyncio.ensure_future(self._shut_down())
        await asyncio.shield(self._stop)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - grpc.aio's signature
        """True if the time is up before the server has ended."""
        try:
            await asyncio.wait_for(self._terminated.wait(), timeout)
        except TimeoutError:
            return True
        return False

    async def _shut_down(self) -> None:
        self.shared.is_stopping = True
        for listener in self._listeners:
            listener.close()
        for bound in self._sockets:
            bound.close()
        for connection in list(self.shared.connections):
            connection.announce_shutdown()
        await self._closed_within(FAREWELL)
        for connection in list(self.shared.connections):
            connection.refuse_streams()
        await self._closed_within(None)
        for connection in list(self.shared.connections):
            connection.cancel_calls()
        await self._closed_within(FAREWELL, even_without_grace=True)
        for connection in list(self.shared.connections):
            connection.close_at_once()
        await asyncio.sleep(0)
        self._clean_up()

    async def _closed_within(self, seconds: float | None, *, even_without_grace: bool = False) -> None:
        """Return when all connections are closed, the time is up, or the grace."""
        self.shared.all_gone.clear()
        if not self.shared.connections:
            return
        waits = [asyncio.ensure_future(self.shared.all_gone.wait())]
        if not even_without_grace:
            waits.append(asyncio.ensure_future(self._no_grace.wait()))
        await asyncio.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _clean_up(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
        for path in self._unix_paths:
            with contextlib.suppress(OSError):
                Path(path).unlink()
        self._terminated.set()

    # Connections

    def _protocol(self) -> Protocol:
        return Protocol(self.shared)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._looking = loop.call_later(LOOK, self._look)
        now = SYSTEM.monotonic()
        for connection in list(self.shared.connections):
            connection.look(now)


def _tcp(address: str, *, reuse_port: bool) -> list[socket.socket]:
    """A socket for each address of the host; with port 0, all on the port that the first is given."""
    host, port = _host_and_port(address)
    found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    bound: list[socket.socket] = []
    for family, *_, where in dict.fromkeys(found):
        try:
            bound.append(_one_tcp(family, (where[0], port, *where[2:]), alone=len(found) == 1, reuse_port=reuse_port))
        except OSError as error:
            if error.errno in _NO_SUCH_FAMILY and (bound or len(found) > 1):
                continue
            for each in bound:
                each.close()
            raise
        port = bound[0].getsockname()[1]
    if not bound:
        raise OSError(errno.EADDRNOTAVAIL, f"cannot listen on {address}: no address of it is this machine's")
    return bound


def _one_tcp(
    family: socket.AddressFamily, where: tuple[object, ...], *, alone: bool, reuse_port: bool
) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            # "::" takes IPv4 as well, as it does in grpc and in Go, unless IPv4 has a socket of its own
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not alone)
        made.bind(where)
    except BaseException:
        made.close()
        raise
    return made


def _host_and_port(address: str) -> tuple[str, int]:
    for scheme in ("dns:///", "dns:", "ipv4:", "ipv6:"):
        address = address.removeprefix(scheme)
    address = unquote(address)
    host, colon, port = address.rpartition(":")
    if not colon or address.endswith("]"):
        return address.strip("[]"), 0
    try:
        return host.strip("[]"), int(port)
    except ValueError:
        raise OSError(f"not an address: {address}") from None


def _unix(address: str) -> socket.socket:
    scheme, _, path = address.partition(":")
    if scheme == "unix-abstract":
        path = "\0" + path
    elif path.startswith("//"):
        path = path[2:]
    bound = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        bound.bind(path)
    except BaseException:
        bound.close()
        raise
    return bound
