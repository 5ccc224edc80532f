"""What the administration API tells of the sidecar itself: how it is, what it was started with, what it can do."""

from __future__ import annotations

import asyncio
import os
import re
import resource
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import DAPR_VERSION, __version__
from dapr_state.admin.messages import set_time
from dapr_state.api.metadata import RuntimeStatus
from dapr_state.clock import VISIBLE, WAITING
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import BoundStore
    from dapr_state.observability.metrics import Metrics
    from dapr_state.resources.component import Component

HIDDEN: Final = "•••"
_SECRET_NAME: Final = re.compile(
    r"password|passwd|secret|key|token|connectionstring|credential|sas|dsn|url", re.IGNORECASE
)
_NOT_SECRET: Final = frozenset({"keyprefix", "actorstatestore"})
PING_SECONDS: Final = 1.0  # a store that has not answered by then is told as unhealthy
PING_EVERY: Final = 2.0  # seconds that an answer counts: pages ask more often
QUANTILES_OF: Final = 60.0  # seconds that latencies are told of
LOOKS_AT_MOST: Final = 64  # at the counters, that are remembered for it
_STATM: Final = Path("/proc/self/statm")


class Neighbor(Protocol):
    """Another sidecar, as the registry has it."""

    @property
    def app_id(self) -> str: ...
    @property
    def http_port(self) -> int: ...
    @property
    def grpc_port(self) -> int: ...
    @property
    def pid(self) -> int: ...


class About(NamedTuple):
    """What is asked of the others, each time."""

    lifecycle: Lifecycle
    metadata: Metadata
    stores: Mapping[str, BoundStore]
    components: Callable[[], Sequence[Component]]
    actor_store: Callable[[], str]
    is_app_well: Callable[[], bool | None]  # None: it is not known yet
    reload_app: Callable[[], Awaitable[Sequence[str]]]
    ports: Callable[[], tuple[int, int]]  # of HTTP and gRPC
    neighbors: Callable[[], Iterable[Neighbor]]
    flags: Mapping[str, Any]  # those that differ from their default
    metrics: Metrics | None
    is_read_only: bool
    is_test: bool


class RuntimeAdmin:
    def __init__(self, about: About) -> None:
        self._about = about
        self.capabilities: Sequence[str] = ()  # the calls that are answered
        self._started = WAITING.wall()
        self._health: dict[str, _Health] = {}
        self._app_since = 0.0
        self._app_well: bool | None = None
        self._looks: deque[tuple[float, dict[str, _Latencies]]] = deque(maxlen=LOOKS_AT_MOST)

    def __repr__(self) -> str:
        return f"<RuntimeAdmin of {self._about.metadata.app_id}>"

    async def get_overview(self, _: Any) -> Any:
        about = self._about
        http_port, grpc_port = about.ports()
        used = resource.getrusage(resource.RUSAGE_SELF)
        pending = sorted(about.lifecycle.pending)
        answer = admin_pb2.Overview(
            app_id=about.metadata.app_id,
            version=__version__,
            runtime_version=DAPR_VERSION,
            ready=not pending,
            not_ready=pending,
            resident_bytes=_resident(),
            cpu_seconds=used.ru_utime + used.ru_stime,
            read_only=about.is_read_only,
            test_mode=about.is_test,
            capabilities=self.capabilities,
            http_port=http_port,
            grpc_port=grpc_port,
        )
        set_time(answer.started_at, self._started)
        set_time(answer.now, VISIBLE.now())
        self._tell_app(answer)
        if about.metrics:
            _settle(about.metrics)
            answer.calls, answer.failed_calls = _calls(about.metrics)
        await self._tell_stores(answer)
        for each in await asyncio.to_thread(about.neighbors):  # files
            if each.pid != os.getpid():
                answer.sidecars.add(
                    app_id=each.app_id, http_port=each.http_port, grpc_port=each.grpc_port, pid=each.pid
                )
        return answer

    def _tell_app(self, answer: Any) -> None:
        about, app = self._about, self._about.metadata.app
        if not app.port:
            return
        well = about.is_app_well()
        if well != self._app_well:
            self._app_well, self._app_since = well, WAITING.wall()
        actors = about.metadata.actors()
        answer.app.port, answer.app.protocol = app.port, app.protocol
        answer.app.healthy = bool(well)
        answer.app.discovered = actors.status is RuntimeStatus.RUNNING or bool(well)
        answer.app.actor_types.extend(actors.active)
        if self._app_since:
            set_time(answer.app.since, self._app_since)

    async def _tell_stores(self, answer: Any) -> None:
        about = self._about
        capabilities = {each.name: each.capabilities for each in about.metadata.components()}
        latencies = self._latencies()
        actor_store = about.actor_store()
        failures = about.metrics.last_errors if about.metrics else {}
        kept = [(each, about.stores[each.name]) for each in about.components() if each.name in about.stores]
        healths = [self._health.setdefault(component.name, _Health()) for component, _ in kept]
        await asyncio.gather(*(health.look(bound) for health, (_, bound) in zip(healths, kept, strict=True)))
        for health, (component, bound) in zip(healths, kept, strict=True):
            error_at, error = max((health.error_at, health.error), failures.get(component.name, (0.0, "")))
            told = answer.stores.add(
                name=component.name,
                type=component.type,
                capabilities=capabilities.get(component.name, ()),
                healthy=health.is_well,
                last_error=error,
                actor_store=component.name == actor_store,
                encrypted=bound.store.is_encrypted,
                key_prefix=bound.prefix,
            )
            if error_at:
                set_time(told.last_error_at, error_at)
            if seen := latencies.get(component.name):
                told.p50_ms, told.p99_ms, told.errors = seen.quantile(0.5), seen.quantile(0.99), seen.failed

    def _latencies(self) -> dict[str, _Latencies]:
        """Of the last minute, as far back as somebody has looked; else since the start, as errors always are."""
        if not self._about.metrics:
            return {}
        now, total = WAITING.monotonic(), _totals(self._about.metrics)
        while len(self._looks) > 1 and now - self._looks[1][0] > QUANTILES_OF:
            self._looks.popleft()
        before = self._looks[0][1] if self._looks else {}
        if not self._looks or now - self._looks[-1][0] >= QUANTILES_OF / LOOKS_AT_MOST:
            self._looks.append((now, total))
        return {name: each.since(before.get(name)) for name, each in total.items()}

    async def get_configuration(self, _: Any) -> Any:
        about = self._about
        answer = admin_pb2.Configuration(features=about.metadata.features)
        capabilities = {each.name: each.capabilities for each in about.metadata.components()}
        for component in about.components():
            told = answer.components.add(
                name=component.name,
                type=component.type,
                version=component.version,
                file=str(component.source or ""),
                capabilities=capabilities.get(component.name, ()),
            )
            for name in component.properties:
                is_secret = name.lower() in component.secret_keys or _looks_secret(name)
                value = HIDDEN if is_secret else str(component.properties[name])
                told.metadata.add(name=name, value=value, secret=is_secret)
        for name, value in sorted(about.flags.items()):
            answer.flags.add(name=name, value=_shown(value))
        return answer

    async def reload_app(self, _: Any) -> Any:
        return admin_pb2.ReloadAppResponse(actor_types=await self._about.reload_app())


