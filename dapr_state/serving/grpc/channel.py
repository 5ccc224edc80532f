"""The way to one gRPC server: stubs make calls on it, over a connection that is dialled when it is needed.

A call waits for the connection that is being dialled, and is refused where that fails; so is any that comes before
the next attempt. A connection that ends before its server has spoken HTTP/2 is one that has failed, as is the second
that has answered nobody. grpc's own channel takes three times the CPU for a call, has no Ed25519, which Dapr's
certificates are signed with, and asks them for a name of DNS, which they have not.
"""

from __future__ import annotations

import asyncio
import ssl
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import grpc
from grpc.aio import UsageError
from msgspec import Struct

from dapr_state.clock import WAITING
from dapr_state.serving.grpc.calling import STATUSES, Line, OutgoingCall, StreamCall, UnaryCall
from dapr_state.serving.grpc.connection import Connection, Patience
from dapr_state.serving.tls import UntrustedError
from dapr_state.serving.turns import Turns
from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import headers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dapr_state.serving.grpc.calling import Holder
    from dapr_state.serving.tls import Tls

    Pairs = Iterable[tuple[str, str | bytes]]

C = TypeVar("C", bound=OutgoingCall)

MESSAGE: Final = 4 << 20  # octets: gRPC's own default
FIRST_PAUSE: Final = 0.1  # seconds before a server that was not reached is dialled again; twice as long each time
LONGEST_PAUSE: Final = 1.0  # a peer that has come back is not kept waiting: grpc-go goes up to 120
UNIX: Final = "unix:"
OCTETS_AT_MOST: Final = 32 << 20  # of all calls of the process that wait for a connection, or a place on one
_USER_AGENT: Final = b"grpc-python-dapr-state"


class Reach(Struct, frozen=True):
    """How a server is reached: how long messages may be, and how long things may take, in seconds."""

    max_receive: int = MESSAGE
    max_send: int = framing.PREFIX_SIZE + (1 << 32)
    connect: float = 20.0  # as grpc-go
    patience: Patience = Patience()
    holder: Holder | None = None  # is asked before much is kept of answers that are not whole
    turns: Turns | None = None  # of connections that have more to read than fits in a turn of the loop


