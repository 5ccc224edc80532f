"""HPACK's Huffman code (RFC 7541, section 5.2), read an octet at a time where a string is long.

The library hpack goes through its table by half octets: 61 KB, which one head may have, take it 10 ms in one go. Here a
step is an octet, by rows that are made of that table when they are first asked for: strings of ordinary length need
none, and all of them are a megabyte.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import hpack
from hpack.huffman_table import HUFFMAN_COMPLETE, HUFFMAN_EMIT_SYMBOL, HUFFMAN_FAIL, HUFFMAN_TABLE, decode_huffman

if TYPE_CHECKING:
    from collections.abc import Sequence

    Row = tuple[bytes, list[bytes | None]]  # for each octet: the next state, and what comes out; None: no code

SHORT: Final = 1024  # octets, which the library takes 0.2 ms for
LEARN_AT_ONCE: Final = 32  # rows that one string may ask for, 2 ms: beyond it the library reads the string

_HALVES: Final = 16  # values that half an octet may have
_rows: list[Row | None] = [None] * (len(HUFFMAN_TABLE) // _HALVES)
_may_end: Final = {state for state, flags, _ in HUFFMAN_TABLE if flags & HUFFMAN_COMPLETE}
_pieces: dict[bytes, bytes] = {}  # each once


def decoded(octets: bytes) -> bytes:
    """What the code stands for; HPACKDecodingError if it is none."""
    if len(octets) <= SHORT:
        return decode_huffman(octets)
    rows, state = _rows, 0
    pieces: list[bytes | None] = []
    to_learn = LEARN_AT_ONCE
    for octet in octets:
        row = rows[state]
        if row is None:
            if not to_learn:
                return decode_huffman(octets)
            to_learn -= 1
            row = _learn(state)
        states, symbols = row
        pieces.append(symbols[octet])
        state = states[octet]
    try:
        text = b"".join(pieces)  # type: ignore[arg-type]
    except TypeError:
        raise hpack.HPACKDecodingError("Invalid Huffman String") from None
    if state not in _may_end:
        raise hpack.HPACKDecodingError("Incomplete Huffman String")
    return text


def _learn(state: int) -> Row:
    states = bytearray()
    symbols: list[bytes | None] = []
    for middle, flags, symbol in _halves(state):
        if flags & HUFFMAN_FAIL:
            states += bytes(_HALVES)
            symbols += [None] * _HALVES
            continue
        begin = _piece(flags, symbol)
        for end, flags, symbol in _halves(middle):  # noqa: PLW2901 - the second half of the same octet
            states.append(end)
            piece = begin + _piece(flags, symbol)
            symbols.append(None if flags & HUFFMAN_FAIL else _pieces.setdefault(piece, piece))
    row = _rows[state] = bytes(states), symbols
    return row


def _piece(flags: int, symbol: int) -> bytes:
    return bytes((symbol,)) if flags & HUFFMAN_EMIT_SYMBOL else b""


def _halves(state: int) -> Sequence[tuple[int, int, int]]:
    return HUFFMAN_TABLE[state * _HALVES : (state + 1) * _HALVES]
