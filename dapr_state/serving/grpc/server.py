"""The server: which methods it has, and how it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
from grpc.aio import UsageError

from dapr_state.clock import WAITING
from dapr_state.serving import sockets
from dapr_state.serving.grpc.protocol import GrpcProtocol
from dapr_state.serving.grpc.settings import Settings, read
from dapr_state.serving.grpc.shared import Shared
from dapr_state.serving.http2 import CHECK_INTERVAL
from dapr_state.serving.request_memory import RequestMemory

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable, Mapping

    from dapr_state.serving.tls import Tls


class NativeServer(grpc.aio.Server):
    """Another grpc.aio.Server; see there what its methods promise. Interceptors are not supported."""

    def __init__(
        self,
        handlers: Iterable[grpc.GenericRpcHandler] = (),
        options: Iterable[tuple[str, Any]] = (),
        settings: Settings | None = None,
        memory: RequestMemory | None = None,
        tls: Tls | None = None,
    ) -> None:
        """`memory` is the process's account of large requests, a new one if none is given; `tls`: who may come."""
        self._settings = read(options, settings or Settings())
        self.shared = Shared(self._settings, memory or RequestMemory(), tls)
        self.shared.methods.add_generic(handlers)
        self._sockets: list[socket.socket] = []
        self._listeners: list[sockets.Listener] = []
        self._checking: asyncio.TimerHandle | None = None
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

    def listen_on(self, bound: Iterable[socket.socket]) -> None:
        """Accept connections on these sockets, from the start on; they are closed at the stop."""
        self._sockets += bound

    def add_insecure_port(self, address: str) -> int:
        """Bind `host:port`, `[ipv6]:port` or `unix:path`; OSError if that is not possible."""
        bound = sockets.bind(address)
        self.listen_on(bound)
        return sockets.port_of(bound) or 1  # for a socket file any number but 0, as grpc does

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:  # noqa: ARG002
        raise UsageError("the native server is told at its making how connections are secured")

    # Life

    async def start(self) -> None:
        tls = self.shared.tls.context() if self.shared.tls else None
        self._listeners = await sockets.accept(self._sockets, self._protocol, tls, self._settings.timeouts.head)
        self._checking = WAITING.call_later(CHECK_INTERVAL, self._check)

    async def stop(self, grace: float | None) -> None:
        ends = WAITING.monotonic() + (grace or 0)
        # a later call may only shorten the grace
        if self._grace_ends is None or ends < self._grace_ends:
            self._grace_ends = ends
            WAITING.call_at(ends, self._no_grace.set)
        if self._stop is None:
            self._stop = asyncio.ensure_future(self._shut_down())
        await asyncio.shield(self._stop)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:  # noqa: ASYNC109 - grpc.aio's signature
        """True if the time is up before the server has ended."""
        try:
            async with WAITING.timeout(timeout):
                await self._terminated.wait()
        except TimeoutError:
            return True
        return False

    async def _shut_down(self) -> None:
        self.shared.is_stopping = True
        sockets.close(self._sockets, self._listeners)
        for connection in list(self.shared.connections):
            connection.announce_shutdown()
        await self._closed_within(self._settings.timeouts.goaway)
        for connection in list(self.shared.connections):
            connection.refuse_streams()
        await self._closed_within(None)
        for connection in list(self.shared.connections):
            connection.cancel_calls()
        await self._closed_within(self._settings.timeouts.goaway, even_without_grace=True)
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
        await WAITING.wait(waits, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()

    def _clean_up(self) -> None:
        if self._checking is not None:
            self._checking.cancel()
        self._terminated.set()

    # Connections

    def _protocol(self) -> GrpcProtocol:
        return GrpcProtocol(self.shared)

    def _check(self) -> None:
        self._checking = WAITING.call_later(CHECK_INTERVAL, self._check)
        now = WAITING.monotonic()
        for connection in list(self.shared.connections):
            connection.check_timeouts(now)
