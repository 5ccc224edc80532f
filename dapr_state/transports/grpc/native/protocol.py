"""One connection: moves bytes between its transport and the HTTP/2 state, and hands requests to calls.

All frames of one `data_received` are read before anything is answered, and all answers of one turn of the loop leave in
one write. Memory is bounded on the way out as well: while the socket takes nothing more, nothing is read either; while
answers wait for the peer's windows, its further requests are held.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, ClassVar, Final, cast
from urllib.parse import quote

from dapr_state.clock import SYSTEM
from dapr_state.transports.grpc.native.call import Call
from dapr_state.wire.connection import Connection
from dapr_state.wire.events import ConnectionFailed, DataReceived, Drained, Event, RequestReceived, StreamReset
from dapr_state.wire.faults import ConnectionFault, ErrorCode
from dapr_state.wire.frames import DEFAULT_WINDOW

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.transports.grpc.native.methods import Meaning, Refusal
    from dapr_state.transports.grpc.native.server import NativeServer
    from dapr_state.transports.grpc.native.settings import Settings
    from dapr_state.wire.stream import Stream

log = logging.getLogger("dapr.grpc")
monotonic = SYSTEM.monotonic

_INSECURE: Final = {"security_level": [b"TSI_SECURITY_NONE"], "transport_security_type": [b"insecure"]}
_KEEPALIVE_PING: Final = b"\0keepali"


class Protocol(asyncio.Protocol):
    def __init__(self, server: NativeServer, settings: Settings) -> None:
        self._server = server
        self._settings = settings
        self.loop = asyncio.get_running_loop()
        self.max_receive = settings.max_receive
        self.max_send = settings.max_send
        self._backlog_limit = settings.limits.backlog
        self.connection: Connection[Meaning] = Connection(server.methods.interpret, settings.limits)
        self.unwinding: set[Call] = set()  # calls that are over, but whose coroutine has not ended yet
        self.peer = ""
        self.auth_context: Mapping[str, list[bytes]] = _INSECURE
        self.identity_key: str | None = None
        self._transport: asyncio.Transport
        self._held: deque[Call] = deque()  # calls that may begin once the backlog is smaller
        self._flush_scheduled = False
        self._paused = False
        self._closing = False
        now = monotonic()
        self.heard = now  # octets came
        self._last_call = now  # a stream was open
        self._last_moved = now  # no output was stuck, or some of it left
        self._stuck_at = 0
        self._ping_sent: float | None = None

    def __repr__(self) -> str:
        return f"<Protocol {self.peer} {self.connection!r}>"

    # Transport → protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport = cast("asyncio.Transport", transport)  # uvloop's are none by inheritance
        self._transport = transport
        self.peer = _peer(transport)
        self._read_tls()
        self._server.protocols.add(self)
        if self._server.stopping:
            self.announce_shutdown()
        self.flush()

    def data_received(self, data: bytes) -> None:
        self.heard = now = monotonic()
        self._flush_scheduled = True  # at the end, once
        self._handle(self.connection.receive(data, now))
        self.flush()

    def eof_received(self) -> bool:
        return False  # a client that says no more hears no more: close

    def pause_writing(self) -> None:
        self._paused = True
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._paused = False
        self._transport.resume_reading()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002 - every loss is the same to the calls
        self._closing = True
        self._server.protocols.discard(self)
        self._held.clear()
        for stream in list(self.connection.streams.values()):
            self._lose(stream)
        self._server.connection_closed()

    # Events → calls

    def _handle(self, events: list[Event]) -> None:
        for event in events:
            if type(event) is RequestReceived:
                self._on_request(event)
            else:
                self._HANDLERS[type(event)](self, event)

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream
        meaning = stream.request.meaning
        if self.unwinding and self._too_many_calls():
            # streams that are gone may have left calls that still end: they count (CVE-2025-8671)
            self.connection.reset(stream, ErrorCode.REFUSED_STREAM)
        elif meaning.refusal is None:
            call = stream.call = Call(self, stream)
            call.open(event.data, event.ended)
        elif event.ended or not meaning.refusal.body:
            self._refuse(stream, meaning.refusal)
        # else: whoever does not speak gRPC gets the answer once the request is complete

    def _on_data(self, event: DataReceived) -> None:
        stream = event.stream
        if stream.gone:
            return
        if stream.call is not None:
            stream.call.receive(event.data, event.ended)
            return
        refusal = stream.request.meaning.refusal
        # without one, the call is over, and only its last octets wait for the peer
        if refusal is not None and (event.ended or stream.receive_window < DEFAULT_WINDOW >> 1):
            self._refuse(stream, refusal)

    def _on_reset(self, event: StreamReset) -> None:
        self._lose(event.stream)

    def _on_drained(self, event: Drained) -> None:
        if event.stream.call is not None:
            event.stream.call.drain()

    def _on_failure(self, event: ConnectionFailed) -> None:
        log.info("%s: connection ended: %s", self.peer, event.fault)
        self._closing = True

    def _lose(self, stream: Stream[Meaning]) -> None:
        stream.gone = True
        if stream.call is not None:
            stream.call.lose()

    def _refuse(self, stream: Stream[Meaning], refusal: Refusal) -> None:
        if refusal.body:
            self.connection.send_headers(stream, refusal.block)
            self.connection.send_data(stream, refusal.body)
            self.connection.send_trailers(stream, b"")
        else:
            self.connection.send_trailers(stream, refusal.block)

    def _too_many_calls(self) -> bool:
        return len(self.connection.streams) + len(self.unwinding) > self._settings.limits.max_concurrent_streams

    def start(self, call: Call) -> None:
        """Begin a call's work now, or once the peer has taken what waits for it."""
        if self.connection.backlog > self._backlog_limit or self._held:
            self._held.append(call)
        else:
            call.start()

    # Output

    def flush_soon(self) -> None:
        """Write what is to be written once this turn of the loop is over."""
        if not self._flush_scheduled:
            self._flush_scheduled = True
            self.loop.call_soon(self.flush)

    def flush(self) -> None:
        """Write what the socket takes, and begin the calls that waited for that."""
        connection, transport = self.connection, self._transport
        if transport.is_closing():
            return
        self._flush_scheduled = True
        while not self._paused:
            while self._held and connection.backlog <= self._backlog_limit:
                self._held.popleft().start()
            output = connection.take_output()
            if not output:
                break
            transport.write(output)
            events = connection.take_events()
            if events:
                self._handle(events)
        self._flush_scheduled = False
        if self._closing or (connection.refusing and not connection.streams and not connection.backlog):
            transport.close()

    # Time

    def look(self, now: float) -> None:
        """Called about every second: end what hangs, and ask those that are silent whether they live."""
        settings, connection = self._settings, self.connection
        if connection.streams:
            self._last_call = now
        backlog = connection.backlog + self._transport.get_write_buffer_size()
        if not backlog or backlog < self._stuck_at:
            self._last_moved = now
        self._stuck_at = backlog
        if self._ping_sent is not None and self.heard >= self._ping_sent:
            self._ping_sent = None
        if self._ping_sent is not None and now - self._ping_sent > settings.keepalive_timeout:
            self._transport.abort()
        elif not connection.greeted and now - self._last_call > settings.handshake_timeout:
            self._end("no HTTP/2 was spoken")
        elif now - self._last_moved > settings.stall_timeout:
            self._end("the peer takes nothing of what waits for it")
            self._transport.abort()
        elif now - self._last_call > settings.max_idle and not connection.refusing:
            connection.refuse_streams()
            self.flush()
        elif now - self.heard > settings.keepalive_time and self._ping_sent is None:
            self._ping_sent = now
            connection.ping(_KEEPALIVE_PING)
            self.flush()

    def _end(self, reason: str) -> None:
        self._handle(self.connection.fail(ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, reason)))
        self.flush()

    # The server's end: called from its task, in which no call may take a step, so the flush comes later

    def announce_shutdown(self) -> None:
        self.connection.announce_shutdown()
        self.flush_soon()

    def refuse_streams(self) -> None:
        if not self.connection.refusing:
            self.connection.refuse_streams()
        self.flush_soon()

    def cancel_calls(self) -> None:
        """End every call with UNAVAILABLE, and the connection with them."""
        for stream in list(self.connection.streams.values()):
            if stream.call is not None:
                stream.call.shut_down()
            else:
                self.connection.reset(stream, ErrorCode.REFUSED_STREAM)
        self._closing = True
        self.flush_soon()

    def abort(self) -> None:
        self._transport.abort()

    def _read_tls(self) -> None:
        ssl = self._transport.get_extra_info("ssl_object")
        if ssl is None:
            return
        if ssl.selected_alpn_protocol() != "h2":
            self._closing = True  # gRPC is HTTP/2, and the peer has not asked for it
        self.auth_context, self.identity_key = _identity(ssl.getpeercert() or {})

    _HANDLERS: ClassVar[Mapping[type, Any]] = {
        DataReceived: _on_data,
        StreamReset: _on_reset,
        Drained: _on_drained,
        ConnectionFailed: _on_failure,
    }


def _peer(transport: asyncio.Transport) -> str:
    """The peer as gRPC writes it."""
    name = transport.get_extra_info("peername")
    if not isinstance(name, tuple):
        return f"unix:{name or ''}"
    host, port, *ipv6 = name
    return f"ipv6:{quote(f'[{host}]')}:{port}" if ipv6 else f"ipv4:{host}:{port}"


def _identity(certificate: Mapping[str, Any]) -> tuple[dict[str, list[bytes]], str | None]:
    """What a client's certificate says, under gRPC's names."""
    context = {"security_level": [b"TSI_PRIVACY_AND_INTEGRITY"], "transport_security_type": [b"ssl"]}
    names = [value for group in certificate.get("subject", ()) for kind, value in group if kind == "commonName"]
    alternatives = [value for _, value in certificate.get("subjectAltName", ())]
    found = {"x509_common_name": names, "x509_subject_alternative_name": alternatives}
    context |= {key: [value.encode() for value in values] for key, values in found.items() if values}
    # gRPC takes the alternative names for the identity, where there are some
    key = next((key for key in ("x509_subject_alternative_name", "x509_common_name") if key in context), None)
    return context, key
