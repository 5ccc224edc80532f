"""One sidecar's life: it builds what the options say, serves, drains and closes."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Final

import uvloop
from msgspec import structs

from dapr_state import DAPR_VERSION, __version__
from dapr_state.api.lifecycle import RUNTIME, Lifecycle
from dapr_state.clock import WAITING
from dapr_state.golang.duration import format_duration
from dapr_state.resources.configuration import Configuration, ConfigurationError
from dapr_state.resources.loader import LoadError
from dapr_state.runtime import application, collector, middleware, supervised
from dapr_state.runtime.actors import PLACEMENT, SCHEDULERS, ActorServices
from dapr_state.runtime.allocator import Allocator
from dapr_state.runtime.components import ComponentError, Components
from dapr_state.runtime.credentials import CredentialsError, credentials
from dapr_state.runtime.listening import ListeningError
from dapr_state.runtime.opening import open_components
from dapr_state.runtime.registry import Entry, Registered
from dapr_state.runtime.renewals import Renewals
from dapr_state.runtime.resiliency import Resiliency
from dapr_state.runtime.servers import Servers
from dapr_state.runtime.signals import FATAL, StopSignals, exit_at_once
from dapr_state.runtime.supervised import DISCOVERED, EndsWithInput, Supervisor

if TYPE_CHECKING:
    from dapr_state.runtime.options import Options
    from dapr_state.testmode.service import TestMode

BLOCKED: Final = "security-provider"  # what daprd is not ready with while a shutdown is put off
HOT_RELOAD: Final = "HotReload"
CLOSING_TIME: Final = 2.0  # seconds for the components when the calls have used up the time for the stop
# Seconds that the event loop may keep a store's thread from running. With Python's 5 ms, SQLite saves beside 30 000
# gets a second took up to 105 ms and 217 were done a second; with this, 24 ms and 400, and the gets lost nothing.
SWITCH_INTERVAL: Final = 0.0005
ANSWER_TIME: Final = 0.1  # seconds for the answer to a forced shutdown to leave, as daprd

log = logging.getLogger("dapr.runtime")


def run(options: Options) -> int:
    """Serve until a signal asks to stop; returns the exit status of the process."""
    sys.setswitchinterval(SWITCH_INTERVAL)
    Allocator().configure()
    return uvloop.run(_serve(options))


async def _serve(options: Options) -> int:
    supervisor = Supervisor(os.environ)
    if supervised.RUN in os.environ:
        supervised.take_name()
    log.info("Starting Dapr Runtime -- version %s -- dapr-state %s", DAPR_VERSION, __version__)
    level = logging.getLogger("dapr").getEffectiveLevel()
    log.info("Log level set to: %s", logging.getLevelName(level).lower())
    with StopSignals() as signals, Registered(os.environ) as registered:
        while True:
            status = await Sidecar(options, signals, supervisor, registered).serve()
            if status or not signals.is_restart:
                return status
            signals.restarted()


class Sidecar:
    """`serve` it once. What it opens it closes in the reverse order, also where a start fails or is broken off."""

    def __init__(self, options: Options, signals: StopSignals, supervisor: Supervisor, registered: Registered) -> None:
        self._options = options
        self._signals = signals
        self._supervisor = supervisor
        self._registered = registered
        self._began = WAITING.monotonic()
        self._lifecycle = Lifecycle(options.app_id, signals.stop, _exit_soon)
        self._opened = AsyncExitStack()
        self._unwell = asyncio.Event()  # set while the application says that it is
        self._grace_ends: float | None = None  # of a stop; None: it waits for ever
        self._is_drained = True  # by a stop, within its grace

    async def serve(self) -> int:
        """Return the exit status: 0 after a clean stop."""
        try:
            await self._signals.unless_asked(self._start())
        except (ComponentError, ConfigurationError, CredentialsError, ListeningError, LoadError) as error:
            self._supervisor.tell(STATUS=error, ERRNO=FATAL)
            is_closed = await self._stop(grace=CLOSING_TIME)
            log.critical("Fatal error from runtime: %s", error)
            if not is_closed:
                exit_at_once()
            return FATAL
        await self._signals.wait()
        await self._put_off()
        if not self._signals.is_restart:
            self._supervisor.tell(STOPPING=1)
        log.info("Dapr is shutting down")
        if not await self._stop(self._options.graceful_shutdown_seconds or None):
            log.critical("Graceful shutdown timeout exceeded, forcing shutdown")
            exit_at_once()  # a store that does not close must not hold the process either
        log.info("Dapr runtime stopped")
        if not self._signals.is_restart:
            log.info("Daprd shutdown gracefully")
        return 0

    async def _start(self) -> None:
        options, at_the_end = self._options, self._opened.push_async_callback
        known = credentials(options)
        if known:
            at_the_end(known.close)
            await known.begin()
        settings = _settings(options)
        middleware.announce(options, settings)
        layers = middleware.of(options, settings)
        if layers.tracer:
            at_the_end(asyncio.to_thread, layers.tracer.close)
        log.info("standalone mode configured")
        log.info("app id: %s", options.app_id)
        test = _test_mode(options.app_id) if options.test_mode else None
        layers = structs.replace(layers, test=test)
        servers = Servers(options, layers)
        at_the_end(servers.stop_metrics)
        await servers.start_metrics()
        policies = Resiliency(options.app_id, layers.metrics)
        components = Components(
            options.app_id,
            options.namespace,
            guard=policies.of_store,
            count=lambda component, reasons: middleware.count_component(layers, component, reasons),
            put_on=test.store if test else None,
        )
        at_the_end(components.close)
        policies.on_change.append(components.apply_policies)
        folders = await open_components(options, components, settings, policies)
        application.announce(options)
        actors = ActorServices(options, components, servers.memory, layers, known, test=test)
        policies.on_change.append(lambda: actors.apply_policies(policies))
        actors.apply_policies(policies)
        self._unwell = actors.unwell
        if actors.is_awaited:
            self._lifecycle.pending.add(PLACEMENT)
            actors.when_ready(lambda: self._lifecycle.pending.discard(PLACEMENT))
        if actors.when_scheduled(lambda: self._lifecycle.pending.discard(SCHEDULERS)):
            self._lifecycle.pending.add(SCHEDULERS)
        at_the_end(self._drain_servers, servers)
        at_the_end(self._drain_actors, actors, policies)  # before the servers: turns that run may still need those
        if test:
            self._opened.enter_context(EndsWithInput(options.environment, self._signals.stop))
            test.attach(components.stores, actors.runtime, actors.timers, actors.backend)
        await servers.start(components, actors, self._lifecycle, policies, settings.features)
        await actors.listen()
        self._lifecycle.is_outbound_ready = True
        await self._introduce(servers)
        collector.begin()
        if folders and HOT_RELOAD in settings.features:
            at_the_end(asyncio.wait, [asyncio.create_task(folders.watch())])
            self._opened.callback(folders.stop)
        await self._meet_application(actors)
        looks = collector.Collector(servers.allocator.release_soon)
        self._opened.callback(looks.stop)
        looks.start()
        log.info("dapr initialized. Status: Running. Init Elapsed %dms", (WAITING.monotonic() - self._began) * 1000)

    async def _meet_application(self, actors: ActorServices) -> None:
        options = self._options
        renewals = await self._opened.enter_async_context(Renewals(options, actors, self._supervisor))
        # those of tests come and go: they are not waited for
        is_there = not options.test_mode or await application.is_listening(options)
        if is_there:
            await application.until_listening(options)
            self._supervisor.tell(STATUS=DISCOVERED)
        self._lifecycle.pending.discard(RUNTIME)
        await actors.begin(is_there=is_there)
        renewals.begin()
        if not is_there:
            renewals.discover()

    async def _introduce(self, servers: Servers) -> None:
        """Whoever hears that it is ready can find it, too."""
        if self._supervisor.listens:
            await servers.whole()  # an early call over gRPC would wait 60 ms and more, which not every deadline allows
        self._registered.be(self._entry(servers))
        if supervised.RUN in self._options.environment:
            supervised.show_ports({"dapr-http-port": servers.http_port, "dapr-grpc-port": servers.grpc_port})
        self._supervisor.tell(READY=1, X_DAPR_HTTP_PORT=servers.http_port, X_DAPR_GRPC_PORT=servers.grpc_port)

    def _entry(self, servers: Servers) -> Entry:
        options = self._options
        return Entry(
            os.getpid(),
            options.app_id,
            WAITING.wall(),
            servers.http_port,
            servers.grpc_port,
            options.unix_domain_socket,
            metrics_port=options.metrics_port if options.metrics else 0,
            app_port=options.app_port,
            max_body_size=options.max_body_size,
            read_buffer_size=options.read_buffer_size,
            token_needed=bool(options.api_token),
            **supervised.started_by(options.environment),
        )

    async def _put_off(self) -> None:
        """Serve on for a while, so that the callers of this application can go elsewhere first."""
        duration = self._options.block_shutdown_duration
        if duration is None or self._signals.is_asked_by_api or not self._lifecycle.is_outbound_ready:
            return
        log.info("Blocking graceful shutdown for %s or until app reports unhealthy...", format_duration(duration))
        self._lifecycle.pending.add(BLOCKED)
        asked = asyncio.create_task(self._signals.wait_for_api())
        unwell = asyncio.create_task(self._unwell.wait())
        done, waiting = await WAITING.wait((asked, unwell), timeout=duration, return_when=asyncio.FIRST_COMPLETED)
        for task in waiting:
            task.cancel()
        why = "App reported unhealthy" if unwell in done else "Block shutdown period expired"
        log.info("%s, entering shutdown...", why)

    async def _stop(self, grace: float | None) -> bool:
        """Close what is open; False if some calls were given up at the end of the grace, or not all is closed yet."""
        self._grace_ends = None if grace is None else WAITING.monotonic() + grace
        closing = asyncio.create_task(self._opened.aclose())  # a timeout would only end what is closed at that moment
        await WAITING.wait([closing], timeout=None if grace is None else grace + CLOSING_TIME)
        if not closing.done():
            return False
        await closing
        return self._is_drained

    def _left(self) -> float | None:
        return None if self._grace_ends is None else max(0.0, self._grace_ends - WAITING.monotonic())

    async def _drain_actors(self, actors: ActorServices, policies: Resiliency) -> None:
        policies.end_pauses()  # nobody shall wait for what is not asked any more
        await actors.drain(self._left())
        await actors.close()

    async def _drain_servers(self, servers: Servers) -> None:
        self._is_drained = await servers.stop(self._left())


def _settings(options: Options) -> Configuration:
    if not options.config_paths:
        return Configuration()
    from dapr_state.resources import configuration_files  # noqa: PLC0415 - YAML takes 13 ms of the start

    return configuration_files.load(options.config_paths, options.environment)


def _test_mode(app_id: str) -> TestMode:
    # nobody else pays for it
    from dapr_state.testmode.service import TestMode  # noqa: PLC0415

    return TestMode(app_id)


def _exit_soon() -> None:
    """End without cleaning up, once the answer to the request for it has left."""
    log.warning("Force shutdown requested, exiting immediately without graceful shutdown")
    WAITING.call_later(ANSWER_TIME, exit_at_once)
