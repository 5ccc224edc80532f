"""Where a server listens: sockets are bound once, handed to the server, and closed by it."""

from __future__ import annotations

import asyncio
import errno
import socket
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dapr_state.clock import WAITING
from dapr_state.serving.handshakes import Handshakes

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Sequence
    from typing import Protocol

    class Listener(Protocol):
        """What accepts connections."""

        def close(self) -> None: ...


UNIX: Final = "unix:"
BACKLOG: Final = 4096  # connections that the kernel keeps for us while we are busy; it caps this at net.core.somaxconn
FIRST_WAIT: Final = 0.1  # seconds until a busy port is tried again; twice as long each time
LONGEST_WAIT: Final = 0.5  # seconds

_NO_SUCH_FAMILY: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})  # a machine without IPv6


def bind(address: str) -> list[socket.socket]:
    """Listen on `host:port`, `[ipv6]:port` or `unix:path`; nothing is accepted yet. Raises OSError where it cannot.

    A name's addresses are all bound, on one port if it is 0; the empty host is all of the machine's.
    """
    if address.startswith(UNIX):
        return [_bind_unix(Path(address.removeprefix(UNIX)))]
    host, _, port = address.rpartition(":")
    return _bind_tcp(host.strip("[]"), int(port))


async def bind_patiently(address: str, patience: float, on_busy: Callable[[OSError], object]) -> list[socket.socket]:
    """As `bind`, but try again for so many seconds; `on_busy` is told the first failure. [] when all was in vain."""
    deadline, wait, is_told = WAITING.monotonic() + patience, FIRST_WAIT, False
    while True:
        try:
            return bind(address)
        except OSError as error:
            if not is_told:
                on_busy(error)
                is_told = True
        if WAITING.monotonic() >= deadline:
            return []
        await WAITING.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)


def port_of(bound: Sequence[socket.socket]) -> int:
    """The port that they have in common; 0 for a socket file."""
    return 0 if bound[0].family == socket.AF_UNIX else int(bound[0].getsockname()[1])


async def accept(
    bound: Iterable[socket.socket],
    make: Callable[[], asyncio.BaseProtocol],
    tls: ssl.SSLContext | None = None,
    handshake: float = 20.0,
) -> list[Listener]:
    """Accept connections, each with a protocol of its own; `handshake` is how many seconds one of TLS may take."""
    if tls:
        return [Handshakes(each, make, tls, handshake) for each in bound]
    loop = asyncio.get_running_loop()
    servers: list[Listener] = []
    for each in bound:
        create: Any = loop.create_unix_server if each.family == socket.AF_UNIX else loop.create_server
        servers.append(await create(make, sock=each, backlog=BACKLOG))
    return servers


def close(bound: Sequence[socket.socket], servers: Iterable[Listener] = ()) -> None:
    """Listen no more; a socket's file is removed."""
    files = [Path(each.getsockname()) for each in bound if each.family == socket.AF_UNIX and each.fileno() >= 0]
    for server in servers:
        server.close()
    for each in bound:
        each.close()
    for file in files:
        file.unlink(missing_ok=True)


def _bind_tcp(host: str, port: int) -> list[socket.socket]:
    name = host.encode() if host.isascii() else host  # octets: what text may need takes 3 ms to import
    found = dict.fromkeys(socket.getaddrinfo(name or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE))
    bound: list[socket.socket] = []
    for family, *_, where in found:
        try:
            bound.append(_bind_one(family, (where[0], port, *where[2:]), alone=len(found) == 1))
        except OSError as error:
            if error.errno in _NO_SUCH_FAMILY and (bound or len(found) > 1):
                continue
            close(bound)
            raise
        port = port_of(bound)  # the next address gets the one that the first was given
    if not bound:
        raise OSError(errno.EADDRNOTAVAIL, f"no address of {host} is this machine's")
    return bound


def _bind_one(family: socket.AddressFamily, where: tuple[object, ...], *, alone: bool) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # "::" takes IPv4 as well, as it does in Go, unless IPv4 has a socket of its own
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, not alone)
        made.bind(where)
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _bind_unix(path: Path) -> socket.socket:
    _remove_leftover(path)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        made.bind(str(path))
        made.listen(BACKLOG)
    except BaseException:
        made.close()
        raise
    return made


def _remove_leftover(path: Path) -> None:
    """Remove a socket file that nobody listens on any more: its process was killed."""
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink(missing_ok=True)
            return
    raise FileExistsError(errno.EADDRINUSE, "address already in use")
