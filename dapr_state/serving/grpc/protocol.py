"""One connection: what HTTP/2 brings, handed to calls, and the refusals that need none."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state.serving.grpc.call import Call
from dapr_state.serving.http2 import Http2Protocol
from dapr_state.wire.http2.frames import DEFAULT_WINDOW

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Mapping

    from dapr_state.serving.grpc.methods import Meaning, Refusal
    from dapr_state.serving.grpc.server import NativeServer
    from dapr_state.serving.grpc.settings import Settings
    from dapr_state.wire.http2.events import DataReceived, RequestReceived
    from dapr_state.wire.http2.stream import Stream

_INSECURE: Final = {"security_level": [b"TSI_SECURITY_NONE"], "transport_security_type": [b"insecure"]}


class Protocol(Http2Protocol["Meaning"]):
    def __init__(self, server: NativeServer, settings: Settings) -> None:
        super().__init__(server.methods.interpret, settings, server.turns, server.blocks)
        self._server = server
        self.memory = server.memory
        self.max_receive = settings.max_receive
        self.max_send = settings.max_send
        self.auth_context: Mapping[str, list[bytes]] = _INSECURE
        self.identity_key: str | None = None

    # Transport → protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._read_tls()
        self._server.protocols.add(self)
        if self._server.stopping:
            self.announce_shutdown()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._server.protocols.discard(self)
        super().connection_lost(exc)
        self._server.connection_closed()

    # Events → calls

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream
        meaning = stream.request.meaning
        if meaning.refusal is None:
            call = stream.call = Call(self, stream)
            call.open(event.data, event.ended)
        elif event.ended or not meaning.refusal.body:
            self._refuse(stream, meaning.refusal)
        # else: whoever does not speak gRPC gets the answer once the request is complete

    def _on_data(self, event: DataReceived) -> None:
        stream = event.stream
        if stream.call is not None:
            stream.call.receive(event.data, event.ended)
            return
        refusal = stream.request.meaning.refusal
        # without one, the call is over, and only its last octets wait for the peer
        if refusal is not None and (event.ended or stream.receive_window < DEFAULT_WINDOW >> 1):
            self._refuse(stream, refusal)

    def _refuse(self, stream: Stream[Meaning], refusal: Refusal) -> None:
        if refusal.body:
            self.connection.send_headers(stream, refusal.block)
            self.connection.send_data(stream, refusal.body)
            self.connection.send_trailers(stream, b"")
        else:
            self.connection.send_trailers(stream, refusal.block)

    def abort(self) -> None:
        self._transport.abort()

    def _read_tls(self) -> None:
        ssl = self._transport.get_extra_info("ssl_object")
        if ssl is None:
            return
        if ssl.selected_alpn_protocol() != "h2":
            self._closing = True  # gRPC is HTTP/2, and the peer has not asked for it
        self.auth_context, self.identity_key = _identity(ssl.getpeercert() or {})


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
