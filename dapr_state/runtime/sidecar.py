"""One sidecar's life: it builds what the options say, serves, drains and closes."""

from __future__ import annotations

import asyncio
import logging
import os
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import uvloop

from dapr_state import DAPR_VERSION, __version__
from dapr_state.api.lifecycle import RUNTIME, Lifecycle
from dapr_state.api.measured import MeasuredState
from dapr_state.api.state import State
from dapr_state.clock import SYSTEM
from dapr_state.observability import process
from dapr_state.resources import configuration
from dapr_state.resources.configuration import Configuration, ConfigurationError
from dapr_state.resources.default import default_store
from dapr_state.resources.loader import LoadError, load
from dapr_state.resources.resolve import Surroundings
from dapr_state.runtime import facts, guarding
from dapr_state.runtime.components import ComponentError, Components
from dapr_state.runtime.listening import ListeningError, Server, listen
from dapr_state.runtime.signals import StopSignals
from dapr_state.transports.grpc.dapr import DaprServicer
from dapr_state.transports.grpc.server import GrpcServer
from dapr_state.transports.http.api import api, public
from dapr_state.transports.http.scrape import scrape
from dapr_state.transports.http.server import HttpServer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.api.metadata import Metadata
    from dapr_state.resources.component import Component
    from dapr_state.runtime.options import Options
    from dapr_state.transports.guard import Guard

log = logging.getLogger("dapr.runtime")

FATAL = 1

# daprd's limit for gRPC headers is its limit for HTTP headers times this (state-api.md 7.3)
GRPC_HEADER_FACTOR = 1024


def run(options: Options) -> int:
    """Serve until a signal asks to stop; returns the exit status of the process."""
    return uvloop.run(Sidecar(options).serve())


class Sidecar:
    """`serve` it once."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._began = SYSTEM.monotonic()
        self._configuration = Configuration()
        self._components = Components(options.app_id, options.namespace)

    async def serve(self) -> int:
        """Return the exit status: 0 after a clean stop."""
        log.info("Starting Dapr Runtime -- version %s -- dapr-state %s", DAPR_VERSION, __version__)
        log.info("app id: %s", self._options.app_id)
        try:
            self._configuration = configuration.load(self._options.config_paths, self._options.environment)
            guarding.announce(self._options, self._configuration)
            with StopSignals() as signals:
                return await self._live(signals)
        except (ComponentError, ConfigurationError, ListeningError, LoadError) as error:
            log.critical("Fatal error from runtime: %s", error)
            return FATAL

    async def _live(self, signals: StopSignals) -> int:
        async with AsyncExitStack() as closing:
            guard = guarding.guard(self._options, self._configuration)
            if self._options.metrics:
                closing.push_async_callback((await self._start_metrics(guard)).stop, 0)
            closing.push_async_callback(self._components.close)
            await self._open_components(guard)
            lifecycle = Lifecycle(self._options.app_id, signals.stop, _exit_soon)
            servers = await self._start_servers(lifecycle, guard)
            lifecycle.is_outbound_ready = True
            lifecycle.pending.discard(RUNTIME)
            log.info("dapr initialized. Status: Running. Init Elapsed %dms", (SYSTEM.monotonic() - self._began) * 1000)
            await signals.wait()
            log.info("Dapr is shutting down")
            drained = await self._drain(servers)
        log.info("Dapr runtime stopped")
        if not drained:
            log.critical("Graceful shutdown timeout exceeded, forcing shutdown")
            return FATAL
        log.info("Daprd shutdown gracefully")
        return 0

    async def _open_components(self, guard: Guard) -> None:
        wanted = [each for each in _components(self._options) if guarding.allows(self._configuration, each)]
        try:
            await self._components.open(wanted)
        finally:
            guarding.count_components(guard, wanted, self._components.loaded)

    async def _start_metrics(self, guard: Guard) -> Server:
        options = self._options
        lines = guard.metrics.lines if guard.metrics else process.lines
        server = HttpServer(scrape(lines), max_body=options.max_body_size, read_buffer=options.read_buffer_size)
        address = f"{options.metrics_listen_address}:{options.metrics_port}"
        await _start_at_once(server, address, f"failed to listen on {address}: ")
        log.info("metrics server started on %s/", address)
        return server

    async def _start_servers(self, lifecycle: Lifecycle, guard: Guard) -> Sequence[Server]:
        options = self._options
        stores = self._components.stores
        state = MeasuredState(options.app_id, stores, guard.metrics) if guard.metrics else State(options.app_id, stores)
        metadata = facts.metadata(options, self._components, self._configuration.features)
        grpc = GrpcServer(
            DaprServicer(state, metadata, lifecycle),
            options.max_body_size,
            options.read_buffer_size * GRPC_HEADER_FACTOR,
            guard,
        )
        await listen(grpc, "gRPC", _addresses(options, "grpc", options.grpc_port))
        await grpc.start()
        log.info("API gRPC server is running on port %d", options.grpc_port)
        http = HttpServer(
            api(
                state,
                lifecycle,
                metadata,
                namespace=options.namespace,
                allowed_origins=options.allowed_origins,
                guard=guard,
            ),
            max_body=options.max_body_size,
            read_buffer=options.read_buffer_size,
        )
        await listen(http, "HTTP", _addresses(options, "http", options.http_port))
        await http.start()
        log.info("HTTP server is running on port %d", options.http_port)
        servers: list[Server] = [grpc, http]
        if options.public_port is not None:
            servers.append(await self._start_public(lifecycle, metadata, options.public_port))
        return servers

    async def _start_public(self, lifecycle: Lifecycle, metadata: Metadata, port: int) -> Server:
        options = self._options
        server = HttpServer(
            public(lifecycle, metadata), max_body=options.max_body_size, read_buffer=options.read_buffer_size
        )
        await _start_at_once(server, f"{options.public_listen_address}:{port}")
        return server

    async def _drain(self, servers: Sequence[Server]) -> bool:
        """Stop all servers; False if calls were still under way when the time for it was over."""
        grace = self._options.graceful_shutdown_seconds or None  # 0 waits for ever
        began = SYSTEM.monotonic()
        await asyncio.gather(*(server.stop(grace) for server in servers))
        return grace is None or SYSTEM.monotonic() - began < grace


async def _start_at_once(server: HttpServer, address: str, refusal: str = "") -> None:
    """Without the patience that the API's ports are given, as daprd."""
    try:
        server.listen(address)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ListeningError(f"{refusal}listen tcp {address}: bind: {reason}") from error
    await server.start()


def _exit_soon() -> None:
    """End without cleaning up, once the answer to the request for it has left."""
    log.warning("Force shutdown requested, exiting immediately without graceful shutdown")
    asyncio.get_running_loop().call_later(0.1, os._exit, FATAL)


def _components(options: Options) -> Sequence[Component]:
    if not options.resources_paths:
        return (default_store(options.app_id, options.environment),)
    return load(options.resources_paths, Surroundings(options.app_id, options.environment)).components


def _addresses(options: Options, kind: str, port: int) -> list[str]:
    if options.unix_domain_socket:
        return [f"unix:{options.unix_domain_socket}/dapr-{options.app_id}-{kind}.socket"]
    return [f"{host}:{port}" for host in options.listen_addresses]
