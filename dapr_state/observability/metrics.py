"""Which metrics there are: daprd's names, labels and buckets (runtime.md 8)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from dapr_state.observability import process
from dapr_state.observability.exposition import CounterFamily, CountOf, GaugeFamily, HistogramFamily

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Any

    from dapr_state.observability.exposition import Family

    # (metric, label, [(replacement, regular expression)]), as in the Configuration
    Rule = tuple[str, str, Sequence[tuple[str, str]]]

LATENCIES: Final = (
    *(1, 2, 3, 4, 5, 6, 8, 10, 13, 16, 20, 25, 30, 40, 50, 65, 80, 100, 130, 160, 200, 250, 300, 400, 500, 650, 800),
    *(1000, 2000, 5000, 10000, 20000, 50000, 100000),
)  # milliseconds
SIZES: Final = tuple(1024 * each for each in (1, 2, 4, 16, 64, 256)) + tuple(1 << bits for bits in range(20, 33, 2))

# which part of the API an error code belongs to, by the beginning of the code; the first that fits
_CATEGORIES: Final = (
    ("ERR_STATE", "state"),
    ("ERR_NOT_SUPPORTED_STATE", "state"),
    ("ERR_ACTOR", "actor"),
    ("ERR_REMINDERS", "actor"),
    ("ERR_PUBSUB", "pubsub"),
    ("ERR_SECRET", "secret"),
    ("ERR_PERMISSION_DENIED", "secret"),
    ("ERR_DIRECT_INVOKE", "service-invocation"),
    ("ERR_INVOKE_OUTPUT_BINDING", "binding"),
    ("ERR_HEALTH", "health"),
    ("ERR_OUTBOUND_HEALTH", "health"),
    ("ERR_CONFIGURATION", "configuration"),
    ("ERR_LOCK", "lock"),
    ("ERR_CRYPTO", "crypto"),
    ("ERR_CONVERSATION", "conversation"),
    ("DAPR_SCHEDULER", "job"),
)


class Metrics:
    """All families of one sidecar; they belong to its event loop."""

    def __init__(
        self,
        app_id: str,
        namespace: str = "",
        *,
        latencies: Sequence[int] = (),
        all_responses: bool = True,
        rules: Sequence[Rule] = (),
    ) -> None:
        """`all_responses` False leaves out the count of HTTP responses, as low cardinality wants it."""
        self.namespace = namespace
        # called before the metrics are read: whoever counts elsewhere, because that is faster, hands it in then
        self.before_reading: list[Callable[[], None]] = []
        self._constant = {"app_id": app_id}
        self._families: list[Family[Any]] = []
        bounds = tuple(latencies) or LATENCIES
        http, state = ("method", "path", "status"), ("component", "namespace", "operation", "success")

        self.last_errors: dict[str, tuple[float, str]] = {}  # of stores: unix seconds, and what it was
        self.state_count = self._counter("component_state_count", "Operations on state components.", state)
        self.state_latency = self._histogram(
            "component_state_latencies", "Latency of operations on state components in ms.", state, bounds
        )
        self.http_latency = self._histogram("http_server_latency", "Latency of HTTP requests in ms.", http, bounds)
        self._count_of("http_server_request_count", "HTTP requests.", self.http_latency)
        if all_responses:
            self._count_of("http_server_response_count", "HTTP responses.", self.http_latency)
        self.http_request_bytes = self._histogram("http_server_request_bytes", "Size of request bodies.", (), SIZES)
        self.http_response_bytes = self._histogram("http_server_response_bytes", "Size of response bodies.", (), SIZES)

        self.grpc_latency = self._histogram(
            "grpc_io_server_server_latency",
            "Latency of gRPC calls in ms.",
            ("grpc_server_method", "grpc_server_status"),
            bounds,
        )
        self._count_of("grpc_io_server_completed_rpcs", "gRPC calls.", self.grpc_latency)
        method = ("grpc_server_method",)
        self.grpc_received_bytes = self._histogram(
            "grpc_io_server_received_bytes_per_rpc", "Size of gRPC requests.", method, SIZES
        )
        self.grpc_sent_bytes = self._histogram(
            "grpc_io_server_sent_bytes_per_rpc", "Size of gRPC responses.", method, SIZES
        )

        # of calls to other sidecars
        self.grpc_client_latency = self._histogram(
            "grpc_io_client_roundtrip_latency",
            "Latency of gRPC calls to other sidecars in ms.",
            ("grpc_client_method", "grpc_client_status"),
            bounds,
        )
        self._count_of("grpc_io_client_completed_rpcs", "gRPC calls to other sidecars.", self.grpc_client_latency)
        method = ("grpc_client_method",)
        self.grpc_client_received_bytes = self._histogram(
            "grpc_io_client_received_bytes_per_rpc", "Size of gRPC responses.", method, SIZES
        )
        self.grpc_client_sent_bytes = self._histogram(
            "grpc_io_client_sent_bytes_per_rpc", "Size of gRPC requests.", method, SIZES
        )

        self.components_loaded = self._counter("runtime_component_loaded", "Components that were loaded.", ())
        self.components_begun = self._counter(
            "runtime_component_init_total", "Components that were initialized.", ("component",)
        )
        self.components_failed = self._counter(
            "runtime_component_init_fail_total",
            "Components that could not be initialized.",
            ("component", "componentName", "reason"),
        )
        actor = ("actor_type",)
        self.actors_waiting = self._gauge("runtime_actor_pending_actor_calls", "Calls that wait for a turn.", actor)
        self.actor_timers = self._gauge("runtime_actor_timers", "Timers.", actor)
        self.actor_reminders = self._gauge("runtime_actor_reminders", "Reminders.", actor)
        self.actor_timers_fired = self._counter(
            "runtime_actor_timers_fired_total", "Timers that fired.", (*actor, "success")
        )
        self.actor_reminders_fired = self._counter(
            "runtime_actor_reminders_fired_total", "Reminders that fired.", (*actor, "success")
        )
        self.actors_deactivated = self._counter(
            "runtime_actor_deactivated_total", "Actors that were deactivated.", actor
        )
        self.actors_not_deactivated = self._counter(
            "runtime_actor_deactivated_failed_total", "Actors whose application failed to deactivate them.", actor
        )
        self.actors_rebalanced = self._counter(
            "runtime_actor_rebalanced_total", "Actors that were deactivated since they had to move.", actor
        )
        policy = ("flow_direction", "name", "namespace", "policy", "status", "target")
        self.resiliency_loaded = self._counter(
            "resiliency_loaded", "Number of resiliency policies loaded.", ("name", "namespace")
        )
        self.resiliency_count = self._counter(
            "resiliency_count",
            "Number of times a resiliency policyKey has been applied to a building block.",
            policy,
        )
        self.resiliency_activations = self._counter(
            "resiliency_activations_total",
            "Number of times a resiliency policyKey has been activated in a building block after a failure or after a"
            " state change.",
            policy,
        )
        self.resiliency_breaker_state = self._gauge(
            "resiliency_cb_state",
            "A resiliency policy's current CircuitBreakerState state. 0 is closed, 1 is half-open, 2 is open, and -1 is"
            " unknown.",
            policy,
        )
        self.error_codes = self._counter("error_code_total", "Answers with an error code.", ("category", "error_code"))
        self._families.sort(key=lambda family: family.name)
        self._apply(rules)

    def lines(self) -> Iterator[str]:
        """The exposition in small steps, so that whoever writes it can let others run in between."""
        for settle in self.before_reading:
            settle()
        for family in self._families:
            yield from family.lines()
        yield from process.lines()

    def component_loaded(self, kind: str) -> None:
        self.components_loaded.series().value += 1
        self.components_begun.series(kind).value += 1

    def component_failed(self, kind: str, name: str, reason: str) -> None:
        self.components_failed.series(kind, name, reason).value += 1

    def error(self, code: str) -> None:
        self.error_codes.series(category(code), code).value += 1

    def _counter(self, name: str, text: str, labels: Sequence[str]) -> CounterFamily:
        family = CounterFamily(f"dapr_{name}", text, labels, self._constant)
        self._families.append(family)
        return family

    def _gauge(self, name: str, text: str, labels: Sequence[str]) -> GaugeFamily:
        family = GaugeFamily(f"dapr_{name}", text, labels, self._constant)
        self._families.append(family)
        return family

    def _histogram(self, name: str, text: str, labels: Sequence[str], bounds: Sequence[int]) -> HistogramFamily:
        family = HistogramFamily(f"dapr_{name}", text, labels, self._constant, bounds)
        self._families.append(family)
        return family

    def _count_of(self, name: str, text: str, histograms: HistogramFamily) -> None:
        self._families.append(CountOf(f"dapr_{name}", text, histograms, self._constant))

    def _apply(self, rules: Sequence[Rule]) -> None:
        by_family: dict[str, dict[str, list[tuple[str, re.Pattern[str]]]]] = {}
        for metric, label, patterns in rules:
            name = "dapr_" + metric.replace("/", "_").removeprefix("dapr_")
            compiled = [(replacement, re.compile(pattern)) for replacement, pattern in patterns]
            by_family.setdefault(name, {}).setdefault(label, []).extend(compiled)
        for family in self._families:
            if family.name in by_family:
                family.rewrite = _rewriter(by_family[family.name])


def category(code: str) -> str:
    """The group that daprd counts an error code under."""
    return next((name for start, name in _CATEGORIES if code.startswith(start)), "common")


def _rewriter(rules: dict[str, list[tuple[str, re.Pattern[str]]]]) -> Callable[[str, str], str]:
    def rewrite(label: str, value: str) -> str:
        for replacement, pattern in rules.get(label, ()):
            # "$1" means nothing in a replacement: the configuration's variables were filled in before
            value = pattern.sub(replacement.replace("\\", r"\\"), value)
        return value

    return rewrite
