"""HPACK's reading half (RFC 7541): a header block becomes fields, within bounds that are checked while it is read.

The decoder of the library hpack copies the rest of a block for each literal and bounds neither the number of fields nor
that of table updates: one block within its limits takes it 200 ms. Its static table and its Huffman code are used here.
"""

from __future__ import annotations

from collections import deque
from typing import Final

import hpack
from hpack.table import HeaderTable

from dapr_state.wire.http2 import huffman
from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode

Field = tuple[bytes, bytes]

STATIC: Final[tuple[Field, ...]] = HeaderTable.STATIC_TABLE
ENTRY_OVERHEAD: Final = 32  # section 4.1: what each field counts beside its octets
TABLE_SIZE: Final = 4096  # what SETTINGS_HEADER_TABLE_SIZE begins with; this side never sets it
# section 4.2: the smallest size since the last block, and the last
_MAX_UPDATES: Final = 2
REFUSED_FIELDS: Final = 4  # times as many as a list may have, of a list that is refused
# Octets in Huffman's code of one block, which take 3 ms: a block in plain octets costs a fiftieth of that.
MAX_CODED: Final = 65_536
_MAX_SHIFT: Final = 28  # an integer has at most 35 bits: beyond any length or index


class Decoder:
    """Reads the blocks of one connection, in their order; after a fault its table is of no more use."""

    def __init__(self, max_list_size: int, max_fields: int, longest_list: int = 0) -> None:
        self.changes = 0  # of the table, counted up: what a block means may be another afterwards
        self._max_list_size = max_list_size
        self._max_fields = max_fields
        self._longest_list = longest_list
        # A code has at most 30 bits: what is longer than this stands for more than the table holds, and is longer than
        # the list may be. Of such a string nothing is needed but that it is too long.
        self._longest_coded = max(max_list_size, TABLE_SIZE * 30 // 8)
        self._coded = 0  # octets of the block in Huffman's code
        self._table: deque[Field] = deque()  # the newest first
        self._size = 0
        self._capacity = TABLE_SIZE

    def __repr__(self) -> str:
        return f"<Decoder {len(self._table)} entries, {self._size} of {self._capacity}>"

    def decode(self, block: bytes) -> list[Field] | None:
        """The fields of a block, or None if it stands for too much; ConnectionFault for far too much, or no block."""
        self._coded = 0
        try:
            return self._decode(block)
        except (IndexError, hpack.HPACKError) as error:  # the block ends too soon; or the Huffman code does
            raise _undecodable("cut off, or no Huffman code") from error

    def _decode(self, block: bytes) -> list[Field] | None:
        fields: list[Field] = []
        position, end = self._read_updates(block), len(block)
        size = refused = 0  # octets; fields that are not kept
        while position < end:
            first = block[position]
            if first & 0x80:  # section 6.1: an entry of the tables
                index, position = _integer(block, position, 0x7F)
                field = self._entry(index)
            elif first & 0x40:  # section 6.2.1: a literal that enters the table
                field, position = self._literal(block, position, 0x3F)
                self._add(field)
            elif first & 0x20:
                raise _undecodable("a table update after the first field")
            else:  # sections 6.2.2 and 6.2.3: one that does not
                field, position = self._literal(block, position, 0x0F)
            fields.append(field)
            size += len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
            if size > self._max_list_size or len(fields) > self._max_fields:
                refused += len(fields)
                fields.clear()
                if size > self._longest_list or refused > REFUSED_FIELDS * self._max_fields:
                    raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too long")
        return None if refused else fields

    def _read_updates(self, block: bytes) -> int:
        """Section 6.3: a block may begin with new sizes of the table. Returns where its fields begin."""
        position = 0
        for _ in range(_MAX_UPDATES):
            if position == len(block) or block[position] & 0xE0 != 0x20:  # noqa: PLR2004 - 001: an update
                break
            capacity, position = _integer(block, position, 0x1F)
            if capacity > TABLE_SIZE:
                raise _undecodable("a table larger than was announced")
            self._capacity = capacity
            self.changes += 1
            self._evict(capacity)
        return position

    def _entry(self, index: int) -> Field:
        if not index:
            raise _undecodable("index 0")
        if index <= len(STATIC):
            return STATIC[index - 1]
        return self._table[index - len(STATIC) - 1]

    def _string(self, block: bytes, position: int) -> tuple[bytes, int]:
        """Section 5.2: the octets that begin at `position`, and where they end."""
        is_huffman = block[position] & 0x80
        length, position = _integer(block, position, 0x7F)
        end = position + length
        if end > len(block):
            raise _undecodable("a string beyond its end")
        octets = block[position:end]
        if not is_huffman or length > self._longest_coded:
            return octets, end
        self._coded += length
        if self._coded > max(MAX_CODED, self._max_list_size):
            raise ConnectionFault(ErrorCode.ENHANCE_YOUR_CALM, "header list too long")
        return huffman.decoded(octets), end

    def _literal(self, block: bytes, position: int, prefix: int) -> tuple[Field, int]:
        index, position = _integer(block, position, prefix)
        if index:
            name = self._entry(index)[0]
        else:
            name, position = self._string(block, position)
        value, position = self._string(block, position)
        return (name, value), position

    def _add(self, field: Field) -> None:
        self.changes += 1
        size = len(field[0]) + len(field[1]) + ENTRY_OVERHEAD
        self._evict(self._capacity - size)
        if size <= self._capacity:
            self._table.appendleft(field)
            self._size += size

    def _evict(self, size: int) -> None:
        """Section 4.3: the oldest go until no more than `size` is left."""
        while self._table and self._size > size:
            name, value = self._table.pop()
            self._size -= len(name) + len(value) + ENTRY_OVERHEAD


def _integer(block: bytes, position: int, prefix: int) -> tuple[int, int]:
    """Section 5.1: the number that begins at `position`, and where it ends."""
    value = block[position] & prefix
    position += 1
    if value < prefix:
        return value, position
    for shift in range(0, _MAX_SHIFT + 1, 7):
        octet = block[position]
        position += 1
        value += (octet & 0x7F) << shift
        if octet < 0x80:  # noqa: PLR2004 - the last one
            return value, position
    raise _undecodable("a number out of all bounds")


def _undecodable(reason: str) -> ConnectionFault:
    return ConnectionFault(ErrorCode.COMPRESSION_ERROR, f"header block cannot be decoded: {reason}")
