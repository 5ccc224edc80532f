"""What lists have in common: the size of a page, and the tokens of stores that list in the order of their keys."""

from __future__ import annotations

import binascii
from typing import Final, NamedTuple

from dapr_state.stores.base import StoreError, Unfit

ENTRIES_AT_MOST: Final = 1000  # of a page: some milliseconds of work, encrypted values included
OCTETS_AT_MOST: Final = 1 << 20  # of the values of a page, beside one entry that may be larger
_MARK: Final = b"k1:"  # tells these tokens from others
_ROW: Final = b"r1:"  # where a count goes on that takes rows as they stand in the file
_GROUP: Final = b"g1:"  # where a list goes on behind all keys that begin so
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)  # no text in UTF-8 holds these code points


def size(limit: int) -> int:
    """How many entries a page may hold of which `limit` are asked for."""
    if limit < 1:
        raise Unfit(f"a page must have room for one entry or more, not {limit}")
    return min(limit, ENTRIES_AT_MOST)


def token(key: bytes) -> str:
    """Where the page ended whose last key this is."""
    return binascii.b2a_base64(_MARK + key, newline=False).decode()


def key_of(after: str, prefix: str) -> bytes:
    """The key behind which the list of `prefix` goes on. StoreError if the token is of another list."""
    try:
        told = binascii.a2b_base64(after, strict_mode=True)
    except ValueError:
        told = b""
    if not told.startswith(_MARK + encoded(prefix)):
        raise other_list()
    return told.removeprefix(_MARK)


class Range(NamedTuple):
    """Which keys a page is taken from."""

    low: bytes
    with_low: bool
    high: bytes | None  # which is not in it; None: no end


def row_token(row: int, prefix: str) -> str:
    """Where a count of `prefix` goes on that has come to this row."""
    return binascii.b2a_base64(_ROW + b"%d:" % row + encoded(prefix), newline=False).decode()


def row_of(after: str, prefix: str) -> int | None:
    """The row of such a token; None if it is none of this list."""
    try:
        told = binascii.a2b_base64(after, strict_mode=True)
    except ValueError:
        return None
    row, _, of = told.removeprefix(_ROW).partition(b":")
    return int(row) if told.startswith(_ROW) and of == encoded(prefix) else None


def token_beyond(group: str) -> str:
    """Where a list goes on that passes over all keys that begin so, in either direction."""
    return binascii.b2a_base64(_GROUP + encoded(group), newline=False).decode()


def range_of(prefix: str, after: str, *, reverse: bool) -> Range | None:
    """What is left of the list of `prefix` where a token says so; None: nothing. StoreError if it is of another."""
    end = end_of(prefix)
    low, with_low, high = encoded(prefix), True, None if end is None else encoded(end)
    if not after:
        return Range(low, with_low, high)
    group = _group_of(after, prefix)
    if group is None:
        key = key_of(after, prefix)
        return Range(low, with_low, key) if reverse else Range(key, False, high)
    if reverse:
        return Range(low, with_low, encoded(group))
    behind = end_of(group)
    return None if behind is None else Range(encoded(behind), with_low, high)


def _group_of(after: str, prefix: str) -> str | None:
    try:
        told = binascii.a2b_base64(after, strict_mode=True)
    except ValueError:
        return None
    return decoded(told.removeprefix(_GROUP)) if told.startswith(_GROUP + encoded(prefix)) else None


def other_list() -> StoreError:
    """Why a token is refused."""
    return Unfit("the token to go on with was not given by this list")


def encoded(key: str) -> bytes:
    """A key as it stands in a token."""
    return key.encode("utf-8", "surrogatepass")  # some stores take keys that are no valid text


def decoded(key: bytes) -> str:
    return key.decode("utf-8", "surrogatepass")


def end_of(prefix: str) -> str | None:
    """The first text behind all that begin with `prefix`; None if nothing is."""
    stem = prefix.rstrip(chr(_LAST))
    if not stem:
        return None
    following = ord(stem[-1]) + 1
    return stem[:-1] + chr(_SURROGATES.stop if following in _SURROGATES else following)
