"""The application of a host: it counts in actor state, and writes down when each turn begins and ends.

    app.py PORT SIDECAR_PORT RECORD

`add` reads the actor's count, waits a moment, writes it back one higher, and answers it. A line of the record is
written before and after each turn: moment (of the machine's monotonic clock), number of the turn, actor, what it was.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

TYPE: Final = "cart"
LONGEST: Final = 0.03  # seconds between the read and the write of a turn


class App:
    def __init__(self, sidecar: int, record: int) -> None:
        self._sidecar = sidecar
        self._record = record
        self._numbers = iter(range(10**9))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                target, body = await _read(reader)
                status, answer = await self._answer(target.split(" ")[1], body)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))
                await writer.drain()
        writer.close()

    async def _answer(self, target: str, _: bytes) -> tuple[int, bytes]:
        if target == "/dapr/config":
            return 200, json.dumps({"entities": [TYPE]}).encode()
        if not target.startswith("/actors/"):
            return 200, b""
        _, _, _, actor, *method = urlsplit(target).path.split("/")
        turn = next(self._numbers)
        self._write(turn, actor, "/".join(method[1:]) or "end of the actor")
        try:
            return (200, await self._add(f"/v1.0/actors/{TYPE}/{actor}")) if method[1:] == ["add"] else (200, b"")
        except (Refused, OSError, asyncio.IncompleteReadError) as error:
            return 500, repr(error).encode()
        finally:
            self._write(turn, actor, "")

    def _write(self, turn: int, actor: str, what: str) -> None:
        """At once, and whole: the process may be killed at any moment."""
        os.write(self._record, json.dumps([time.monotonic(), turn, actor, what]).encode() + b"\n")

    async def _add(self, base: str) -> bytes:
        count = json.loads(await self._ask("GET", f"{base}/state/count") or b"0") + 1
        await asyncio.sleep(random.uniform(0, LONGEST))
        operation = {"operation": "upsert", "request": {"key": "count", "value": count}}
        await self._ask("POST", f"{base}/state", json.dumps([operation]).encode())
        return json.dumps(count).encode()

    async def _ask(self, method: str, target: str, body: bytes = b"") -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._sidecar)
        try:
            writer.write(
                f"{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            first, answer = await _read(reader)
        finally:
            writer.close()
        if first.split(" ")[1] not in {"200", "204"}:
            raise Refused(f"{first} {answer.decode()}")
        return answer


class Refused(Exception):
    """The sidecar did not do what it was asked."""


async def _read(reader: asyncio.StreamReader) -> tuple[str, bytes]:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}
    return first, await reader.readexactly(int(headers.get("content-length", 0)))


async def main(port: str, sidecar: str, record: str) -> None:
    written = os.open(record, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    server = await asyncio.start_server(App(int(sidecar), written).serve, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
