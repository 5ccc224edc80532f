"""A server in this process for a handler of the test's own."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from dapr_state.serving.http.server import HttpServer
from dapr_state.serving.http.service import Service
from dapr_state.serving.http.settings import Settings
from dapr_state.serving.sockets import bind, port_of
from dapr_state.transports.http import problem

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from dapr_state.serving.http.service import After
    from dapr_state.serving.request_memory import RequestMemory
    from dapr_state.serving.timeouts import Timeouts


@asynccontextmanager
async def serving(
    handler: Any,
    *,
    after: Sequence[After] = (),
    max_body: int = 1 << 20,
    read_buffer: int = 4096,
    timeouts: Timeouts | None = None,
    memory: RequestMemory | None = None,
) -> AsyncIterator[tuple[HttpServer, int]]:
    """The server and its port."""
    server = HttpServer(
        Service(handler, problem.failure, after),
        Settings.read(max_body=max_body, read_buffer=read_buffer, timeouts=timeouts),
        memory=memory,
    )
    bound = bind("127.0.0.1:0")
    server.listen_on(bound)
    await server.start()
    try:
        yield server, port_of(bound)
    finally:
        await server.stop(0)


async def blocking(function: Callable[..., Any], *arguments: Any) -> Any:
    """Run a client beside the server."""
    return await asyncio.to_thread(function, *arguments)
