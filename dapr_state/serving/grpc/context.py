"""What a servicer is told of its call, and what it says of the answer's status.

It is as much of grpc.aio.ServicerContext as Dapr, health and reflection need: no TLS, and no compressed answers. See
there what the methods promise; those that send and receive messages are the call's.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from grpc.aio import AbortError

from dapr_state.clock import WAITING
from dapr_state.serving.eager_task import EagerTask
from dapr_state.wire import grpc as framing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dapr_state.serving.grpc.methods import ParsedHeaders
    from dapr_state.serving.http2 import Http2Protocol
    from dapr_state.wire.http2.hpack import Field

    Metadata = Iterable[tuple[str, str | bytes]]

log = logging.getLogger("dapr.grpc")


class Context(EagerTask):
    __slots__ = (
        "_callbacks",
        "_cancelled",
        "_code",
        "_deadline",
        "_details",
        "_over",
        "_parsed",
        "_plain",
        "_protocol",
        "_trailing",
        "_trailing_fields",
    )

    def __init__(self, protocol: Http2Protocol[ParsedHeaders], parsed: ParsedHeaders) -> None:
        EagerTask.__init__(self, protocol.loop)  # as Call does, and for its reason
        self._protocol = protocol
        self._parsed = parsed
        self._deadline = None if parsed.timeout is None else WAITING.monotonic() + parsed.timeout
        self._plain = True  # the servicer has said nothing of the answer yet: it is to be one message, with OK
        self._over = False
        self._cancelled = False
        self._code = framing.OK
        self._details = ""
        self._trailing: Sequence[tuple[str, str | bytes]] = ()
        self._trailing_fields: Sequence[Field] = ()
        self._callbacks: list[Callable[[Any], Any]] | None = None

    # What no servicer asks of grpc's own: for tests of what a client does then

    def cut_off(self) -> None:
        """Reset the client's connection, with all its calls."""
        self._protocol.end()

    def go_away(self) -> None:
        """Take no further call on the client's connection; those under way are answered."""
        self._protocol.announce_shutdown()
        self._protocol.refuse_streams()

    # Status

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        if code is grpc.StatusCode.OK:
            log.error("%s aborted with OK", self._parsed.method.path)
            code, details = grpc.StatusCode.UNKNOWN, ""
        self._set_status(code, details, trailing_metadata)
        raise AbortError

    async def abort_with_status(self, status: grpc.Status) -> NoReturn:
        await self.abort(status.code, status.details, status.trailing_metadata)

    def _set_status(self, code: grpc.StatusCode, details: str, trailing_metadata: Metadata) -> None:
        self.set_code(code)
        self.set_details(details)
        if trailing_metadata:
            self.set_trailing_metadata(trailing_metadata)

    def set_code(self, code: grpc.StatusCode | int) -> None:
        self._plain = False
        self._code = code if isinstance(code, int) else code.value[0]

    def set_details(self, details: str) -> None:
        self._plain = False
        self._details = details or ""

    def set_trailing_metadata(self, trailing_metadata: Metadata) -> None:
        self._plain = False
        given = tuple(trailing_metadata or ())
        self._trailing_fields = framing.write_metadata(given)  # here it can still tell the servicer what is wrong
        self._trailing = given

    def code(self) -> int:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Sequence[tuple[str, str | bytes]]:
        return self._trailing

    # What is known about the call

    def invocation_metadata(self) -> tuple[framing.Metadatum, ...]:
        return self._parsed.metadata

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(self._deadline - WAITING.monotonic(), 0)

    def peer(self) -> str:
        return self._protocol.peer

    def done(self) -> bool:
        return self._over

    def cancelled(self) -> bool:
        return self._cancelled

    def add_done_callback(self, callback: Callable[[Any], Any]) -> None:
        if self._callbacks is None:
            self._callbacks = []
        self._callbacks.append(callback)


# by name only: as a base class it would cost every call a dictionary
grpc.aio.ServicerContext.register(Context)
