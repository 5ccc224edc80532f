"""The application of the bench on two hosts, PORT TYPE: it hosts actors of one type, and answers everything at once."""

from __future__ import annotations

import asyncio
import json
import sys

import uvloop

BREAK = b"\r\n\r\n"


class App(asyncio.Protocol):
    config = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(BREAK)) >= 0:
            head = self._buffer[:end].lower()
            at = head.find(b"content-length:")
            stop = end + len(BREAK) + (int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0)
            if len(self._buffer) < stop:
                return
            self._buffer = self._buffer[stop:]
            body = self.config if b" /dapr/config " in head else b"{}"
            answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b"
            self._transport.write(answer % (len(body), body))  # type: ignore[attr-defined]  # it is a Transport


async def main(port: str, actor_type: str) -> None:
    App.config = json.dumps({"entities": [actor_type], "actorIdleTimeout": "1h"}).encode()
    server = await asyncio.get_running_loop().create_server(App, "127.0.0.1", int(port))
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main(*sys.argv[1:]))
