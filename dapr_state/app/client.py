"""Sending requests to the application: one interface, and its HTTP/1.1."""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from dapr_state.app.answers import Answers
from dapr_state.app.connection import AppConnection, BrokenError, reason
from dapr_state.app.model import AppError, UnreachableError
from dapr_state.app.pool import Pool

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.app.callbacks import Reply
    from dapr_state.app.model import Headers

MAX_CONNECTIONS: Final = 1024  # as daprd
MAX_KNOWN_HEADERS: Final = 256  # callers make up values


class Client(ABC):
    """`base` is what comes before the path."""

    def __init__(self, host: str, port: int, *, tls: bool) -> None:
        self.host = host
        self.port = port
        self.scheme = "https" if tls else "http"
        self.authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.base = f"{self.scheme}://{self.authority}"

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.base}>"

    @abstractmethod
    async def send(self, method: str, target: str, headers: Headers, body: bytes = b"") -> Reply:
        """The answer, whatever its status. Raises AppError if there is none. `headers` are used as they are."""

    @abstractmethod
    async def close(self) -> None:
        """Close all connections; requests under way fail."""

    def fault(self, method: str, target: str, why: str) -> AppError:
        return AppError(f'{method.capitalize()} "{self.base}{target}": {why}')

    def unreachable(self, method: str, target: str, error: OSError) -> UnreachableError:
        return UnreachableError(str(self.fault(method, target, self._dial_failure(error))))

    def _dial_failure(self, error: OSError) -> str:
        if isinstance(error, ssl.SSLError):
            return f"tls: {error.reason or error}"
        if isinstance(error, socket.gaierror):
            return f"dial tcp: lookup {self.host}: no such host"
        return f"dial tcp {self.authority}: connect: {reason(error)}"


class Http1Client(Client):
    """`max_concurrency` 0 means no limit but that of connections."""

    def __init__(self, host: str, port: int, *, tls: bool = False, max_concurrency: int = 0) -> None:
        super().__init__(host, port, tls=tls)
        self._tls = without_verification() if tls else None
        self._host_line = f" HTTP/1.1\r\nHost: {self.authority}\r\n"
        self._known: dict[Headers, bytes] = {}  # callers repeat their headers
        # a request holds its connection until its answer is complete: the limits are one
        self._answers = Answers()
        self._pool = Pool(self._dial, max_concurrency or MAX_CONNECTIONS)

    async def send(self, method: str, target: str, headers: Headers, body: bytes = b"") -> Reply:
        request = self._request(method, target, headers, body)
        try:
            connection = await self._pool.take()
        except OSError as error:
            raise self.unreachable(method, target, error) from error
        try:
            return await connection.exchange(request)
        except BrokenError as error:
            raise self.fault(method, target, str(error)) from error
        finally:
            self._pool.give(connection)

    async def close(self) -> None:
        self._pool.close()

    def _request(self, method: str, target: str, headers: Headers, body: bytes) -> bytes:
        block = self._known.get(headers)
        if block is None:
            block = self._learn(headers)
        line = f"{method} {target}{self._host_line}".encode("utf-8", "surrogateescape")
        if not body and method != "PUT":
            return b"%b%b\r\n" % (line, block)
        return b"%b%bContent-Length: %d\r\n\r\n%b" % (line, block, len(body), body)

    def _learn(self, headers: Headers) -> bytes:
        block = "".join(f"{name}: {value}\r\n" for name, value in headers).encode("utf-8", "surrogateescape")
        if len(self._known) >= MAX_KNOWN_HEADERS:
            self._known.clear()
        self._known[headers] = block
        return block

    async def _dial(self, on_lost: Callable[[AppConnection], None]) -> AppConnection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_connection(
            lambda: AppConnection(on_lost, self._answers), self.host, self.port, ssl=self._tls
        )
        return connection


def without_verification() -> ssl.SSLContext:
    """For TLS to the user's own application, whose certificate daprd does not check either."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context
