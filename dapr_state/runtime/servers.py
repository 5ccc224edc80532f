"""The servers of a sidecar: what each serves, in what order they start, and how they stop."""

from __future__ import annotations

import asyncio
import gc
import logging
from functools import partial
from typing import TYPE_CHECKING

from msgspec import structs

from dapr_state import DAPR_VERSION, __version__
from dapr_state.api.state import State
from dapr_state.clock import WAITING
from dapr_state.observability import process
from dapr_state.runtime import middleware
from dapr_state.runtime.allocator import Allocator
from dapr_state.runtime.listening import Door, Server, addresses, is_running, listen, listen_at_once
from dapr_state.runtime.metadata import build_metadata
from dapr_state.runtime.signals import exit_at_once
from dapr_state.security.access import ADMIN
from dapr_state.serving.http.server import HttpServer
from dapr_state.serving.http.settings import Settings
from dapr_state.serving.request_memory import RequestMemory
from dapr_state.transports.http import target
from dapr_state.transports.http.api import api, console, public
from dapr_state.transports.http.later import LaterRoutes
from dapr_state.transports.http.scrape import scrape

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.admin.table import Answers
    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.runtime.actors import ActorServices
    from dapr_state.runtime.components import Components
    from dapr_state.runtime.options import Options
    from dapr_state.runtime.resiliency import Resiliency
    from dapr_state.serving.http.service import Service
    from dapr_state.transports.http.console import Page
    from dapr_state.transports.middleware import Middleware

EARLY = 0.002  # seconds by which uvloop, which counts whole milliseconds, may end a grace before its time

log = logging.getLogger("dapr.runtime")
http_log = logging.getLogger("dapr.runtime.http")


