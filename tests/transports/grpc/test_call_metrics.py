"""What becomes of each call is counted, by a server that counts itself and by one that does not."""

from __future__ import annotations

import asyncio
import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from dapr_state.errors import STATE_STORE_NOT_FOUND
from dapr_state.observability.metrics import Metrics
from dapr_state.serving.grpc.observed import ObservedHandler
from dapr_state.serving.grpc.server import NativeServer
from dapr_state.transports.grpc import status
from dapr_state.transports.grpc.call_metrics import CallMetrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

SERVERS: dict[str, Callable[..., grpc.aio.Server]] = {"native": NativeServer, "grpcio": grpc.aio.server}
LIMIT = 1000


class Behaviors(grpc.GenericRpcHandler):
    """A method for each way in which a call can end."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._handlers: dict[str, ObservedHandler] = {}
        self.waits, self.ended = asyncio.Event(), asyncio.Event()

    def service(self, details: grpc.HandlerCallDetails) -> ObservedHandler:
        method = details.method
        if method not in self._handlers:
            plain = grpc.unary_unary_rpc_method_handler(getattr(self, method.rpartition("/")[2]), bytes, bytes)
            self._handlers[method] = ObservedHandler(
                plain, status.of_exception, CallMetrics(method, self._metrics).count
            )
        return self._handlers[method]

    async def answer(self, request: bytes, _: Any) -> bytes:
        return request

    async def abort(self, _: bytes, context: Any) -> None:
        await context.abort(grpc.StatusCode.NOT_FOUND, "no")

    async def fail(self, _: bytes, __: Any) -> None:
        raise STATE_STORE_NOT_FOUND(store="s", app_id="app")

    async def break_(self, _: bytes, __: Any) -> None:
        raise ValueError("broken")

    async def wait(self, _: bytes, __: Any) -> None:
        self.waits.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()

    async def set_code(self, request: bytes, context: Any) -> bytes:
        context.set_code(grpc.StatusCode.ABORTED)
        return request

    async def too_much(self, _: bytes, __: Any) -> bytes:
        return b"x" * (LIMIT + 1)


@asynccontextmanager
async def serving(kind: str, behaviors: Behaviors) -> AsyncIterator[grpc.aio.Channel]:
    server = SERVERS[kind](handlers=(behaviors,), options=[("grpc.max_send_message_length", LIMIT)])
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


def counted(metrics: Metrics) -> dict[tuple[str, str], str]:
    """The calls by method and status."""
    pattern = re.compile(r'completed_rpcs\{.*method="(.*?)".*status="(.*?)".*\} (\d+)')
    return {(method, status): count for method, status, count in pattern.findall("".join(metrics.lines()))}


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    ("method", "status"),
    [("answer", "OK"), ("abort", "NotFound"), ("fail", "InvalidArgument"), ("break_", "Unknown")],
)
async def test_a_call_is_counted_once_under_its_status(kind: str, method: str, status: str) -> None:
    """However it ends, and the client sees the same status."""
    metrics = Metrics("app")
    async with serving(kind, Behaviors(metrics)) as channel:
        call = channel.unary_unary(f"/t/{method}")(b"request")
        code = await call.code()

    assert code.name.replace("_", "").lower() == status.lower()
    assert counted(metrics) == {(f"/t/{method}", status): "1"}


@pytest.mark.parametrize("kind", SERVERS)
async def test_a_cancelled_call_is_counted_when_its_servicer_has_ended(kind: str) -> None:
    """Under the name that Go has for it."""
    metrics = Metrics("app")
    behaviors = Behaviors(metrics)
    async with serving(kind, behaviors) as channel:
        call = channel.unary_unary("/t/wait")(b"")
        await behaviors.waits.wait()
        call.cancel()
        await behaviors.ended.wait()

    assert counted(metrics) == {("/t/wait", "Canceled"): "1"}


@pytest.mark.parametrize(("method", "status"), [("set_code", "Aborted"), ("too_much", "ResourceExhausted")])
async def test_the_native_server_counts_what_only_a_server_knows(method: str, status: str) -> None:
    """A status that was set without an abort, and an answer beyond the limit."""
    metrics = Metrics("app")
    async with serving("native", Behaviors(metrics)) as channel:
        code = await channel.unary_unary(f"/t/{method}")(b"").code()

    assert code.name.replace("_", "").lower() == status.lower()
    assert counted(metrics) == {(f"/t/{method}", status): "1"}
