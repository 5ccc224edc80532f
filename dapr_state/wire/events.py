"""What the bytes of a peer amount to: the whole seam between HTTP/2 and the layer above."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from dapr_state.wire.faults import ErrorCode, Fault
    from dapr_state.wire.stream import Stream


class RequestReceived(NamedTuple):
    """A stream is open, its headers are read. `ended`: nothing more will come from the peer."""

    stream: Stream[Any]
    ended: bool


class DataReceived(NamedTuple):
    stream: Stream[Any]
    data: bytes
    ended: bool


class StreamReset(NamedTuple):
    """The stream is gone, by the peer's wish or for its fault: what was asked for need not be done."""

    stream: Stream[Any]
    code: ErrorCode | int


class Drained(NamedTuple):
    """What had to wait for the peer's windows has all been sent."""

    stream: Stream[Any]


class ConnectionFailed(NamedTuple):
    """The connection is to be closed once its last output is written."""

    fault: Fault


Event = RequestReceived | DataReceived | StreamReset | Drained | ConnectionFailed
