"""gRPC calls counted: their number, time and sizes, under daprd's names."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state.clock import SYSTEM
from dapr_state.observability.exposition import WHOLE
from dapr_state.transports.grpc import answers
from dapr_state.wire import grpc as framing

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dapr_state.observability.metrics import Metrics

    Context = grpc.aio.ServicerContext[Any, Any]
    Behavior = Callable[[Any, Context], Awaitable[Any]]

# Go's names of the codes, which the metrics have as labels
_GO_NAMES: Final = {
    code.value[0]: code.name.title().replace("_", "").replace("Cancelled", "Canceled") if code.value[0] else "OK"
    for code in grpc.StatusCode
}


class Meter:
    """Counts the calls of one method.

    Nearly every call succeeds, in less than a millisecond, with small messages: it costs three additions, which are
    moved to the metrics when these are read.
    """

    __slots__ = (
        "_latency",
        "_method",
        "_ok",
        "_received",
        "_received_bytes",
        "_sent",
        "_sent_bytes",
        "_small",
        "_usual",
    )

    def __init__(self, method: str, metrics: Metrics) -> None:
        self._method = method
        self._latency = metrics.grpc_latency
        self._ok = metrics.grpc_latency.series(method, _GO_NAMES[0])
        self._received = metrics.grpc_received_bytes.series(method)
        self._sent = metrics.grpc_sent_bytes.series(method)
        self._small = self._received.first_bound
        self._usual = self._received_bytes = self._sent_bytes = 0
        metrics.before_reading.append(self._settle)

    def __repr__(self) -> str:
        return f"<Meter {self._method}>"

    def answered(self, received: int, sent: int, seconds: float) -> None:
        """A call succeeded: the sizes of its messages, and how long it took."""
        if seconds < WHOLE and received < self._small and sent < self._small:
            self._usual += 1
            self._received_bytes += received
            self._sent_bytes += sent
        else:
            self._ok.observe(int(seconds * 1000))
            self._received.observe(received)
            self._sent.observe(sent)

    def failed(self, code: int, received: int, seconds: float) -> None:
        """A call ended with this status, which is not OK."""
        self._latency.series(self._method, _GO_NAMES[code]).observe(int(seconds * 1000))
        self._received.observe(received)
        self._sent.observe(0)

    def _settle(self) -> None:
        self._ok.observe_small(self._usual, 0)
        self._received.observe_small(self._usual, self._received_bytes)
        self._sent.observe_small(self._usual, self._sent_bytes)
        self._usual = self._received_bytes = self._sent_bytes = 0


class MeteredHandler(grpc.RpcMethodHandler):  # type: ignore[type-arg]  # it takes none when it runs
    """A unary handler whose calls are counted, on any server.

    A server that counts by itself, and knows what an error means, saves the coroutine that this takes: it has `plain`
    for its handler, tells `meter` of every call, and asks `status_of` what an exception means.
    """

    request_streaming = response_streaming = False
    unary_stream = stream_unary = stream_stream = None
    # decoding and encoding are done where the sizes are counted; `bytes` gives bytes back as they are
    request_deserializer = response_serializer = bytes

    def __init__(self, handler: grpc.RpcMethodHandler[Any, Any], behavior: Behavior, meter: Meter) -> None:
        self._deserialize: Any = handler.request_deserializer
        self._serialize: Any = handler.response_serializer
        self._behavior = behavior
        inner = answers.inner(behavior)
        self.plain = grpc.unary_unary_rpc_method_handler(inner, self._deserialize, self._serialize)
        self.meter = meter
        self.status_of = answers.status_of

    async def unary_unary(self, data: bytes, context: Context) -> bytes:  # type: ignore[override]  # for grpc.aio
        try:
            request = self._deserialize(data)
        except Exception:  # noqa: BLE001  what protobuf raises depends on its implementation
            await context.abort(grpc.StatusCode.INTERNAL, framing.UNREADABLE)
        began = SYSTEM.monotonic()
        try:
            response = await self._behavior(request, context)
        except BaseException as error:
            self.meter.failed(code_of(error, context), len(data), SYSTEM.monotonic() - began)
            raise
        reply: bytes = self._serialize(response)
        self.meter.answered(len(data), len(reply), SYSTEM.monotonic() - began)
        return reply


def code_of(error: BaseException, context: Context) -> int:
    """The status that a call ends with that raised this."""
    code: Any = context.code()  # a number on one server, a name on the other; 0 and OK until it was aborted
    number: int = getattr(code, "value", (code,))[0]
    cancelled = isinstance(error, asyncio.CancelledError)
    return number or (grpc.StatusCode.CANCELLED if cancelled else grpc.StatusCode.UNKNOWN).value[0]
