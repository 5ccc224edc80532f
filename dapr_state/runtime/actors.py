"""The actors of one sidecar: what they consist of, and how they begin, drain and end."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

from dapr_state.actors.embedded_reminders import EmbeddedReminders
from dapr_state.actors.placement.base import Embedded
from dapr_state.actors.registration import StreamRegistrar
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.router import ActorRouter
from dapr_state.actors.runtime import ActorRuntime
from dapr_state.actors.scheduler.leftovers import WithLeftovers
from dapr_state.actors.state import ActorState
from dapr_state.actors.timers import Timers
from dapr_state.api.actors import Actors
from dapr_state.api.metadata import ActorRuntimeMetadata, RuntimeStatus
from dapr_state.api.reminders import Reminders
from dapr_state.clock import WAITING
from dapr_state.runtime.application import DEFAULT_NAMESPACE, health, registrar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dapr_state.actors.reminder_triggers import TriggerTarget
    from dapr_state.actors.reminders import ReminderBackend
    from dapr_state.actors.scheduler.reminders import ScheduledReminders
    from dapr_state.admin.actors import Parts
    from dapr_state.observability.exposition import CounterFamily, GaugeFamily
    from dapr_state.observability.metrics import Metrics
    from dapr_state.runtime.cluster import Cluster
    from dapr_state.runtime.components import Components
    from dapr_state.runtime.options import Options
    from dapr_state.runtime.resiliency import Resiliency
    from dapr_state.security.credentials import Credentials
    from dapr_state.serving.request_memory import RequestMemory
    from dapr_state.testmode.service import TestMode
    from dapr_state.transports.grpc.actors import Subscribe
    from dapr_state.transports.middleware import Middleware

# What daprd is not ready with until actors can be called, and until it knows the schedulers
PLACEMENT: Final = "internal-placement-service"
SCHEDULERS: Final = "scheduler-watch-hosts"
CONNECTED: Final = "placement: connected"
DISCONNECTED: Final = "placement: disconnected"

log = logging.getLogger("dapr.runtime")


class ActorServices:
    """`begin` it once the application listens, `drain` it while the servers still answer, then `close` it."""

    def __init__(
        self,
        options: Options,
        components: Components,
        memory: RequestMemory,
        layers: Middleware | None = None,
        credentials: Credentials | None = None,
        *,
        test: TestMode | None = None,
    ) -> None:
        """Without an application, a store for actors and placement there are none. Raises ListeningError."""
        metrics = layers.metrics if layers else None
        self._options = options
        self._credentials = credentials
        self.is_on = bool(options.app_port or components.actor_store or options.placement_addresses)
        self._renewing = asyncio.Lock()
        self.renewals = 0  # how often the application came or went so far
        self.runtime = ActorRuntime(has_app=bool(options.app_port), is_alone=not options.placement_addresses)
        self._cluster: Cluster | None = None
        if options.placement_addresses:
            self._cluster = _cluster(options, self.runtime, memory, credentials, layers)
        router = self._cluster.router if self._cluster else ActorRouter(self.runtime, Embedded(self.runtime.is_hosted))
        self._registrar = registrar(options, test.target(self.runtime) if test else self.runtime)
        state = ActorState(options.app_id, lambda: components.actor_store)
        self.api = Actors(router, state) if self.is_on else Actors()
        self.timers = Timers(router, fired=_fired(metrics.actor_timers_fired if metrics else None))
        target = _Reminded(router, self._cluster) if self._cluster else router
        fired = _fired(metrics.actor_reminders_fired if metrics else None)
        self._scheduled: ScheduledReminders | None = None
        if options.scheduler_addresses and self.is_on:
            self._scheduled = self._in_scheduler(target, fired)
        elif options.scheduler_addresses:
            log.info(
                "Dapr's scheduler is not used: there are no actors, with neither an application nor a store for them"
            )
        embedded = EmbeddedReminders(
            target, StoredReminders(options.app_id, lambda: components.reminder_store), _name(options), fired=fired
        )
        self.backend: ReminderBackend = WithLeftovers(self._scheduled, embedded) if self._scheduled else embedded
        if metrics:
            self._count(metrics)
        self.runtime.on_hosted.append(self.backend.hosted)
        if self._cluster:
            self._cluster.placement.on_ready.append(lambda: self.backend.hosted(tuple(self.runtime.counts())))
        self.reminders = Reminders(self.api, self.backend, self.timers)
        self._router = router
        self._components = components
        if options.app_port and not components.actor_store:
            rest = "" if self._scheduled else ", nor reminders"
            log.info("Actor state store not configured - the state of actors cannot be used%s", rest)

    def __repr__(self) -> str:
        return f"<ActorServices {self.runtime!r}>"

    def _in_scheduler(self, target: TriggerTarget, fired: Callable[[str, bool], None]) -> ScheduledReminders:
        """Triggers are taken of what is hosted, but of nothing while placement is away."""
        # some MB that a sidecar alone never needs
        from dapr_state.actors.scheduler.jobs import Identity  # noqa: PLC0415
        from dapr_state.actors.scheduler.reminders import ScheduledReminders  # noqa: PLC0415

        options, runtime = self._options, self.runtime
        scheduled = ScheduledReminders(
            options.scheduler_addresses,
            Identity(options.app_id, options.namespace or DEFAULT_NAMESPACE),
            target,
            options.scheduler_job_streams,
            types=lambda: [each for each in runtime.counts() if target.is_hosted(each)],
            fired=fired,
            tls=self._credentials.service("dapr-scheduler") if self._credentials else None,
        )
        runtime.on_unhosted.append(scheduled.changed)
        if self._cluster:
            self._cluster.placement.on_lost.append(scheduled.changed)
        return scheduled

    def _count(self, metrics: Metrics) -> None:
        def ended(actor_type: str, *, is_failed: bool) -> None:
            family = metrics.actors_not_deactivated if is_failed else metrics.actors_deactivated
            family.series(actor_type).value += 1

        def moved(actor_type: str) -> None:
            metrics.actors_rebalanced.series(actor_type).value += 1

        def settle() -> None:
            _set(metrics.actors_waiting, self.runtime.waiting())
            _set(metrics.actor_timers, self.timers.counts())
            _set(metrics.actor_reminders, self.backend.counts())

        self.runtime.on_deactivated = ended
        self.runtime.on_rebalanced = moved
        metrics.before_reading.append(settle)

    def apply_policies(self, policies: Resiliency) -> None:
        """Put calls of actors under the policies that there are now; those under way keep theirs."""
        if not policies.has_actors:
            self.api.pass_through(None)
            self.runtime.be_patient(None)
            return
        # as the stores: most sidecars have none
        from dapr_state.actors.resilient import ResilientCalls  # noqa: PLC0415

        self.api.pass_through(ResilientCalls(self._router, policies.of_actor))
        self.runtime.be_patient(policies.patience)

    @property
    def subscribe(self) -> Subscribe | None:
        """What takes the stream of an application that hosts actors on one."""
        return self._registrar.subscribe if isinstance(self._registrar, StreamRegistrar) else None

    @property
    def unwell(self) -> asyncio.Event:
        """Set while the application is not well; never where there is none."""
        return self._registrar.unwell if self._registrar else asyncio.Event()

    def metadata(self) -> ActorRuntimeMetadata:
        if not self.is_on:
            return ActorRuntimeMetadata()
        if not self.runtime.is_ready:
            return ActorRuntimeMetadata(RuntimeStatus.INITIALIZING, placement="")
        is_ready = self._cluster is None or self._cluster.placement.is_ready
        return ActorRuntimeMetadata(
            RuntimeStatus.RUNNING,
            self.runtime.counts(),
            is_host_ready=is_ready,
            placement=CONNECTED if is_ready else DISCONNECTED,
        )

    def when_ready(self, tell: Callable[[], object]) -> None:
        """Have it told, once or more often, when actors can be called; never where nothing needs to be waited for."""
        if self._cluster:
            self._cluster.placement.on_ready.append(tell)
        else:
            self.runtime.on_hosted.append(lambda _: tell())

    def when_scheduled(self, tell: Callable[[], object]) -> bool:
        """Have it told when the schedulers are known; False if there is none to wait for."""
        if self._scheduled is None:
            return False
        self._scheduled.hosts.on_list.append(tell)
        return True

    @property
    def schedulers(self) -> tuple[str, ...]:
        """Their addresses; none before they are known."""
        return tuple(each.address for each in self._scheduled.hosts.connections) if self._scheduled else ()

    @property
    def is_awaited(self) -> bool:
        """Whether actors cannot be called yet."""
        return self._cluster is not None or bool(self._options.app_port)

    async def listen(self) -> None:
        """Answer other sidecars; find the schedulers."""
        if self._cluster:
            await self._cluster.start()
        if self._scheduled:
            self._scheduled.hosts.begin()

    async def begin(self, *, is_there: bool = True) -> None:
        """Find out what the application hosts, if it is there; its reminders fire from then on."""
        self.backend.begin()
        if self._registrar:
            await self._registrar.begin(health(self._options), is_there=is_there)

    async def renew(self, *, is_there: bool) -> None:
        """The application goes, or another process of it has come."""
        async with self._renewing:
            await self._renew(is_there=is_there)

    def parts(self) -> Parts:
        """For administration."""
        from dapr_state.admin.actors import Parts  # noqa: PLC0415  where it is off it is not paid for

        components = self._components
        return Parts(
            self._options.app_id,
            self.runtime,
            self._router,
            self.backend,
            self.timers,
            lambda: components.actor_store,
            lambda: components.actor_store_name,
            self.drain,
        )

    async def reload(self) -> tuple[str, ...]:
        """Ask the application again what it hosts; what the process before it had active is forgotten."""
        async with self._renewing:
            await self._renew(is_there=False)
            await self._renew(is_there=True)
            return tuple(self.runtime.counts())

    async def _renew(self, *, is_there: bool) -> None:
        self.renewals += 1
        if self._registrar:
            await (self._registrar.come() if is_there else self._registrar.leave())

    async def drain(self, grace: float | None) -> None:
        self.timers.stop()
        self.backend.stop()
        began = WAITING.monotonic()
        if self._cluster:
            await self._cluster.leave(grace)
        await self.runtime.drain(None if grace is None else max(0.0, grace - (WAITING.monotonic() - began)))

    async def close(self) -> None:
        if self._registrar:  # first: it ends the turns that timers and reminders would wait for
            await self._registrar.close()
        await self.timers.close()
        await self.backend.close()
        if self._cluster:
            await self._cluster.close()


class _Reminded:
    """Where reminders go in a cluster: while placement is away they rest, as if their types were not hosted."""

    def __init__(self, router: ActorRouter, cluster: Cluster) -> None:
        self._router = router
        self._placement = cluster.placement
        self.deliver_reminder = router.deliver_reminder

    def is_hosted(self, actor_type: str) -> bool:
        return self._placement.is_ready and self._router.is_hosted(actor_type)


def _cluster(
    options: Options,
    local: ActorRuntime,
    memory: RequestMemory,
    credentials: Credentials | None,
    layers: Middleware | None,
) -> Cluster:
    # some MB that a sidecar alone never needs
    from dapr_state.runtime.cluster import Cluster  # noqa: PLC0415

    return Cluster(options, local, memory, credentials, layers)


def _name(options: Options) -> str:
    """Tells this sidecar from others of its app id, and is the same after a restart: two cannot have one port."""
    is_known = options.unix_domain_socket or (options.http_port and options.grpc_port)
    where = (socket.gethostname(), options.http_port, options.grpc_port, options.unix_domain_socket)
    return blake2b(repr(where).encode() if is_known else os.urandom(16), digest_size=6).hexdigest()


def _fired(family: CounterFamily | None) -> Callable[[str, bool], None]:
    """What counts a trigger that was fired."""

    def count(actor_type: str, is_taken: bool) -> None:
        if family is not None:
            family.series(actor_type, str(is_taken).lower()).value += 1

    return count


def _set(family: GaugeFamily, values: Mapping[str, int]) -> None:
    """Types that have none any more are shown with 0."""
    for (actor_type,), series in family.all():
        series.value = values.get(actor_type, 0)
    for actor_type, value in values.items():
        family.series(actor_type).value = value
