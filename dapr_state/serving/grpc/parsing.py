"""Long protobuf messages parsed in slices: one call of protobuf's C code takes up to a second for 4 MB of small fields.

Parsing what follows into the same message is what protobuf itself means by a message in two parts. So a message is
parsed some fields at a time, and a long message inside it, or under a key of a map, by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from google.protobuf.message_factory import GetMessageClass

from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.message import Message

LONG: Final = 64 * 1024  # octets
PIECE: Final = 8 * 1024  # octets, of which a map makes a thousand entries in 5 ms at worst

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_KEY, _VALUE = 1, 2  # the fields of a map's entry
_MORE: Final = 0x80


async def parse(make: type[Message], data: bytes) -> Message:
    """The message of `data`. Raises whatever protobuf does for what is none, or ValueError."""
    message, work = make(), Work()
    await work.pause()
    await _merge(message, data, 0, len(data), work)
    return message


async def _merge(message: Any, data: bytes, begin: int, end: int, work: Work) -> None:
    fields = message.DESCRIPTOR.fields_by_number
    for number, start, payload, past in _fields(data, begin, end):
        field = fields.get(number)
        if past - start > LONG and _is_message(field):
            message.MergeFromString(data[begin:start])
            if field.message_type.GetOptions().map_entry:
                await _merge_entry(getattr(message, field.name), field.message_type, data[payload:past], work)
            else:
                await _merge(_inner(message, field), data, payload, past, work)
            begin = past
        elif past - begin > PIECE:
            message.MergeFromString(data[begin:past])
            begin = past
        if work.is_over():
            await work.pause()
    message.MergeFromString(data[begin:end])


async def _merge_entry(map_: Any, kind: Any, data: bytes, work: Work) -> None:
    """A key with its value; a value that comes for the same key later takes its place."""
    named, values = b"", []
    for number, start, payload, past in _fields(data, 0, len(data)):
        if number == _KEY:
            named = data[start:past]
        elif number == _VALUE:
            values.append((payload, past))
        if work.is_over():
            await work.pause()
    entry: Any = GetMessageClass(kind).FromString(named)
    value = map_[entry.key]
    value.Clear()
    for payload, past in values:
        await _merge(value, data, payload, past, work)
        if work.is_over():
            await work.pause()


def _is_message(field: Any) -> bool:
    """Also a map whose values are messages."""
    if field is None or field.message_type is None:
        return False
    kind = field.message_type
    return not kind.GetOptions().map_entry or kind.fields_by_number[_VALUE].message_type is not None


def _inner(message: Any, field: Any) -> Any:
    inner = getattr(message, field.name)
    if field.is_repeated:
        return inner.add()
    inner.SetInParent()
    return inner


def _fields(data: bytes, at: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """Number, begin, begin of the payload, and end of each field."""
    while at < end:
        start = at
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == _BYTES:
            length, payload = _varint(data, at)
            at = payload + length
        elif kind == _VARINT:
            payload, (_, at) = at, _varint(data, at)
        elif kind in {_FIXED64, _FIXED32}:
            payload, at = at, at + (8 if kind == _FIXED64 else 4)
        else:
            raise ValueError(f"a field of kind {kind}")
        if at > end:
            raise ValueError("a field goes beyond its message")
        yield tag >> 3, start, payload, at


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        octet = data[at]  # IndexError where it is cut off
        at += 1
        value |= (octet & 0x7F) << shift
        if octet < _MORE:
            return value, at
        shift += 7
        if shift > 63:  # noqa: PLR2004 - ten octets at most
            raise ValueError("a number that is too long")
