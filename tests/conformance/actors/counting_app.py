"""An actor application that counts in actor state and says when two turns of one actor run at once.

    counting_app.py PORT SIDECAR_PORT

`add` reads the actor's count, waits a moment and writes it back one higher, together with a key that the call names;
`nest` does so after it has called its own actor. A reminder or timer writes a key of its own name.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from collections import Counter, defaultdict
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

VIOLATION = "two turns at once"
CONFIG = {
    "entities": ["counter", "nested"],
    "entitiesConfig": [{"entities": ["nested"], "reentrancy": {"enabled": True, "maxStackDepth": 8}}],
}
LONGEST = 0.002  # seconds between the read and the write of a turn

Headers = dict[str, str]


class App:
    def __init__(self, sidecar: int) -> None:
        self._sidecar = sidecar
        self._running: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._numbers = iter(range(10**9))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                first, headers, body = await _read(reader)
                status, answer = await self._answer(first.split(" ")[1], headers, body)
                writer.write(b"HTTP/1.1 %d X\r\nContent-Length: %d\r\n\r\n%b" % (status, len(answer), answer))
                await writer.drain()
        writer.close()

    async def _answer(self, target: str, headers: Headers, body: bytes) -> tuple[int, bytes]:
        if target == "/dapr/config":
            return 200, json.dumps(CONFIG).encode()
        _, _, kind, actor, *method = urlsplit(target).path.split("/")
        if not method:  # it is deactivated
            return 200, b""
        with self._turn(f"{kind}/{actor}", headers.get("dapr-reentrancy-id") or str(next(self._numbers))):
            try:
                return 200, await self._run(f"/v1.0/actors/{kind}/{actor}", method[1:], headers, body)
            except Refused as refused:
                return 500, str(refused).encode()

    @contextmanager
    def _turn(self, actor: str, flight: str) -> Iterator[None]:
        running = self._running[actor]
        running[flight] += 1
        if len(running) > 1:
            sys.stdout.write(f"{VIOLATION}: {actor} {dict(running)}\n")
            sys.stdout.flush()
        try:
            yield
        finally:
            running[flight] -= 1
            if not running[flight]:
                del running[flight]

    async def _run(self, base: str, method: list[str], headers: Headers, body: bytes) -> bytes:
        match method:
            case ["add", name]:
                return await self._add(base, name)
            case ["nest", name, depth]:
                if depth != "0":
                    inner = f"{base}/method/nest%2F{name}-{depth}%2F{int(depth) - 1}"
                    await self._ask("POST", inner, b"", headers["dapr-reentrancy-id"])
                return await self._add(base, name)
            case ["remind" | "timer" as what, name]:
                await self._write(base, {f"{what}-{name}": 1})
        return body

    async def _add(self, base: str, name: str) -> bytes:
        count = json.loads(await self._ask("GET", f"{base}/state/count") or b"0")
        await asyncio.sleep(random.uniform(0, LONGEST))
        await self._write(base, {"count": count + 1, name: count + 1})
        return json.dumps(count + 1).encode()

    async def _write(self, base: str, values: dict[str, Any]) -> None:
        operations = [{"operation": "upsert", "request": {"key": key, "value": value}} for key, value in values.items()]
        await self._ask("POST", f"{base}/state", json.dumps(operations).encode())

    async def _ask(self, method: str, target: str, body: bytes = b"", flight: str = "") -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._sidecar)
            try:
                own = f"Dapr-Reentrancy-Id: {flight}\r\n" if flight else ""
                head = f"{method} {target} HTTP/1.1\r\nHost: localhost\r\n{own}Content-Length: {len(body)}\r\n\r\n"
                writer.write(head.encode() + body)
                first, _, answer = await _read(reader)
            finally:
                writer.close()
        except (OSError, asyncio.IncompleteReadError) as error:
            raise Refused(repr(error)) from error
        if first.split(" ")[1] not in {"200", "204"}:
            raise Refused(f"{first} {answer.decode()}")
        return answer


class Refused(Exception):
    """The sidecar did not do what it was asked."""


async def _read(reader: asyncio.StreamReader) -> tuple[str, Headers, bytes]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines) if name}
    return first, headers, await reader.readexactly(int(headers.get("content-length", 0)))


async def main(port: str, sidecar: str) -> None:
    server = await asyncio.start_server(App(int(sidecar)).serve, "127.0.0.1", int(port), backlog=1024)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
