"""What lists have in common: the size of a page, and the tokens of stores that list in the order of their keys."""

from __future__ import annotations

import binascii
from typing import Final

from dapr_state.stores.base import StoreError

ENTRIES_AT_MOST: Final = 1000  # of a page: some milliseconds of work, encrypted values included
OCTETS_AT_MOST: Final = 1 << 20  # of the values of a page, beside one entry that may be larger
_MARK: Final = b"k1:"  # tells these tokens from others
_LAST: Final = 0x10FFFF
_SURROGATES: Final = range(0xD800, 0xE000)  # no text in UTF-8 holds these code points


def size(limit: int) -> int:
    """How many entries a page may hold of which `limit` are asked for."""
    if limit < 1:
        raise StoreError(f"a page must have room for one entry or more, not {limit}")
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


def other_list() -> StoreError:
    """Why a token is refused."""
    return StoreError("the token to go on with was not given by this list")


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
