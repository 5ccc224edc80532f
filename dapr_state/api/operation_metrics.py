"""What the State API says of its calls: daprd's `component_state` metrics."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from dapr_state.clock import WAITING
from dapr_state.errors import shortened
from dapr_state.observability.exposition import WHOLE
from dapr_state.stores.base import EtagInvalid, EtagMismatch

if TYPE_CHECKING:
    from dapr_state.observability.exposition import Counter, Histogram
    from dapr_state.observability.metrics import Metrics

_now = WAITING.monotonic


class OperationMetrics:
    """Is told of each call of one operation that its store answered. This one, for where metrics are off, forgets."""

    def done(self, store: str, began: float) -> None: ...

    def failed(self, store: str, began: float, error: Exception) -> None: ...


class CountingMetrics(OperationMetrics):
    def __init__(self, operation: str, metrics: Metrics) -> None:
        self._operation = operation
        self._metrics = metrics
        self._usual: defaultdict[str, int] = defaultdict(int)  # successful, in less than a millisecond; by store
        self._series: dict[tuple[str, str], tuple[Counter, Histogram]] = {}  # by store and success
        metrics.before_reading.append(self._settle)

    def done(self, store: str, began: float) -> None:
        if _now() - began < WHOLE:
            self._usual[store] += 1
        else:
            self._count(store, "true", began)

    def failed(self, store: str, began: float, error: Exception) -> None:
        self._count(store, "false", began)
        if not isinstance(error, EtagMismatch | EtagInvalid):  # callers who race each other: nothing of the store's
            self._metrics.last_errors[store] = WAITING.wall(), shortened(str(error))

    def _count(self, store: str, success: str, began: float) -> None:
        count, latency = self._series.get((store, success)) or self._learn(store, success)
        count.value += 1
        # as daprd: what takes less than a millisecond is counted, but has no latency
        if milliseconds := int((_now() - began) * 1000):
            latency.observe(milliseconds)

    def _learn(self, store: str, success: str) -> tuple[Counter, Histogram]:
        labels = (store, self._metrics.namespace, self._operation, success)
        series = self._metrics.state_count.series(*labels), self._metrics.state_latency.series(*labels)
        self._series[store, success] = series  # stores are those of components: no caller makes them up
        return series

    def _settle(self) -> None:
        for store, count in self._usual.items():
            self._metrics.state_count.series(store, self._metrics.namespace, self._operation, "true").value += count
        self._usual.clear()


def of_operation(operation: str, metrics: Metrics | None) -> OperationMetrics:
    return CountingMetrics(operation, metrics) if metrics else OperationMetrics()
