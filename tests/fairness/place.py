"""What a worst request is sent to: the watched sidecar, one of its stores, and the ways in."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from tests.support import flood
from tests.support.http import request

if TYPE_CHECKING:
    from google.protobuf.message import Message

    from tests.support.client import Client, Reply
    from tests.support.watched import Watched

LIMIT = 4 * 1024 * 1024  # octets of the largest body


@dataclass(frozen=True)
class Place:
    sidecar: Watched
    client: Client
    store: str = "mem"

    def http(self, method: str, target: str, body: bytes | None = None, **headers: str) -> None:
        """One request on a connection of its own, until the sidecar has answered and closed."""
        octets = request(method, f"/v1.0/{target}", body, Connection="close", **headers)
        flood.exchange(self.sidecar.http_port, octets)

    def grpc(self, method: str, message: Message | bytes) -> Reply:
        return self.client.call(method, message)

    def state(self, tail: str, body: bytes, **headers: str) -> None:
        self.http("POST", f"state/{self.store}{tail}", body, **headers)

    def http1(
        self, octets: bytes, last: bytes = b"GET /v1.0/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    ) -> None:
        flood.exchange(self.sidecar.http_port, octets + last)

    def frames(self, port: int, octets: bytes) -> None:
        """HTTP/2 frames after an opening; over when the sidecar has read the last of them, or closed."""
        flood.exchange(port, flood.OPENING + octets + flood.LAST, flood.has_ended)
