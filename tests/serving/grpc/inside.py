"""The native server in this process, for tests that tell it what time it is or look at its turns."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc

from dapr_state.serving.grpc import NativeServer
from tests.serving.grpc.program import SERVICE, handlers

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dapr_state.serving.grpc.settings import Settings
    from dapr_state.serving.request_memory import RequestMemory


@asynccontextmanager
async def serving(
    settings: Settings | None = None, *, memory: RequestMemory | None = None, **unary: Any
) -> AsyncIterator[tuple[NativeServer, int]]:
    """The server and its port; with methods of the test's own."""
    server = NativeServer(settings=settings, memory=memory)
    own = {name: grpc.unary_unary_rpc_method_handler(method) for name, method in unary.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers() | own),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield server, port
    finally:
        await server.stop(0)


async def blocking(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a client beside the server."""
    return await asyncio.to_thread(function, *arguments)
