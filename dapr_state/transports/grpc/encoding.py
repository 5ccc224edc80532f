"""The answers of gets as protobuf writes them, made without its messages: a hundred small values in 27 us for 42.

What is unusual in an answer (an error, a TTL, a field that is empty or long) is left to the messages. Where a value is
large, the answer is in pieces, and the value is not copied.
"""

from __future__ import annotations

from itertools import starmap
from typing import TYPE_CHECKING, Any, Final, cast

from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.api import expiry
from dapr_state.serving.pieces import LARGE, Pieces
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.api.state import Outcome

AT_ONCE: Final = 64  # items of an answer that is longer: 50 us
_MORE: Final = 0x80  # of a number's octets, all but the last have this bit
_SHORT: Final = 2048  # octets of what is written by the tables; with them they take 0.3 MB


def varint(number: int) -> bytes:
    """A length as protobuf writes it."""
    octets = bytearray()
    while number >= _MORE:
        octets.append(number % _MORE + _MORE)
        number //= _MORE
    octets.append(number)
    return bytes(octets)


def tag(field: int) -> bytes:
    """Of a field that is octets of some length, which follows."""
    return bytes((field << 3 | 2,))


def _openings(field: int) -> list[bytes]:
    """What comes before a field's octets, by their number."""
    begin = tag(field)
    return [begin + length for length in _LENGTHS]


_Value = state_pb2.GetStateResponse
_Item = state_pb2.BulkStateItem
_ITEM: Final = tag(state_pb2.GetBulkStateResponse.ITEMS_FIELD_NUMBER)
_DATA: Final = tag(_Item.DATA_FIELD_NUMBER)

_LENGTHS: Final = [varint(length) for length in range(_SHORT)]
_OPENINGS: Final = [_openings(field) for field in range(4)]
_VALUE_DATA: Final = _OPENINGS[_Value.DATA_FIELD_NUMBER]
_VALUE_ETAG: Final = _OPENINGS[_Value.ETAG_FIELD_NUMBER]
_ITEMS: Final = _OPENINGS[state_pb2.GetBulkStateResponse.ITEMS_FIELD_NUMBER]
_ITEM_KEY: Final = _OPENINGS[_Item.KEY_FIELD_NUMBER]
_ITEM_DATA: Final = _OPENINGS[_Item.DATA_FIELD_NUMBER]
_ITEM_ETAG: Final = _OPENINGS[_Item.ETAG_FIELD_NUMBER]


def value(found: StoredValue | None) -> bytes:
    """A GetStateResponse."""
    if found is None:
        return b""
    data, etag = found.value, found.etag.encode()
    if found.expires_at is None and 0 < len(data) < _SHORT and 0 < len(etag) < _MORE:
        return b"".join((_VALUE_DATA[len(data)], data, _VALUE_ETAG[len(etag)], etag))
    return _Value(data=data, etag=found.etag, metadata=expiry.metadata(found)).SerializeToString()


def values(keys: Sequence[str], outcomes: Sequence[Outcome]) -> bytes:
    """A GetBulkStateResponse. Its items are its one field: one after another they are the answer."""
    parts: list[bytes] = []
    remaining = zip(keys, outcomes, strict=True)
    for key, outcome in remaining:
        name = key.encode()
        a = len(name)
        if type(outcome) is StoredValue and outcome.expires_at is None:
            data, etag = outcome.value, outcome.etag.encode()
            b, c = len(data), len(etag)
            if 0 < a < _MORE and 0 < b < _SHORT - 3 * _MORE and 0 < c < _MORE:
                size = a + b + c + (6 if b < _MORE else 7)
                parts += (_ITEMS[size], _ITEM_KEY[a], name, _ITEM_DATA[b], data, _ITEM_ETAG[c], etag)
                continue
        elif outcome is None and 0 < a < _MORE:
            parts += (_ITEMS[a + 2], _ITEM_KEY[a], name)
            continue
        # where one is unusual, others may be: a message of many costs a third of many messages
        items = [_unusual(key, outcome), *starmap(_unusual, remaining)]
        parts.append(state_pb2.GetBulkStateResponse(items=items).SerializeToString())
    return b"".join(parts)


async def long_values(keys: Sequence[str], outcomes: Sequence[Outcome]) -> Pieces:
    """As `values`, in slices and pieces."""
    whole, work = Pieces(), Work()
    group: list[tuple[str, Outcome]] = []
    for key, outcome in zip(keys, outcomes, strict=True):
        is_large = isinstance(outcome, StoredValue) and len(outcome.value) > LARGE
        if not is_large:
            group.append((key, outcome))
        if group and (is_large or len(group) == AT_ONCE):
            whole.add(values(*zip(*group, strict=True)))
            group.clear()
        if is_large:
            _add_large(whole, key, cast("StoredValue", outcome))
        if work.is_over():
            await work.pause()
    if group:
        whole.add(values(*zip(*group, strict=True)))
    return whole


def _add_large(whole: Pieces, key: str, row: StoredValue) -> None:
    """One item as protobuf would write it, but for a copy of its value."""
    before = _Item(key=key).SerializeToString() + _DATA + varint(len(row.value))
    behind = _Item(etag=row.etag, metadata=expiry.metadata(row)).SerializeToString()
    whole.add(_ITEM + varint(len(before) + len(row.value) + len(behind)) + before)
    whole.add(row.value)
    whole.add(behind)


def _unusual(key: str, outcome: Outcome) -> dict[str, Any]:
    """An item as a dict: of these a message is made in a sixth of the time that its own messages take."""
    if outcome is None:
        return {"key": key}
    if isinstance(outcome, StoreError):
        return {"key": key, "error": str(outcome)}
    if outcome.expires_at is None:
        return {"key": key, "data": outcome.value, "etag": outcome.etag}
    return {"key": key, "data": outcome.value, "etag": outcome.etag, "metadata": expiry.metadata(outcome)}