class _Health:
    """Of one store, asked when somebody looks."""

    def __init__(self) -> None:
        self.is_well = True
        self.error = ""
        self.error_at = 0.0
        self._looked = float("-inf")

    async def look(self, bound: BoundStore) -> None:
        now = WAITING.monotonic()
        if now - self._looked < PING_EVERY:
            return
        self._looked = now
        try:
            async with WAITING.timeout(PING_SECONDS):
                await bound.store.ping()
        except (StoreError, TimeoutError) as error:
            self.is_well = False
            self.error = str(error) or f"it has not answered within {PING_SECONDS:g} s"
            self.error_at = WAITING.wall()
        else:
            self.is_well = True


class _Latencies(NamedTuple):
    """How many calls took how long: those below a millisecond, then by the bounds of the metrics."""

    quick: int
    bounds: Sequence[int]
    counts: tuple[int, ...]
    failed: int

    def since(self, before: _Latencies | None) -> _Latencies:
        if before is None or len(before.counts) != len(self.counts):
            return self
        counts = tuple(now - then for now, then in zip(self.counts, before.counts, strict=True))
        return _Latencies(self.quick - before.quick, self.bounds, counts, self.failed)

    def quantile(self, share: float) -> float:
        """The bound below which so many of them are, in milliseconds."""
        left = share * (self.quick + sum(self.counts)) - self.quick
        if left <= 0:
            return 1.0 if self.quick else 0.0
        for bound, count in zip(self.bounds, self.counts, strict=False):
            left -= count
            if left <= 0:
                return float(bound)
        return float(self.bounds[-1])


def _settle(metrics: Metrics) -> None:
    for settle in metrics.before_reading:
        settle()


def _totals(metrics: Metrics) -> dict[str, _Latencies]:
    _settle(metrics)
    calls: dict[str, int] = {}
    failed: dict[str, int] = {}
    for (store, _, _, success), counter in metrics.state_count.all():
        calls[store] = calls.get(store, 0) + int(counter.value)
        failed[store] = failed.get(store, 0) + (int(counter.value) if success == "false" else 0)
    slow: dict[str, tuple[Sequence[int], list[int]]] = {}
    for (store, *_), histogram in metrics.state_latency.all():
        bounds, counts = slow.setdefault(store, (histogram.bounds, [0] * len(histogram.counts)))
        for place, count in enumerate(histogram.counts):
            counts[place] += count
    found = {}
    for store, count in calls.items():
        bounds, counts = slow.get(store, ((1,), []))
        found[store] = _Latencies(count - sum(counts), bounds, tuple(counts), failed[store])
    return found


def _calls(metrics: Metrics) -> tuple[int, int]:
    """All calls of both transports, and those that have failed."""
    total = failed = 0
    for (_, _, status), histogram in metrics.http_latency.all():
        count = sum(histogram.counts)
        total += count
        failed += 0 if status.startswith(("1", "2", "3")) else count
    for (_, status), histogram in metrics.grpc_latency.all():
        count = sum(histogram.counts)
        total += count
        failed += 0 if status == "OK" else count
    return total, failed


def _resident() -> int:
    with suppress(OSError):  # Linux alone tells
        return int(_STATM.read_text().split()[1]) * resource.getpagesize()
    return 0


def _looks_secret(name: str) -> bool:
    return bool(_SECRET_NAME.search(name)) and name.lower() not in _NOT_SECRET


def _shown(value: Any) -> str:
    return (
        ",".join(value) if isinstance(value, tuple) else str(value).lower() if isinstance(value, bool) else str(value)
    )