class Account:
    """What waits, in octets."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.octets = 0

    def __repr__(self) -> str:
        return f"<Account {self.octets} of {self._most}>"

    def take(self, octets: int) -> bool:
        """Whether so many more may wait."""
        if self.octets + octets > self._most:
            return False
        self.octets += octets
        return True

    def give(self, octets: int) -> None:
        self.octets -= octets


_account: Final = Account(OCTETS_AT_MOST)  # one for the process


class Channel(grpc.aio.Channel):
    """Another grpc.aio.Channel; see there what its methods promise. `close` it at the end."""

    def __init__(self, address: str, tls: Tls | None = None, reach: Reach = Reach()) -> None:  # noqa: B008 - frozen
        """`address` is host:port, [ipv6]:port or unix:path."""
        self._address = address
        self._tls = tls
        self._reach = reach
        self._turns = reach.turns or Turns()
        self._connection: Connection | None = None
        self._connections: set[Connection] = set()  # also those that only end what is under way
        self._waiting: dict[OutgoingCall, None] = {}
        self._dialling: asyncio.Task[None] | None = None
        self._pause = FIRST_PAUSE
        self._refused_until = 0.0
        self._was_fruitless = False  # the last connection
        self._refusal = ""
        self._is_closed = False
        self._all_gone = asyncio.Event()

    def __repr__(self) -> str:
        state = "closed" if self._is_closed else "connected" if self._connection else "idle"
        return f"<Channel to {self._address}, {state}, {len(self._waiting)} waiting>"

    # Calls

    def unary_unary(  # type: ignore[override]  # our calls have what is used of grpc.aio's
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool = False,
    ) -> Callable[..., UnaryCall]:
        return partial(self._unary, self._line(method, request_serializer, response_deserializer))

    def unary_stream(  # type: ignore[override]  # as above
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool = False,
    ) -> Callable[..., StreamCall]:
        return partial(self._unary_stream, self._line(method, request_serializer, response_deserializer))

    def stream_stream(  # type: ignore[override]  # as above
        self,
        method: str,
        request_serializer: Any = None,
        response_deserializer: Any = None,
        _registered_method: bool = False,
    ) -> Callable[..., StreamCall]:
        return partial(self._stream, self._line(method, request_serializer, response_deserializer))

    def stream_unary(self, *_: Any, **__: Any) -> Any:
        raise UsageError("no service that is called here has such methods")

    def _line(self, method: str, serialize: Any, deserialize: Any) -> Line:
        authority = self._address if not self._address.startswith(UNIX) else "localhost"
        fields = (
            (b":method", b"POST"),
            (b":scheme", b"https" if self._tls else b"http"),
            (b":path", method.encode()),
            (b":authority", authority.encode()),
            (b"content-type", framing.CONTENT_TYPE),
            (b"te", b"trailers"),
            (b"user-agent", _USER_AGENT),
        )
        reach = self._reach
        block = headers.encode(fields)
        return Line(block, serialize, deserialize, reach.max_send, reach.max_receive, holder=reach.holder)

    def _unary(
        self, line: Line, request: Any, *, timeout: float | None = None, metadata: Pairs | None = None
    ) -> UnaryCall:
        return self._begin_whole(UnaryCall(line, line.head(metadata, timeout)), request, timeout)

    def _unary_stream(
        self, line: Line, request: Any, *, timeout: float | None = None, metadata: Pairs | None = None
    ) -> StreamCall:
        return self._begin_whole(StreamCall(line, line.head(metadata, timeout)), request, timeout)

    def _stream(self, line: Line, *, timeout: float | None = None, metadata: Pairs | None = None) -> StreamCall:
        call = StreamCall(line, line.head(metadata, timeout))
        call.due_in(timeout)
        self._begin(call)
        return call

    def _begin_whole(self, call: C, request: Any, seconds: float | None) -> C:
        try:
            call.body = call.line.pack(request)
        except framing.Refused as refused:
            call.fail(STATUSES[refused.code], refused.details)
            return call
        call.due_in(seconds)
        call.repeat_by(self._begin)
        self._begin(call)
        return call

    def _begin(self, call: OutgoingCall) -> None:
        connection = self._connection
        if connection is not None and connection.can_begin and not self._waiting:
            call.begin(connection)
        elif self._is_closed:
            call.fail(grpc.StatusCode.CANCELLED, "grpc: the client connection is closing")
        elif (connection is None or connection.is_over) and WAITING.monotonic() < self._refused_until:
            call.fail(grpc.StatusCode.UNAVAILABLE, self._refusal)
        else:
            self._wait(call)

    # The connection

    def _wait(self, call: OutgoingCall) -> None:
        if not _account.take(call.weight):
            call.fail(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many calls wait for connections")
            return
        self._waiting[call] = None
        call.on_end = self._leave
        self._go_on()

    def _leave(self, call: OutgoingCall) -> None:
        """It waits no more."""
        del self._waiting[call]
        call.on_end = None
        _account.give(call.weight)

    def _go_on(self) -> None:
        """Begin the calls that wait, as many as may be; for the others a connection is dialled if there is none."""
        if self._connection is not None and self._connection.is_over:
            self._has_ended(self._connection)
        while self._waiting and self._connection is not None and self._connection.can_begin:
            call = next(iter(self._waiting))
            self._leave(call)
            call.begin(self._connection)
        if self._waiting and self._dialling is None and self._connection is None:
            self._dialling = asyncio.ensure_future(self._dial())

    async def _dial(self) -> None:
        try:
            async with WAITING.timeout(self._reach.connect):
                self._connection = await self._connect()
        except TimeoutError:
            self._refuse(f"transport: Error while dialing: dial tcp {self._address}: i/o timeout")
        except UntrustedError as error:
            self._refuse(f"transport: authentication handshake failed: {error}")
        except ssl.SSLError as error:
            self._refuse(f"transport: authentication handshake failed: {error.strerror or error}")
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            self._refuse(f"transport: Error while dialing: dial tcp {self._address}: connect: {reason}")
        except Exception as error:  # noqa: BLE001 - an address that is none, for one: whoever waits is told
            self._refuse(f"transport: Error while dialing: dial tcp: address {self._address}: {error}")
        finally:
            self._dialling = None
        self._go_on()

    async def _connect(self) -> Connection:
        loop = asyncio.get_running_loop()
        context = self._tls.context() if self._tls else None
        make = partial(Connection, self._reach.patience, self._turns, self._go_on, self._lost)
        transport: asyncio.Transport
        if self._address.startswith(UNIX):
            path = self._address.removeprefix(UNIX)
            transport, connection = await loop.create_unix_connection(make, path)
        else:
            host, _, port = self._address.rpartition(":")
            name = "" if context else None  # asks for no name: the certificate has none of DNS
            transport, connection = await loop.create_connection(
                make, host.strip("[]"), int(port), ssl=context, server_hostname=name
            )
        self._connections.add(connection)
        self._all_gone.clear()
        if self._tls:
            try:
                self._tls.check(transport.get_extra_info("ssl_object"))
            except UntrustedError:
                connection.abort("")
                raise
        return connection

    def _refuse(self, why: str) -> None:
        self._refusal = f'connection error: desc = "{why}"'
        self._refused_until = WAITING.monotonic() + self._pause
        self._pause = min(self._pause * 2, LONGEST_PAUSE)
        for call in tuple(self._waiting):
            call.fail(grpc.StatusCode.UNAVAILABLE, self._refusal)

    def _lost(self, connection: Connection) -> None:
        self._connections.discard(connection)
        if not self._connections:
            self._all_gone.set()
        self._go_on()

    def _has_ended(self, connection: Connection) -> None:
        """No call goes over it any more. One more is tried at once where a server that speaks has not answered any."""
        self._connection = None
        if connection.has_served:
            self._pause, self._was_fruitless = FIRST_PAUSE, False
        elif connection.http2.greeted and not self._was_fruitless:
            self._was_fruitless = True
        elif not self._is_closed:
            self._refuse(f"error reading server preface: {connection.reason}")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self.close()

    async def close(self, grace: float | None = None) -> None:
        """Take no more calls; those under way have so many seconds, or none."""
        self._is_closed = True
        if grace and self._connections:
            for connection in tuple(self._connections):
                connection.close()
            with suppress(TimeoutError):
                async with WAITING.timeout(grace):
                    await self._all_gone.wait()
        if self._dialling:
            self._dialling.cancel()
            await asyncio.wait([self._dialling])
        for call in tuple(self._waiting):
            call.fail(grpc.StatusCode.CANCELLED, "grpc: the client connection is closing")
        for connection in tuple(self._connections):
            connection.abort("grpc: the client connection is closing")
        await asyncio.sleep(0)  # they hear of it

    def get_state(self, *_: Any, **__: Any) -> grpc.ChannelConnectivity:
        """TRANSIENT_FAILURE until the next attempt after one that failed; it is a call that dials."""
        if self._is_closed:
            return grpc.ChannelConnectivity.SHUTDOWN
        if self._dialling is not None:
            return grpc.ChannelConnectivity.CONNECTING
        if self._connection is not None and not self._connection.is_over:
            return grpc.ChannelConnectivity.READY
        is_refused = WAITING.monotonic() < self._refused_until
        return grpc.ChannelConnectivity.TRANSIENT_FAILURE if is_refused else grpc.ChannelConnectivity.IDLE

    async def wait_for_state_change(self, *_: Any, **__: Any) -> None:
        raise UsageError("this channel dials when it is called")

    async def channel_ready(self) -> None:
        raise UsageError("this channel dials when it is called")
