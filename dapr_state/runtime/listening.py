"""How a server gets its ports: every address that was asked for, with patience for one that is still busy."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from dapr_state.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.runtime.options import Options

PATIENCE: Final = 10.0  # seconds, as daprd: a sidecar that restarts may meet its predecessor's port
FIRST_WAIT, LONGEST_WAIT = 0.1, 0.5
UNIX: Final = "unix:"

log = logging.getLogger("dapr.runtime")
_LOGS: Final = {"HTTP": logging.getLogger("dapr.runtime.http"), "gRPC": logging.getLogger("dapr.runtime.grpc.api")}


class ListeningError(Exception):
    """A server has no address to listen on."""


class Server(Protocol):
    """What both transports offer to the sidecar."""

    def listen(self, address: str) -> int: ...
    async def start(self) -> None: ...
    async def stop(self, grace: float | None) -> None: ...


def addresses(options: Options, name: str, port: int) -> list[str]:
    """Where a server of the API listens: `host:port` for each host, or one `unix:path`."""
    if options.unix_domain_socket:
        return [f"{UNIX}{options.unix_domain_socket}/dapr-{options.app_id}-{name.lower()}.socket"]
    return [f"{host}:{port}" for host in options.listen_addresses]


async def listen(server: Server, name: str, addresses: Sequence[str]) -> None:
    """Bind all addresses at once; those that stay busy are left out as long as one works."""
    for address in addresses:
        if address.startswith(UNIX):
            _bind_socket(server, name, Path(address.removeprefix(UNIX)))
            return
    bound = await asyncio.gather(*(_bind(server, name, address) for address in addresses))
    if not any(bound):
        raise ListeningError(
            f"failed to start {_kind(name)}: could not listen on any endpoint: "
            f"{', '.join(addresses)} (is another sidecar running? choose another port with --dapr-{name.lower()}-port)"
        )


def is_running(name: str, address: str) -> None:
    """Tell, once the server answers, what daprd tells."""
    where = "a Unix Domain Socket" if address.startswith(UNIX) else f"port {address.rpartition(':')[2]}"
    log.info("%s is running on %s", _kind(name), where)


def _kind(name: str) -> str:
    return "API gRPC server" if name == "gRPC" else f"{name} server"


async def _bind(server: Server, name: str, address: str) -> bool:
    deadline, wait = SYSTEM.monotonic() + PATIENCE, FIRST_WAIT
    is_told = False
    while True:
        try:
            server.listen(address)
        except OSError as error:
            if not is_told:  # once, and not at each attempt
                _LOGS[name].error("Failed to listen for %s server on TCP address %s: %s", name, address, error)
                is_told = True
        else:
            _LOGS[name].info("%s server listening on TCP address: %s", name, address)
            return True
        if SYSTEM.monotonic() >= deadline:
            return False
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)


def _bind_socket(server: Server, name: str, path: Path) -> None:
    try:
        _remove_leftover(path)
        server.listen(f"{UNIX}{path}")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise ListeningError(f"failed to start {_kind(name)}: listen unix {path}: bind: {reason}") from error
    _LOGS[name].info("%s server listening on UNIX socket: %s", name, path)


def _remove_leftover(path: Path) -> None:
    """Remove a socket file that nobody listens on any more: its sidecar was killed. Daprd gives up there."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(0, "address already in use")
