"""What HTTP requests are counted by: daprd's `http_server` metrics (runtime.md 8)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state.observability.exposition import MAX_SERIES, WHOLE
from dapr_state.transports.http.labels import MAX_TARGET, STATE

if TYPE_CHECKING:
    from collections.abc import Hashable

    from dapr_state.observability.exposition import Histogram
    from dapr_state.observability.metrics import Metrics
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response
    from dapr_state.serving.http.service import After
    from dapr_state.transports.http.labels import Labels
    from dapr_state.transports.middleware import Middleware

AFTER_STATE: Final = len(b"/v1.0/state/")


def after(layers: Middleware) -> list[After]:
    """What counts the answers, refusals and failures included."""
    return [_counter(layers.metrics, layers.http_labels)] if layers.metrics else []


def _counter(metrics: Metrics, labels: Labels) -> After:
    """Sizes of the usual, small bodies are kept in local variables until `settle` moves them to the metrics.

    `known` is keyed by what the router says, or by verb and path up to the store. A path that is no store's is cut
    somewhere, and simply not found.
    """
    known: dict[Hashable, dict[int, Histogram]] = {}
    received, sent = metrics.http_request_bytes.series(), metrics.http_response_bytes.series()
    small = received.first_bound
    usual = received_bytes = sent_bytes = 0

    def count(request: Request, response: Response) -> None:
        nonlocal usual, received_bytes, sent_bytes
        together = request.counted_as or _cut(request)
        try:
            latency = known[together][response.status]
        except KeyError:
            latency = series(request, response.status)
        seconds = request.ended - request.began
        if seconds < WHOLE:
            latency.counts[0] += 1
        else:
            latency.observe(int(seconds * 1000))
        request_size, reply_size = len(request.body), len(response.body)
        if request_size < small and reply_size < small:
            usual += 1
            received_bytes += request_size
            sent_bytes += reply_size
        else:
            received.observe(request_size)
            sent.observe(reply_size)

    def series(request: Request, status: int) -> Histogram:
        found = metrics.http_latency.series(labels.verb(request.method), labels.path(request.target), str(status))
        if labels.is_by_store and len(known) < MAX_SERIES and (together := request.counted_as or _of_store(request)):
            known.setdefault(together, {})[status] = found
        return found

    def settle() -> None:
        nonlocal usual, received_bytes, sent_bytes
        received.observe_small(usual, received_bytes)
        sent.observe_small(usual, sent_bytes)
        usual = received_bytes = sent_bytes = 0

    metrics.before_reading.append(settle)
    return count


def _of_store(request: Request) -> tuple[str, bytes] | None:
    """What `_cut` makes of a path of this store; None where that is no store, or one with a name without end."""
    path = request.target
    store = STATE.match(path)
    # a caller can make up verbs and stores; the slash, if any, must be the first behind the name
    is_usual = store and store.end() <= MAX_TARGET and path[store.end() :][:1] in {b"", b"/"}
    return (request.method, store[0]) if store and is_usual else None


def _cut(request: Request) -> tuple[str, bytes]:
    path = request.target
    end = path.find(b"/", AFTER_STATE)
    return request.method, path[:end] if end > 0 else path