class Servers:
    """`start_metrics` before all else, `start` when the components are open, then `stop`.

    HTTP answers first. Those who call over gRPC are let in, too, and wait until its code is there.
    """

    def __init__(self, options: Options, layers: Middleware) -> None:
        self._options = options
        self._layers = layers
        self.allocator = Allocator()
        self.memory = RequestMemory(options.max_request_memory, self.allocator.release_soon)  # one for all servers
        self._running: list[Server] = []  # those that callers use
        self._metrics: Server | None = None
        self.http_port = self.grpc_port = 0  # once they have started; 0 for a file
        self._end_streams: Callable[[], None] = lambda: None
        self._closing: Sequence[str] = ()  # the addresses that the log speaks of at the end
        self._admin: LaterRoutes | None = None
        self._rest: asyncio.Task[None] | None = None  # what is served from a little later on

    async def start_metrics(self) -> None:
        options = self._options
        if not options.metrics:
            return
        lines = self._layers.metrics.lines if self._layers.metrics else process.lines
        self._metrics = self._http_server(scrape(lines))
        address = f"{options.metrics_listen_address}:{options.metrics_port}"
        listen_at_once(self._metrics, address, f"failed to listen on {address}: ")
        await self._metrics.start()
        log.info("metrics server started on %s/", address)

    async def start(
        self,
        components: Components,
        actors: ActorServices,
        lifecycle: Lifecycle,
        policies: Resiliency,
        features: Sequence[str],
    ) -> None:
        options, layers = self._options, self._layers
        state = State(options.app_id, components.stores, layers.metrics, options.max_concurrent_queries)
        metadata = build_metadata(options, components, actors, policies, features)
        if layers.test:
            layers.test.metadata = metadata
        page = self._page()
        if options.console != "off":
            self._admin = LaterRoutes(target.ADMIN_ROOT, options.app_id)
        admin = None if layers.http_access.hides(ADMIN, "v1") else self._admin
        is_shared = options.console_port is None
        door = await self._listen_for_grpc()
        start_rest = partial(self._start_rest, door, components, actors, state, lifecycle, metadata)
        has_door = options.grpc_server != "grpcio"  # which binds its port itself: who is let in before is thrown out
        if not has_door:
            await start_rest()
        await self._start_http(
            self._http_server(
                api(
                    state,
                    lifecycle,
                    metadata,
                    actors=actors.api,
                    reminders=actors.reminders,
                    namespace=options.namespace,
                    allowed_origins=options.allowed_origins,
                    layers=layers,
                    answers=self.memory.answers,
                    page=page if is_shared else None,
                    admin=admin if is_shared else None,
                ),
                http2=options.http2,
            )
        )
        if options.public_port is not None:
            await self._start_public(lifecycle, metadata, options.public_port)
        if page and admin and options.console_port is not None:
            await self._start_console(page, admin, options.console_port)
        if has_door:
            self._rest = asyncio.create_task(start_rest())
            self._rest.add_done_callback(_failed)

    async def whole(self) -> None:
        """Return once every API answers, and none lets its callers wait for its code."""
        if self._rest:
            await asyncio.wait([self._rest])

    async def stop(self, grace: float | None) -> bool:
        """Refuse new calls, answer those under way; False if some were still under way after `grace` seconds."""
        await self.whole()
        self._end_streams()  # nobody waits for what has no end
        for address in self._closing:
            http_log.info("Closing HTTP server %s…", address)
        began = WAITING.monotonic()
        await asyncio.gather(*(server.stop(grace) for server in self._running))
        self._running.clear()
        return grace is None or WAITING.monotonic() - began < grace - EARLY

    async def stop_metrics(self) -> None:
        if self._metrics:
            await self._metrics.stop(0)

    async def _listen_for_grpc(self) -> Door:
        options, door = self._options, Door()
        where = addresses(options, "gRPC", options.grpc_port)
        self._running.append(door)
        self.grpc_port = await listen(door, "gRPC", where)
        is_running("gRPC", where[0], self.grpc_port)
        return door

    async def _start_rest(  # noqa: PLR0917  each of them is one of its kind
        self,
        door: Door,
        components: Components,
        actors: ActorServices,
        state: State,
        lifecycle: Lifecycle,
        metadata: Metadata,
    ) -> None:
        """The gRPC and the administration API: their code is half of a start, and no get over HTTP needs it."""
        options, layers = self._options, self._layers
        await asyncio.to_thread(_import, with_admin=self._admin is not None)
        from dapr_state.runtime import grpc_api  # noqa: PLC0415

        answers: Answers = {}
        if self._admin:
            from dapr_state.runtime import administration  # noqa: PLC0415
            from dapr_state.transports.http.admin import AdminRoutes  # noqa: PLC0415

            ports = self._ports
            built = administration.build(options, layers, components, actors, state, lifecycle, metadata, ports)
            self._end_streams, answers = built.close, built.answers
            self._admin.come(AdminRoutes(answers))
        shared = answers if options.console_port is None else {}
        server = grpc_api.build(options, layers, self.memory, state, metadata, lifecycle, actors, shared)
        door.open(server)
        self._running.append(server)
        await server.start()
        gc.freeze()  # it lives as long as the process

    async def _start_http(self, server: HttpServer) -> None:
        options = self._options
        where = addresses(options, "HTTP", options.http_port)
        self._running.append(server)
        self.http_port = await listen(server, "HTTP", where)
        await server.start()
        self._closing = where
        is_running("HTTP", where[0], self.http_port)
        log.info("The request body size parameter is: %d bytes", options.max_body_size)

    async def _start_public(self, lifecycle: Lifecycle, metadata: Metadata, port: int) -> None:
        server = self._http_server(public(lifecycle, metadata))
        self._running.append(server)
        listen_at_once(server, f"{self._options.public_listen_address}:{port}")
        await server.start()

    def _page(self) -> Page | None:
        """Of the console; whoever closes its API to all has no page either."""
        options = self._options
        if options.console == "off" or self._layers.http_access.hides(ADMIN, "v1"):
            return None
        from dapr_state.transports.http.console import Page  # noqa: PLC0415  only where there is one

        return Page(
            lambda: {
                "version": __version__,
                "daprVersion": DAPR_VERSION,
                "mode": options.console,
                "httpPort": self.http_port,
                "grpcPort": self.grpc_port,
                "sharesPort": options.console_port is None,
                "tokenNeeded": bool(options.api_token),
            }
        )

    def _ports(self) -> tuple[int, int]:
        return self.http_port, self.grpc_port

    async def _start_console(self, page: Page, admin: LaterRoutes, port: int) -> None:
        options = self._options
        origins = middleware.origins(options, options.listen_addresses)  # it is no file, wherever the API is
        server = self._http_server(console(page, admin, structs.replace(self._layers, origins=origins), options.app_id))
        self._running.append(server)
        for address in options.listen_addresses:
            listen_at_once(server, f"{address}:{port}", "failed to start console server: ")
        await server.start()

    def _http_server(self, service: Service, *, http2: bool = False) -> HttpServer:
        options = self._options
        allowed = Settings.read(max_body=options.max_body_size, read_buffer=options.read_buffer_size, http2=http2)
        return HttpServer(service, allowed, memory=self.memory)


def _import(*, with_admin: bool) -> None:
    """In a thread, where each tick of the event loop may come between."""
    from dapr_state.runtime import grpc_api  # noqa: F401, PLC0415

    if with_admin:  # whoever has it off does not pay for it
        from dapr_state.runtime import administration  # noqa: F401, PLC0415
        from dapr_state.transports.grpc import admin  # noqa: F401, PLC0415
        from dapr_state.transports.http import admin as routes  # noqa: F401, PLC0415


def _failed(rest: asyncio.Task[None]) -> None:
    """A sidecar that has said that it is ready, and is not, is none: a package that does not fit, for example."""
    if not rest.cancelled() and (error := rest.exception()):
        log.critical("Fatal error from runtime: %s", error, exc_info=error)
        exit_at_once()
