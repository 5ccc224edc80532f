"""The program of rawapp.py: an HTTP/1.1 application that does what its rules say, and remembers what it was asked.

    rawapp_server.py PORT [CONFIG] [CERTIFICATE KEY]

Asked for `/control/...` it obeys the test; everything else is the sidecar's, and answered by the first rule that
matches, or else as an obedient actor host would: the configuration, or the body that came in.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import ssl
import struct
import sys
from contextlib import suppress
from itertools import count
from typing import Any

CHUNK = 4096


class Request:
    def __init__(self, head: bytes, body: bytes, connection: int) -> None:
        line, *fields = head.decode("latin-1").split("\r\n")
        self.method, self.target, self.version = line.split(" ")
        self.headers = [tuple(field.split(": ", 1)) for field in fields if field]
        self.body = body
        self.connection = connection


class App:
    def __init__(self, config: str) -> None:
        self.config = config
        self.rules: list[dict[str, Any]] = []
        self.seen: list[dict[str, Any]] = []
        self.holding: list[asyncio.Event] = []
        self.connections = count(1)
        self.steps = count(1)  # numbers what begins and ends, so that overlaps show

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        number = next(self.connections)
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await self.serve_one(reader, writer, number):
                pass
        writer.close()

    async def serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        """One request and its answer; whether the connection stays open."""
        head = (await reader.readuntil(b"\r\n\r\n"))[:-4]
        if b"expect: 100-continue" in head.lower():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        request = Request(head, b"", number)
        rule = self.rule(request)
        if not rule.get("early"):
            request.body = await read_body(reader, head)
        if request.target.startswith("/control/"):
            writer.write(plain(200, self.control(request)))
            return True
        note = self.note(request)
        await self.obey(rule, writer)
        keep = answer(rule, request, self.config, writer)
        await writer.drain()
        note["ended"] = next(self.steps)
        if rule.get("early"):
            await read_body(reader, head)
        return keep

    async def obey(self, rule: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        """What is to happen before the answer."""
        if rule.get("hold"):
            gate = asyncio.Event()
            self.holding.append(gate)
            await gate.wait()
        if rule.get("delay"):
            await asyncio.sleep(rule["delay"])
        if rule.get("die"):
            os._exit(9)
        if rule.get("drop"):
            raise ConnectionError
        if rule.get("reset"):
            reset(writer)

    def control(self, request: Request) -> bytes:
        match request.target.removeprefix("/control/"):
            case "rules":
                self.rules = json.loads(request.body)
            case "release":
                for gate in self.holding:
                    gate.set()
                self.holding.clear()
            case "forget":
                self.seen.clear()
            case "seen":
                return json.dumps(self.seen).encode()
            case "holding":
                return json.dumps(len(self.holding)).encode()
        return b"null"

    def rule(self, request: Request) -> dict[str, Any]:
        for rule in self.rules:
            if re.search(rule["match"], f"{request.method} {request.target}") and rule.get("times", 1):
                if "times" in rule:
                    rule["times"] -= 1
                return rule
        return {}

    def note(self, request: Request) -> dict[str, Any]:
        note = {
            "method": request.method,
            "target": request.target,
            "headers": request.headers,
            "body": request.body.decode("latin-1"),
            "connection": request.connection,
            "began": next(self.steps),
            "ended": None,
        }
        self.seen.append(note)
        return note


def answer(rule: dict[str, Any], request: Request, config: str, writer: asyncio.StreamWriter) -> bool:
    """Write it; whether the connection stays open."""
    status, body = 200, request.body
    if request.target == "/dapr/config":
        status, body = (200, config.encode()) if config else (404, b"")
    status, body = rule.get("status", status), rule.get("body", body.decode("latin-1")).encode("latin-1")
    body = bytes(rule["size"]) if "size" in rule else body
    lines = [*(f"{name}: {value}" for name, value in rule.get("headers", ())), *rule.get("lines", ())]
    head = f"HTTP/{rule.get('version', '1.1')} {status} {rule.get('reason', 'Whatever')}".rstrip()
    for interim in rule.get("interim", ()):
        writer.write(f"HTTP/1.1 {interim} Wait\r\nLink: </x>\r\n\r\n".encode())
    if rule.get("chunked"):
        data = b"".join(
            b"%x\r\n%b\r\n" % (len(body[at : at + CHUNK]), body[at : at + CHUNK]) for at in range(0, len(body), CHUNK)
        )
        lines.append("Transfer-Encoding: chunked")
        data += b"0\r\nX-Trailer: late\r\n\r\n"
    elif rule.get("until_close"):
        data = body
    else:
        data = body
        if status not in {204, 304}:
            lines.append(f"Content-Length: {len(body)}")
    if rule.get("close"):
        lines.append("Connection: close")
    data = "\r\n".join((head, *lines, "", "")).encode("latin-1") + data
    if "raw" in rule:
        data = rule["raw"].encode("latin-1")
    if "cut" in rule:  # only so many bytes of it
        data = data[: rule["cut"]]
    writer.write(data)
    return not (rule.keys() & {"until_close", "close", "cut", "hang_up"})


def plain(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d OK\r\nContent-Length: %d\r\n\r\n%b" % (status, len(body), body)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close without a farewell: the other side sees a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()
    raise ConnectionError


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    if length := re.search(rb"(?i)\r\ncontent-length: *(\d+)", head):
        return await reader.readexactly(int(length[1]))
    if not re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
        return b""
    body = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readexactly(2)
    return body


def tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


async def main(port: str, config: str = "", *pair: str) -> None:
    app = App(config)
    server = await asyncio.start_server(
        app.serve, "127.0.0.1", int(port), ssl=tls(*pair) if pair else None, limit=1 << 20, backlog=1024
    )
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
