"""What the bytes of a peer amount to: the whole seam between HTTP/2 and the layer above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.wire.http2.faults import ErrorCode, Fault
    from dapr_state.wire.http2.hpack import Field
    from dapr_state.wire.http2.stream import Stream


# msgspec.Struct costs a third of a named tuple to make.


class RequestReceived(msgspec.Struct):
    """A stream is open, its headers are read. `ended`: nothing more will come; `data` is then all of its content."""

    stream: Stream[Any]
    ended: bool
    data: bytes = b""


class DataReceived(msgspec.Struct):
    stream: Stream[Any]
    data: bytes
    ended: bool


class HeadReceived(msgspec.Struct):
    """The head of an answer, or its trailers, as a client gets them."""

    stream: Stream[Any]
    fields: Sequence[Field]
    ended: bool


class StreamReset(msgspec.Struct):
    """The stream is gone, by the peer's wish or for its fault: what was asked for need not be done."""

    stream: Stream[Any]
    code: ErrorCode | int


class Drained(msgspec.Struct):
    """What had to wait for the peer's windows has all been sent."""

    stream: Stream[Any]


class ConnectionFailed(msgspec.Struct):
    """The connection is to be closed once its last output is written."""

    fault: Fault


Event = RequestReceived | DataReceived | HeadReceived | StreamReset | Drained | ConnectionFailed
