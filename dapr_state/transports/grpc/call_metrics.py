"""gRPC calls counted: their number, time and sizes, under daprd's names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state.observability.exposition import WHOLE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.observability.metrics import Metrics
    from dapr_state.transports.grpc.tapped import TappedCalls

# Go's names of the codes, which the metrics have as labels
_GO_NAMES: Final = {
    code.value[0]: code.name.title().replace("_", "").replace("Cancelled", "Canceled") if code.value[0] else "OK"
    for code in grpc.StatusCode
}


class CallMetrics:
    """Counts the calls of one method.

    Nearly every call succeeds, in less than a millisecond, with small messages: it costs three additions, which are
    moved to the metrics when these are read.
    """

    __slots__ = (
        "_latency",
        "_listeners",
        "_method",
        "_ok",
        "_received",
        "_received_bytes",
        "_sent",
        "_sent_bytes",
        "_small",
        "_tell",
        "_usual",
    )

    def __init__(
        self, method: str, metrics: Metrics, tapped: TappedCalls | None = None, *, is_client: bool = False
    ) -> None:
        """`tapped` is told of each call, too: from here it costs a look. `is_client`: they are made, not answered."""
        self._method = method
        self._listeners: Sequence[object] = tapped.listeners if tapped else ()
        self._tell = tapped.tell if tapped else None
        self._latency = metrics.grpc_client_latency if is_client else metrics.grpc_latency
        received = metrics.grpc_client_received_bytes if is_client else metrics.grpc_received_bytes
        sent = metrics.grpc_client_sent_bytes if is_client else metrics.grpc_sent_bytes
        self._ok = self._latency.series(method, _GO_NAMES[0])
        self._received, self._sent = received.series(method), sent.series(method)
        self._small = self._received.first_bound
        self._usual = self._received_bytes = self._sent_bytes = 0
        metrics.before_reading.append(self._settle)

    def __repr__(self) -> str:
        return f"<CallMetrics {self._method}>"

    def count(  # noqa: PLR0917  as the server calls it
        self, context: Any, code: int, received: int, sent: int, seconds: float, error: BaseException | None
    ) -> None:
        """A call has ended: its status, the sizes of its messages, and how long it took."""
        if self._listeners and self._tell:
            self._tell(context, code, received, sent, seconds, error)
        if not code and seconds < WHOLE and received < self._small and sent < self._small:
            self._usual += 1
            self._received_bytes += received
            self._sent_bytes += sent
            return
        latency = self._latency.series(self._method, _GO_NAMES[code]) if code else self._ok
        latency.observe(int(seconds * 1000))
        self._received.observe(received)
        self._sent.observe(sent)

    def made(self, code: int, received: int, sent: int, seconds: float) -> None:
        """A call to somebody else has ended."""
        self.count(None, code, received, sent, seconds, None)

    def _settle(self) -> None:
        self._ok.observe_small(self._usual, 0)
        self._received.observe_small(self._usual, self._received_bytes)
        self._sent.observe_small(self._usual, self._sent_bytes)
        self._usual = self._received_bytes = self._sent_bytes = 0
