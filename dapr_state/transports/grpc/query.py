"""The answer to a query over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.serving.pieces import LARGE, Pieces
from dapr_state.slices import Work
from dapr_state.stores.model import StoredValue

if TYPE_CHECKING:
    from dapr_state.api.query import Result, Results

# Tags of fields that are octets of some length: number * 8 + 2
_RESULTS: Final = bytes((state_pb2.QueryStateResponse.RESULTS_FIELD_NUMBER << 3 | 2,))
_DATA: Final = bytes((state_pb2.QueryStateItem.DATA_FIELD_NUMBER << 3 | 2,))
_MORE: Final = 0x80  # of a number's octets, all but the last have this bit


async def query_answer(results: Results) -> Pieces:
    """Its fields one after another are the message, whatever their order."""
    whole, work = Pieces(), Work()
    for result in results.found:
        _add(whole, result)
        if work.is_over():
            await work.pause()
    whole.add(state_pb2.QueryStateResponse(token=results.token).SerializeToString())
    return whole


def _add(whole: Pieces, result: Result) -> None:
    row = result.row
    if not isinstance(row, StoredValue):
        _begin(whole, state_pb2.QueryStateItem(key=result.key, error=str(row)).SerializeToString())
    elif len(row.value) <= LARGE:
        item = state_pb2.QueryStateItem(key=result.key, data=row.value, etag=row.etag)
        _begin(whole, item.SerializeToString())
    else:  # a copy of its value less
        before = state_pb2.QueryStateItem(key=result.key).SerializeToString() + _DATA + varint(len(row.value))
        behind = state_pb2.QueryStateItem(etag=row.etag).SerializeToString()
        _begin(whole, before, len(row.value) + len(behind))
        whole.add(row.value)
        whole.add(behind)


def _begin(whole: Pieces, octets: bytes, more: int = 0) -> None:
    whole.add(_RESULTS + varint(len(octets) + more) + octets)


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    octets = bytearray()
    while number >= _MORE:
        octets.append(number % _MORE + _MORE)
        number //= _MORE
    octets.append(number)
    return bytes(octets)
