"""The octets that a connection takes which nobody uses, both ends in this process: plain, and with TLS."""

from __future__ import annotations

import gc
import ssl
import sys
import tempfile
from pathlib import Path
from resource import getpagesize
from typing import TYPE_CHECKING

import grpc
import uvloop

from dapr_state.serving.grpc import NativeServer
from dapr_state.serving.grpc.channel import Channel
from tests.security.test_spiffe import Authority
from tests.serving.grpc.program import SERVICE, handlers

if TYPE_CHECKING:
    from dapr_state.serving.tls import Tls

CONNECTIONS = 100


class Anybody:
    """TLS with whomever the authority has signed."""

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context

    def context(self) -> ssl.SSLContext:
        return self._context

    def check(self, connection: ssl.SSLObject) -> None:
        pass


async def measure(server_end: Tls | None, client_end: Tls | None) -> int:
    server = NativeServer(tls=server_end)
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, handlers()),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()

    async def connected() -> Channel:
        channel = Channel(f"127.0.0.1:{port}", client_end)
        await channel.unary_unary(f"/{SERVICE}/echo", bytes, bytes)(b"x" * 100)
        return channel

    channels = [await connected() for _ in range(10)]
    before = _resident()
    channels += [await connected() for _ in range(CONNECTIONS)]
    taken = (_resident() - before) // CONNECTIONS
    for channel in channels:
        await channel.close()
    await server.stop(0)
    return taken


def _resident() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * getpagesize()


async def main() -> None:
    authority = Authority()
    with tempfile.TemporaryDirectory() as folder:
        server_end, client_end = (
            Anybody(authority.context(Path(folder), side, f"spiffe://public/ns/default/{side}"))
            for side in (ssl.PROTOCOL_TLS_SERVER, ssl.PROTOCOL_TLS_CLIENT)
        )
    sys.stdout.write(f"{await measure(None, None)} {await measure(server_end, client_end)}\n")


if __name__ == "__main__":
    uvloop.run(main())
