"""A way to a server that cuts connections, and holds for a while what is asked or what is answered."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Self

READ_AT_ONCE = 1 << 16


class Unsteady:
    """Listens on `port`, and passes on to a server. What is held goes on with `go_on`; who is cut off is so at once."""

    def __init__(self, server_port: int) -> None:
        self._server_port = server_port
        self._requests = asyncio.Event()
        self._answers = asyncio.Event()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.cuts = 0
        self.held = 0  # pieces, so far
        self.go_on()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def go_on(self) -> None:
        self._requests.set()
        self._answers.set()

    def hold_requests(self) -> None:
        self._requests.clear()

    def hold_these(self) -> asyncio.Event:
        """Hold what is asked on the connections that there are; set the event, and it comes to the server after all."""
        held, self._requests = self._requests, asyncio.Event()
        held.clear()
        self._requests.set()
        return held

    def hold_answers(self) -> None:
        """What is asked comes to the server, and is done; nobody is told."""
        self._answers.clear()

    def cut(self) -> None:
        """End all connections, in the midst of whatever they carry."""
        self.cuts += 1
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            to_server = await asyncio.open_connection("127.0.0.1", self._server_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, to_server[1]}
        ways = [(reader, to_server[1], self._requests), (to_server[0], writer, self._answers)]
        tasks = [asyncio.create_task(self._pass_on(*way)) for way in ways]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for each in (writer, to_server[1]):
            each.transport.abort()
            self._writers.discard(each)
        for task in tasks:
            task.cancel()
            self._tasks.discard(task)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, may: asyncio.Event) -> None:
        with suppress(OSError):
            while data := await reader.read(READ_AT_ONCE):
                self.held += not may.is_set()
                await may.wait()
                writer.write(data)
                await writer.drain()
