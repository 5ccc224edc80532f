"""A server that speaks raw bytes, so that a test can let it misbehave."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

from dapr_state.stores.redis.connection import Connection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


class Peer:
    """The other end of one connection: `received` is what came, in the pieces in which it was read."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.came = asyncio.Event()
        self._writer: asyncio.StreamWriter | None = None
        self._reader: asyncio.StreamReader | None = None

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer
        self.came.set()

    async def read(self) -> bytes:
        assert self._reader
        self.received.append(await self._reader.read(1 << 20))
        return self.received[-1]

    async def ended(self) -> None:
        """Wait until the client has hung up."""
        assert self._reader
        with suppress(ConnectionError):
            await self._reader.read()

    def answer(self, replies: bytes) -> None:
        assert self._writer
        self._writer.write(replies)

    def hang_up(self) -> None:
        if self._writer:
            self._writer.close()


@asynccontextmanager
async def connected(*, marks: bool = False, **options: Any) -> AsyncIterator[tuple[Connection, Peer]]:
    """A connection and its peer; without marks the peer has only to answer what the test asks."""
    peer = Peer()
    server = await asyncio.start_server(peer.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    connection = Connection(f"127.0.0.1:{port}", **options)
    connection.marks = marks
    await asyncio.get_running_loop().create_connection(lambda: connection, "127.0.0.1", port)
    await peer.came.wait()
    try:
        yield connection, peer
    finally:
        await connection.close(0)
        peer.hang_up()
        server.close()
        await server.wait_closed()
