"""How a connection is made fit for use: dialled, authenticated, its database chosen, the server's abilities asked."""

from __future__ import annotations

import asyncio
import os
import secrets
import socket
import ssl
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import hiredis

from dapr_state.clock import WAITING
from dapr_state.resources.properties import PropertiesError
from dapr_state.stores.base import StoreError
from dapr_state.stores.redis.connection import Connection, ConnectionLost, ReplyError
from dapr_state.stores.redis.scripts import packed

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.stores.redis.options import Options

# a connection that a firewall has forgotten is found dead within this time; go-redis has 5 minutes too
_KEEPALIVE_SECONDS = 300
_REPLICATION = packed(b"INFO", b"replication")
_TEMPORARY = ("LOADING", "MASTERDOWN", "BUSY", "TRYAGAIN", "ERR max number of clients")  # worth another attempt


@dataclass(frozen=True, slots=True)
class Server:
    """What the store must know of the server that it is connected to."""

    role: str = ""  # "master", or what else INFO says; "" for a user who may not ask
    replicas: int = 0
    cluster: bool = False  # the keys of a script must be of one slot
    tells_expiry: bool = True  # PEXPIRETIME, since Redis 7.0
    wait_refused: str = ""  # why this user may not WAIT for replicas
    process: str = ""  # of Redis: what one tells of its keys' order is not true of another
    client: int = 0  # its number for this connection; 0: it does not say


class ConnectError(StoreError):
    def __init__(self, reason: str, *, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final  # the server said no: asking again soon is of no use


async def connect(
    options: Options,
    context: ssl.SSLContext | None,
    on_lost: Callable[[Connection], None] | None = None,
    before: Server | None = None,
) -> tuple[Connection, Server]:
    """Raise ConnectError within the dial timeout. `before` is what was known of the connection that this one follows.

    That one is ended at the server too: a network may still carry what was written to it, and a write that its caller
    was told of as lost would come after others that were acknowledged.
    """
    connection = Connection(
        options.address,
        read_timeout=options.read_timeout,
        write_timeout=options.write_timeout,
        on_lost=on_lost,
    )
    try:
        async with WAITING.timeout(options.dial_timeout):
            await _dial(options, context, connection)
            server = await _greet(options, connection)
            if before and before.client and before.process == server.process:
                # a user who may not do so is told no, and goes on without
                end: tuple[Any, ...] = ("CLIENT", "KILL", "ID", before.client)
                await connection.ask(hiredis.pack_command(end), 1)
            return connection, server
    except BaseException as error:
        connection.abort(ConnectionLost("given up while connecting"))
        if reason := _reason(options.address, error):
            raise reason from error
        raise


async def _dial(options: Options, context: ssl.SSLContext | None, connection: Connection) -> None:
    loop = asyncio.get_running_loop()
    if options.unix_path:
        await loop.create_unix_connection(lambda: connection, options.unix_path)
        return
    host, port = options.host_and_port
    transport, _ = await loop.create_connection(
        lambda: connection, host, port, ssl=context, server_hostname=host if context else None
    )
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_KEEPIDLE"):  # Linux
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEPALIVE_SECONDS)


async def _greet(options: Options, connection: Connection) -> Server:
    """Ask everything in one round trip: what fails first is the answer."""
    login = _login(options)
    choice = [("SELECT", options.database)] if options.database > 0 else []
    abilities = [
        ("WAIT", "0", "1"),
        ("ECHO", "dapr-state"),
        ("INFO", "server"),
        ("INFO", "replication"),
        ("PEXPIRETIME", "dapr-state"),
        ("CLIENT", "ID"),
    ]
    commands = [*login, *choice, ("PING",), *abilities]
    connection.marks = False
    replies = await connection.ask(b"".join(map(hiredis.pack_command, commands)), len(commands))

    for command, reply in zip(commands, replies, strict=True):
        if command in (*login, *choice, ("PING",)) and isinstance(reply, ReplyError) and not _needless(reply):
            raise reply
    wait, echo, server, replication, expiry, client = replies[-len(abilities) :]
    connection.marks = not isinstance(echo, ReplyError)
    role, replicas = _replication(replication)
    return Server(
        role,
        replicas,
        cluster=options.cluster,
        tells_expiry="unknown command" not in str(expiry),
        wait_refused=str(wait) if str(wait).startswith("NOPERM") else "",
        process=_fact(server, b"run_id") or secrets.token_hex(8),
        client=client if isinstance(client, int) else 0,
    )


def _login(options: Options) -> list[tuple[Any, ...]]:
    if not options.password:
        return []
    return [("AUTH", options.username, options.password) if options.username else ("AUTH", options.password)]


def _needless(reply: ReplyError) -> bool:
    """Whether a password was given to a server that has none: daprd connects all the same."""
    return "without any password configured" in str(reply) or "no password is set" in str(reply)


async def replication(connection: Connection) -> tuple[str, int]:
    """The server's role now, and how many replicas it has."""
    (reply,) = await connection.ask(_REPLICATION, 1)
    if isinstance(reply, ReplyError):
        raise reply
    return _replication(reply)


def _replication(info: object) -> tuple[str, int]:
    replicas = _fact(info, b"connected_slaves")
    return _fact(info, b"role"), int(replicas) if replicas.isdecimal() else 0


def _fact(info: object, name: bytes) -> str:
    """What INFO says, or "" for a user who may not ask."""
    if not isinstance(info, bytes):
        return ""
    _, _, rest = info.partition(name + b":")
    return next(iter(rest.split(maxsplit=1)), b"").decode(errors="replace")


def _reason(address: str, error: BaseException) -> ConnectError | None:
    """The failure of an attempt in the words of daprd's client, where it has any."""
    text, final = str(error), False
    match error:
        case ReplyError():
            final = not text.startswith(_TEMPORARY)
        case StoreError():
            pass
        case TimeoutError():
            text = f"dial tcp {address}: i/o timeout"
        case ssl.SSLError():
            text, final = f"tls: {error}", True
        case socket.gaierror():
            text = f"dial tcp: lookup {address}: {error.strerror}"
        case OSError():
            why = os.strerror(error.errno).lower() if error.errno else text
            text = f"dial {'unix' if address.startswith('/') else 'tcp'} {address}: connect: {why}"
        case ValueError():  # no address at all
            text, final = f"dial tcp: {error}", True
        case _:
            return None
    return ConnectError(text, final=final)


def tls_context(options: Options) -> ssl.SSLContext | None:
    """None without TLS. Authorities are the system's (SSL_CERT_FILE adds one's own); daprd has no field for them."""
    if not options.tls:
        return None
    made = ssl.create_default_context()
    if not options.verify:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    if options.certificate:
        _present(made, options.certificate, options.key)
    return made


def _present(made: ssl.SSLContext, certificate: str, key: str) -> None:
    for text, what in ((certificate, "certificate"), (key, "key")):
        if "-----BEGIN" not in text:
            raise PropertiesError(f"redis client configuration error: tls: failed to find any PEM data in {what} input")
    # Python's ssl reads a client's certificate from files only; the folder is readable by this user alone
    with tempfile.TemporaryDirectory() as folder:
        pair = Path(folder, "client.pem")
        pair.write_text(f"{certificate}\n{key}\n", encoding="utf-8")
        try:
            made.load_cert_chain(pair)
        except ssl.SSLError as error:
            raise PropertiesError(f"redis client configuration error: tls: {error}") from None
