"""How a server gets its ports: every address that was asked for, with patience for one that is still busy."""

from __future__ import annotations

import asyncio
import logging
from functools import partial
from typing import TYPE_CHECKING, Final, Protocol

from dapr_state.serving import sockets
from dapr_state.serving.sockets import UNIX, bind, bind_patiently, port_of

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from dapr_state.runtime.options import Options

PATIENCE: Final = 10.0  # seconds, as daprd: a sidecar that restarts may meet its predecessor's port

log = logging.getLogger("dapr.runtime")
_LOGS: Final = {"HTTP": logging.getLogger("dapr.runtime.http"), "gRPC": logging.getLogger("dapr.runtime.grpc.api")}


class ListeningError(Exception):
    """A server has no address to listen on."""


class Server(Protocol):
    """What both transports offer to the sidecar."""

    def listen_on(self, bound: Sequence[socket.socket]) -> None: ...
    async def start(self) -> None: ...
    async def stop(self, grace: float | None) -> None: ...


class Door:
    """Sockets before there is a server for them: the kernel takes connections, and keeps what they say."""

    def __init__(self) -> None:
        self._bound: list[socket.socket] = []

    def listen_on(self, bound: Sequence[socket.socket]) -> None:
        self._bound += bound

    def open(self, server: Server) -> None:
        """They are the server's from now on."""
        server.listen_on(self._bound)
        self._bound = []

    async def start(self) -> None:
        """Nobody answers yet."""

    async def stop(self, _: float | None) -> None:
        sockets.close(self._bound)


def addresses(options: Options, name: str, port: int) -> list[str]:
    """Where a server of the API listens: `host:port` for each host, or one `unix:path`."""
    if options.unix_domain_socket:
        return [f"{UNIX}{options.unix_domain_socket}/dapr-{options.app_id}-{name.lower()}.socket"]
    return [f"{host}:{port}" for host in options.listen_addresses]


async def listen(server: Server, name: str, addresses: Sequence[str], patience: float = PATIENCE) -> int:
    """Bind all addresses at once; those that stay busy are left out as long as one works. The port, 0 for a file."""
    for address in addresses:
        if address.startswith(UNIX):
            server.listen_on(_bind_file(name, address))
            return 0
    found = await asyncio.gather(*(_bind(name, address, patience) for address in addresses))
    if not any(found):
        raise ListeningError(
            f"failed to start {_kind(name)}: could not listen on any endpoint: "
            f"{', '.join(addresses)} (is another sidecar running? choose another port with --dapr-{name.lower()}-port)"
        )
    port = port_of(next(filter(None, found)))  # before grpcio has them, which binds them itself
    for bound in found:
        if bound:
            server.listen_on(bound)
    return port


def listen_at_once(server: Server, address: str, refusal: str = "") -> None:
    """Without the patience that the API's ports are given, as daprd."""
    try:
        server.listen_on(bind(address))
    except OSError as error:
        raise ListeningError(f"{refusal}listen tcp {address}: bind: {_reason(error)}") from error


def is_running(name: str, address: str, port: int) -> None:
    """Tell, once the server answers, what daprd tells."""
    where = "a Unix Domain Socket" if address.startswith(UNIX) else f"port {port}"
    log.info("%s is running on %s", _kind(name), where)


def _kind(name: str) -> str:
    return "API gRPC server" if name == "gRPC" else f"{name} server"


async def _bind(name: str, address: str, patience: float) -> list[socket.socket]:
    log = _LOGS[name]
    busy = partial(log.error, "Failed to listen for %s server on TCP address %s: %s", name, address)
    if bound := await bind_patiently(address, patience, busy):
        log.info("%s server listening on TCP address: %s", name, address)
    return bound


def _bind_file(name: str, address: str) -> list[socket.socket]:
    path = address.removeprefix(UNIX)
    try:
        bound = bind(address)
    except OSError as error:
        raise ListeningError(f"failed to start {_kind(name)}: listen unix {path}: bind: {_reason(error)}") from error
    _LOGS[name].info("%s server listening on UNIX socket: %s", name, path)
    return bound


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()
