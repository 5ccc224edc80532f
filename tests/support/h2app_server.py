"""An application that speaks HTTP/2 only, without TLS or with it: h2app_server.py PORT [CERTIFICATE KEY].

It answers with the body that came in and tells its headers; the last part of the path says how it misbehaves.
"""

from __future__ import annotations

import asyncio
import os
import ssl
import sys
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import DataReceived, RequestReceived, StreamEnded, WindowUpdated
from h2.settings import SettingCodes

AT_ONCE = 4  # requests of one connection


class App(asyncio.Protocol):
    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.h2.initiate_connection()
        self.h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: AT_ONCE})
        self.headers: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytes] = {}
        self.unsent: dict[int, bytes] = {}
        self.flush()

    def data_received(self, data: bytes) -> None:
        for event in self.h2.receive_data(data):
            if isinstance(event, RequestReceived):
                self.headers[event.stream_id] = dict(event.headers)  # type: ignore[arg-type]
                self.bodies[event.stream_id] = b""
            elif isinstance(event, DataReceived):
                self.bodies[event.stream_id] += event.data
                self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
            elif isinstance(event, StreamEnded):
                self.answer(event.stream_id)
            elif isinstance(event, WindowUpdated):
                for number in tuple(self.unsent):
                    self.send(number)
        self.flush()

    def answer(self, number: int) -> None:
        headers, body = self.headers[number], self.bodies[number]
        match headers[":path"].rpartition("/")[2]:
            case "hold":
                return
            case "die":
                os._exit(9)
            case "reset":
                self.h2.reset_stream(number, 2)
            case "goaway":
                self.h2.close_connection()
            case "drop":
                self.transport.abort()
            case "nonsense":
                self.transport.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
                self.transport.close()
            case "HealthCheck":
                self.tell_health(number)
            case "config":
                self.echo(number, headers, b'{"entities":["cart"]}')
            case _:
                self.echo(number, headers, body)

    def echo(self, number: int, headers: dict[str, str], body: bytes) -> None:
        told = [("x-told-" + name.lstrip(":"), value) for name, value in headers.items()]
        self.h2.send_headers(number, [(":status", "200"), *told], end_stream=not body)
        self.unsent[number] = body
        self.send(number)

    def tell_health(self, number: int) -> None:
        self.h2.send_headers(number, [(":status", "200"), ("content-type", "application/grpc")])
        self.h2.send_data(number, bytes(5))
        trailers = [("grpc-status", os.environ.get("HEALTH", "0")), ("grpc-message", "ill")]
        self.h2.send_headers(number, trailers, end_stream=True)

    def send(self, number: int) -> None:
        while body := self.unsent.get(number):
            size = min(self.h2.local_flow_control_window(number), self.h2.max_outbound_frame_size)
            if size <= 0:
                return
            self.unsent[number] = body[size:]
            self.h2.send_data(number, body[:size], end_stream=len(body) <= size)
        self.unsent.pop(number, None)

    def flush(self) -> None:
        self.transport.write(self.h2.data_to_send())


def tls(certificate: str, key: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    return context


async def main(port: str, *pair: str) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(App, "127.0.0.1", int(port), ssl=tls(*pair) if pair else None)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
