"""One connection: what HTTP/2 brings, handed to calls, and the refusals that need none."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dapr_state.serving.grpc.call import Call
from dapr_state.serving.http2 import Http2Protocol
from dapr_state.serving.tls import UntrustedError
from dapr_state.wire.http2.frames import DEFAULT_WINDOW

if TYPE_CHECKING:
    import asyncio

    from dapr_state.serving.grpc.methods import ParsedHeaders, Refusal
    from dapr_state.serving.grpc.shared import Shared
    from dapr_state.serving.tls import Tls
    from dapr_state.wire.http2.events import DataReceived, RequestReceived
    from dapr_state.wire.http2.stream import Stream

log = logging.getLogger("dapr.http2")


class GrpcProtocol(Http2Protocol["ParsedHeaders"]):
    def __init__(self, shared: Shared) -> None:
        super().__init__(
            shared.methods.parse, shared.settings.limits, shared.settings.timeouts, shared.turns, shared.memory
        )
        self._shared = shared

    # Transport → protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._shared.connections.add(self)
        if self._shared.tls and not self._is_trusted(self._shared.tls):
            self.refuse_at_once()
            return
        if self._shared.is_stopping:
            self.announce_shutdown()
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._shared.forget(self)

    def _is_trusted(self, tls: Tls) -> bool:
        try:
            tls.check(self._transport.get_extra_info("ssl_object"))
        except UntrustedError as error:
            log.warning("%s: connection refused: %s", self.peer, error)
            return False
        return True

    # Events → calls

    def _on_request(self, event: RequestReceived) -> None:
        stream = event.stream
        parsed = stream.request.parsed
        if parsed.refusal is None:
            call = stream.call = Call(self, self._shared, stream)
            if parsed.method.request_streaming:
                call.open()
            if event.ended:
                call.receive(event.data, True)
        elif event.ended or not parsed.refusal.body:
            self._refuse(stream, parsed.refusal)
        # else: whoever does not speak gRPC gets the answer once the request is complete

    def _on_data(self, event: DataReceived) -> None:
        stream = event.stream
        if stream.call is not None:
            stream.call.receive(event.data, event.ended)
            return
        refusal = stream.request.parsed.refusal
        # without one, the call is over, and only its last octets wait for the peer
        if refusal is not None and (event.ended or stream.receive_window < DEFAULT_WINDOW >> 1):
            self._refuse(stream, refusal)

    def _refuse(self, stream: Stream[ParsedHeaders], refusal: Refusal) -> None:
        if refusal.body:
            self.connection.send_headers(stream, refusal.block)
            self.connection.send_data(stream, refusal.body)
            self.connection.send_trailers(stream, b"")
        else:
            self.connection.send_trailers(stream, refusal.block)
