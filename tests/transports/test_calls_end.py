"""However a gRPC call ends, and whatever its kind, it is answered, logged, counted and traced once, on any server."""

from __future__ import annotations

import asyncio
import logging
import re
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from dapr_state.errors import STATE_STORE_NOT_FOUND
from dapr_state.observability import tracing
from dapr_state.observability.apilog import ApiLog
from dapr_state.observability.metrics import Metrics
from dapr_state.resources.configuration import ApiRule
from dapr_state.security.access import GrpcAccess
from dapr_state.serving.grpc.server import NativeServer
from dapr_state.transports.grpc.interceptors import Services
from dapr_state.transports.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

SERVERS: dict[str, Callable[..., grpc.aio.Server]] = {"native": NativeServer, "grpcio": grpc.aio.server}
SERVICE = "dapr.proto.runtime.v1.Dapr"
KINDS = ("unary_unary", "unary_stream", "stream_unary", "stream_stream")
# what is sent: what the client is told
ENDS = {b"answer": "OK", b"refuse": "INVALID_ARGUMENT", b"break": "UNKNOWN", b"abort": "NOT_FOUND"}


class Behaviors:
    """One method of each kind; what it is sent says how it ends."""

    def __init__(self) -> None:
        self.waits, self.ended = asyncio.Event(), asyncio.Event()

    async def unary_unary(self, request: bytes, context: Any) -> bytes:
        return await self._end(request, context)

    async def unary_stream(self, request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield await self._end(request, context)

    async def stream_unary(self, requests: AsyncIterator[bytes], context: Any) -> bytes:
        return await self._end(await anext(requests), context)

    async def stream_stream(self, requests: AsyncIterator[bytes], context: Any) -> None:
        await context.write(await self._end(await anext(requests), context))

    async def _end(self, request: bytes, context: Any) -> bytes:
        match request:
            case b"refuse":
                raise STATE_STORE_NOT_FOUND(store="s", app_id="app")
            case b"break":
                raise ValueError("broken")
            case b"abort":
                await context.abort(grpc.StatusCode.NOT_FOUND, "no")
            case b"wait":
                self.waits.set()
                try:
                    await asyncio.Event().wait()
                finally:
                    asyncio.get_running_loop().call_soon(self.ended.set)
        return request


class Otherwise(grpc.GenericRpcHandler):
    def service(self, _: grpc.HandlerCallDetails) -> None:
        return None


@asynccontextmanager
async def serving(kind: str, layers: Middleware, behaviors: Behaviors) -> AsyncIterator[grpc.aio.Channel]:
    """A server with a service of every kind of method behind the middleware, and a channel to it."""
    handlers = {
        each: getattr(grpc, f"{each}_rpc_method_handler")(getattr(behaviors, each), _whole, bytes) for each in KINDS
    }
    services: Any = Services(layers, Otherwise())
    services.add_generic_rpc_handlers([grpc.method_handlers_generic_handler(SERVICE, handlers)])
    server = SERVERS[kind](handlers=(services,))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(0)


def _whole(message: bytes) -> bytes:
    if message == b"unreadable":
        raise ValueError(message)
    return message


async def call(channel: grpc.aio.Channel, kind: str, request: bytes) -> str:
    """Make one call as the client of its kind does, and give its status's name."""
    made = getattr(channel, kind)(f"/{SERVICE}/{kind}")
    argument = iter([request]) if kind.startswith("stream") else request
    under_way = made(argument)
    if kind.endswith("stream"):
        with suppress(grpc.RpcError):
            assert [message async for message in under_way] == [request]
    code: grpc.StatusCode = await under_way.code()
    return code.name


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """The fields of the API log's lines."""
    with caplog.at_level(logging.INFO, "dapr"):
        yield lambda: [record.fields for record in caplog.records if record.msg == "gRPC API Called"]  # type: ignore[attr-defined]


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("request_", ENDS, ids=bytes.decode)
@pytest.mark.parametrize("traced", [False, True], ids=["", "traced"])
async def test_every_end_of_every_kind(
    server: str, kind: str, request_: bytes, traced: bool, lines: Callable[[], list[dict[str, Any]]]
) -> None:
    """The client has its status, and log, metrics and error counts have it once; streams are not counted, as there."""
    metrics = Metrics("app")
    tracer = tracing.Tracer("app", tracing.TracingOptions(ratio=1)) if traced else None
    layers = Middleware(metrics=metrics, api_log=ApiLog(), tracer=tracer, count_errors=metrics.error)
    async with serving(server, layers, Behaviors()) as channel:
        status = await call(channel, kind, request_)

    assert status == ENDS[request_]
    (line,) = lines()
    assert (line["method"], line["code"]) == (f"/{SERVICE}/{kind}", getattr(grpc.StatusCode, status).value[0])
    text = "".join(metrics.lines())
    completed = re.findall(r'completed_rpcs\{.*status="(.*?)"\} (\d+)', text)
    assert [(name.lower(), count) for name, count in completed] == (
        [(status.replace("_", "").lower(), "1")] if kind == "unary_unary" else []
    )
    is_counted = kind == "unary_unary" and request_ == b"refuse"
    assert text.count('error_code="ERR_STATE_STORE_NOT_FOUND"} 1') == is_counted


@pytest.mark.parametrize("server", SERVERS)
@pytest.mark.parametrize("kind", KINDS)
async def test_a_cancelled_call_has_its_line(server: str, kind: str, lines: Callable[[], list[dict[str, Any]]]) -> None:
    """Once its servicer has ended, under the code of cancellation."""
    behaviors = Behaviors()
    async with serving(server, Middleware(api_log=ApiLog()), behaviors) as channel:
        made = getattr(channel, kind)(f"/{SERVICE}/{kind}")
        under_way = made(iter([b"wait"]) if kind.startswith("stream") else b"wait")
        asking = asyncio.ensure_future(under_way.code())
        await behaviors.waits.wait()
        under_way.cancel()
        await behaviors.ended.wait()
        await asking

    assert [(line["method"], line["code"]) for line in lines()] == [(f"/{SERVICE}/{kind}", 1)]


@pytest.mark.parametrize("server", SERVERS)
async def test_an_unreadable_message_is_said_before_a_method_is_hidden(server: str) -> None:
    """As daprd: its lists come behind the decoding of a unary call's message; of a stream nothing is read."""
    layers = Middleware(grpc_access=GrpcAccess([ApiRule("metadata", "v1", "grpc")], []))
    async with serving(server, layers, Behaviors()) as channel:
        found = [
            await call(channel, "unary_unary", b"unreadable"),
            await call(channel, "unary_unary", b"x"),
            (await channel.unary_unary(f"/{SERVICE}/stream_stream")(b"unreadable").code()).name,
        ]

    assert found == ["INTERNAL", "UNIMPLEMENTED", "UNIMPLEMENTED"]
