"""A server in its own process, with a method for each way a servicer may behave: ADDRESS [option=number ...]."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
import sys
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

import grpc
import uvloop
from grpc_health.v1 import health, health_pb2_grpc
from grpc_reflection.v1alpha import reflection
from msgspec.structs import replace

from dapr_state.serving.grpc import NativeServer
from dapr_state.serving.grpc.settings import TIMEOUTS, Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SERVICE = "test.Probe"
Context = Any

cancelled: list[str] = []
leaking: ContextVar[str] = ContextVar("leaking", default="clean")


async def echo(request: bytes, _: Context) -> bytes:
    return request


async def later(request: bytes, _: Context) -> bytes:
    await asyncio.sleep(0)
    return request


def plain(request: bytes, _: Context) -> bytes:
    return request


async def sized(request: bytes, _: Context) -> bytes:
    return b"x" * int(request)


async def metadata(_: bytes, context: Context) -> bytes:
    seen = [(key, value if isinstance(value, str) else list(value)) for key, value in context.invocation_metadata()]
    await context.send_initial_metadata((("first", "1"), ("first-bin", b"\0\1")))
    context.set_trailing_metadata((("last", "2"), ("last-bin", b"\xff\xfe")))
    return json.dumps({"metadata": seen, "peer": context.peer(), "left": context.time_remaining()}).encode()


async def fail(_: bytes, __: Context) -> bytes:
    raise ValueError("broken")


async def abort(request: bytes, context: Context) -> bytes:
    await context.abort(grpc.StatusCode.FAILED_PRECONDITION, request.decode(), (("why-bin", b"details"),))
    return b"never"


async def unsendable(request: bytes, context: Context) -> bytes:
    """Sets metadata that HTTP/2 cannot carry, at the beginning or at the end."""
    if request == b"first":
        await context.send_initial_metadata((("bad name", "1"),))
    context.set_trailing_metadata((("fine", "line\nbreak"),))
    return b"never"


async def coded(_: bytes, context: Context) -> bytes:
    context.set_code(grpc.StatusCode.NOT_FOUND)
    context.set_details("not here")
    return b"dropped"


async def hang(request: bytes, context: Context) -> bytes:
    try:
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        cancelled.append(f"{request.decode()} {context.cancelled()} {context.done()}")
        raise
    return b"never"


async def stubborn(_: bytes, __: Context) -> bytes:
    """Goes on after its cancellation, until somebody lets it go."""
    stubborn_calls.append(1)
    while not released.is_set():
        with contextlib.suppress(asyncio.CancelledError):
            await released.wait()
    return b"late"


stubborn_calls: list[int] = []
released = asyncio.Event()


async def running(_: bytes, __: Context) -> bytes:
    return b"%d" % len(stubborn_calls)


async def release(_: bytes, __: Context) -> bytes:
    released.set()
    return b""


async def report(_: bytes, __: Context) -> bytes:
    return json.dumps(cancelled).encode()


async def tasks(_: bytes, __: Context) -> bytes:
    """Time out, group tasks, and be cancelled by oneself, from the first line on."""
    seen = []
    first = asyncio.current_task()
    try:
        async with asyncio.timeout(0.01):
            await asyncio.Event().wait()
    except TimeoutError:
        seen.append("timeout")
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(_raise())
            await asyncio.Event().wait()
    except* ValueError:
        seen.append("group")
    try:
        await asyncio.wait_for(asyncio.Event().wait(), 0.01)
    except TimeoutError:
        seen.append("wait_for")
    seen.append("same" if asyncio.current_task() is first else "other")
    return " ".join(seen).encode()


async def _raise() -> None:
    raise ValueError("one of the group")


async def context_variable(_: bytes, __: Context) -> bytes:
    before = leaking.get()
    leaking.set("dirty")
    await asyncio.sleep(0)
    return f"{before} {leaking.get()}".encode()


async def count(request: bytes, _: Context) -> AsyncIterator[bytes]:
    try:
        for number in range(int(request)):
            yield b"%d" % number
    except (asyncio.CancelledError, GeneratorExit):
        cancelled.append("count")
        raise


async def many(request: bytes, _: Context) -> AsyncIterator[bytes]:
    """Messages of 1 kB."""
    for number in range(int(request)):
        yield b"%01024d" % number


async def write(request: bytes, context: Context) -> None:
    for number in range(int(request)):
        await context.write(b"%d" % number)


async def half(_: bytes, context: Context) -> AsyncIterator[bytes]:
    yield b"one"
    await context.abort(grpc.StatusCode.DATA_LOSS, "the rest is lost")


async def total(requests: AsyncIterator[bytes], _: Context) -> bytes:
    return b"%d" % sum([len(request) async for request in requests])


async def early(requests: AsyncIterator[bytes], _: Context) -> bytes:
    """Answer after the first message, whatever else may come."""
    return await anext(requests)


async def hang_reading(_: AsyncIterator[bytes], __: Context) -> bytes:
    """Read nothing of the requests."""
    await asyncio.Event().wait()
    return b"never"


async def chat(requests: AsyncIterator[bytes], _: Context) -> AsyncIterator[bytes]:
    async for request in requests:
        yield request


async def flood(requests: AsyncIterator[bytes], context: Context) -> None:
    """Answer more than a window at the first message, and end without waiting for it to be taken."""
    await anext(requests)
    writing = asyncio.ensure_future(context.write(b"x" * 1_000_000))
    await asyncio.sleep(0)
    writing.add_done_callback(lambda done: done.cancelled() or done.exception())


async def together(request: bytes, context: Context) -> None:
    """Several tasks write at once, each more than a window."""
    await asyncio.gather(*(context.write(b"%d" % number * 100_000) for number in range(int(request))))


async def read(_: Any, context: Context) -> None:
    while (request := await context.read()) is not grpc.aio.EOF:
        await context.write(request)


async def share(_: Any, context: Context) -> None:
    """Two tasks read the same requests, and answer each."""

    async def answer() -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            await context.write(request)

    await asyncio.gather(answer(), answer())


def handlers() -> dict[str, Any]:
    unary = (echo, later, plain, sized, metadata, fail, abort, coded, hang, stubborn, release, report, running)
    unary += (unsendable, tasks, context_variable)
    named = {each.__name__: grpc.unary_unary_rpc_method_handler(each) for each in unary}  # type: ignore[type-var]
    named |= {
        each.__name__: grpc.unary_stream_rpc_method_handler(each) for each in (count, many, write, half, together)
    }
    named |= {each.__name__: grpc.stream_unary_rpc_method_handler(each) for each in (total, early, hang_reading)}
    named |= {each.__name__: grpc.stream_stream_rpc_method_handler(each) for each in (chat, read, flood, share)}  # type: ignore[type-var]
    named["parsed"] = grpc.unary_unary_rpc_method_handler(echo, request_deserializer=lambda data: int(data).to_bytes(1))
    return named


async def serve(address: str, options: dict[str, str]) -> None:
    grace = float(options.pop("grace", "0"))
    settings = Settings(timeouts=replace(TIMEOUTS, stall=float(options.pop("stall", "300"))))
    server = NativeServer(settings=settings, options=[(name, int(value)) for name, value in options.items()])
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers()),))
    health_pb2_grpc.add_HealthServicer_to_server(health.aio.HealthServicer(), server)
    reflection.enable_server_reflection((SERVICE, reflection.SERVICE_NAME), server)
    port = server.add_insecure_port(address)
    await server.start()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, lambda: asyncio.ensure_future(server.stop(grace)))
    print(f"listening on {port}", flush=True)  # noqa: T201 - how the test learns it
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(serve(sys.argv[1], dict(word.split("=", 1) for word in sys.argv[2:])))
