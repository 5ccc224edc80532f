"""The answer to a query over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.serving.pieces import LARGE, Pieces
from dapr_state.slices import Work
from dapr_state.stores.model import StoredValue
from dapr_state.transports.grpc.encoding import tag, varint

if TYPE_CHECKING:
    from dapr_state.api.query import Result, Results

_RESULTS: Final = tag(state_pb2.QueryStateResponse.RESULTS_FIELD_NUMBER)
_DATA: Final = tag(state_pb2.QueryStateItem.DATA_FIELD_NUMBER)


async def query_answer(results: Results) -> Pieces:
    """Its fields one after another are the message, whatever their order."""
    whole, work = Pieces(), Work()
    for result in results.found:
        _add(whole, result)
        if work.is_over():
            await work.pause()
    whole.add(state_pb2.QueryStateResponse(token=results.token, metadata=results.metadata).SerializeToString())
    return whole


def _add(whole: Pieces, result: Result) -> None:
    row, key = result.row, _text(result.key)
    if not isinstance(row, StoredValue):
        _begin(whole, state_pb2.QueryStateItem(key=key, error=str(row)).SerializeToString())
    elif len(row.value) <= LARGE:
        item = state_pb2.QueryStateItem(key=key, data=row.value, etag=row.etag)
        _begin(whole, item.SerializeToString())
    else:  # a copy of its value less
        before = state_pb2.QueryStateItem(key=key).SerializeToString() + _DATA + varint(len(row.value))
        behind = state_pb2.QueryStateItem(etag=row.etag).SerializeToString()
        _begin(whole, before, len(row.value) + len(behind))
        whole.add(row.value)
        whole.add(behind)


def _text(key: str) -> str:
    """As a message can hold it: octets that are no UTF-8 (written over HTTP, or by others) are told as U+FFFD."""
    return key if key.isascii() else key.encode(errors="surrogateescape").decode(errors="replace")


def _begin(whole: Pieces, octets: bytes, more: int = 0) -> None:
    whole.add(_RESULTS + varint(len(octets) + more) + octets)
