"""Lists by prefix: SCAN goes through all keys of a server, in the order of its hash table.

It tells a key that is there all the time at least once, and once more where the table has shrunk meanwhile. Nothing is
kept between two pages: where to go on is the token's to say, with what a step has found beyond the page's room. Each
process of Redis has an order of its own: in another one the list begins anew.
"""

from __future__ import annotations

import binascii
import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from dapr_state.stores import paging
from dapr_state.stores.base import StoreError, Unfit
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError
from dapr_state.stores.redis.reading import encoded
from dapr_state.stores.redis.scripts import packed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.redis.connection import Connection

_SCANNED_AT_ONCE: Final = 1000  # keys: Redis does nothing else for 0.3 ms
_SCANNED_AT_MOST: Final = 10_000  # keys for one page, whether they begin with the prefix or not
_SPECIAL: Final = re.compile(rb"[*?\[\\]")  # in a pattern


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    prefix: bytes
    process: str  # of Redis
    cursor: int | None  # None: that was all
    left: list[bytes]  # keys that were found, and did not fit


class Walk(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    """Where a list over the nodes of a cluster is."""

    prefix: bytes
    map: int  # which node had which slot when it began
    node: str = ""  # by name: the list goes on with it, or with the next one if it is gone
    after: str = ""  # where on this node


T = TypeVar("T", _Token, Walk)

_decoder: Final = msgspec.msgpack.Decoder(_Token)
_walks: Final = msgspec.msgpack.Decoder(Walk)


async def find(connection: Connection, process: str, prefix: str, after: str, size: int) -> tuple[list[str], str]:
    """The keys of a page that are worth reading at once, and the token to go on with."""
    at = _begin(prefix, after, process)
    await _fill(connection, at, size)
    lengths = await _lengths(connection, at.left[:size])
    room, octets = 0, 0
    for length in lengths:
        octets += length
        if room and octets > paging.OCTETS_AT_MOST:
            break
        room += 1
    page, at.left = at.left[:room], at.left[room:]
    after = "" if at.cursor is None and not at.left else text(at)
    keys = [key.decode(errors="surrogateescape") for key in page]
    return [key for key in keys if key.startswith(prefix)], after  # others: a prefix that ends within a character


def _begin(prefix: str, after: str, process: str) -> _Token:
    octets = _encoded(prefix)
    anew = _Token(octets, process, 0, [])
    if not after:
        return anew
    at = _decoded(_decoder, after, octets)
    if not all(key.startswith(octets) for key in at.left):
        raise paging.other_list()
    return at if at.process == process else anew


def walk(prefix: str, after: str, its_map: int) -> Walk:
    """Where a list over nodes goes on; from the first one again if slots have moved since it began."""
    octets = _encoded(prefix)
    anew = Walk(octets, its_map)
    at = _decoded(_walks, after, octets) if after else anew
    return at if at.map == its_map else anew


def _encoded(prefix: str) -> bytes:
    try:
        (octets,) = encoded([prefix])
    except UnicodeEncodeError:
        raise Unfit(f"the prefix is not valid UTF-8: {prefix!a}") from None
    return octets


def _decoded(decoder: msgspec.msgpack.Decoder[T], after: str, prefix: bytes) -> T:
    try:
        at = decoder.decode(binascii.a2b_base64(after, strict_mode=True))
    except (ValueError, msgspec.MsgspecError):
        raise paging.other_list() from None
    if at.prefix != prefix:
        raise paging.other_list()
    return at


def text(at: _Token | Walk) -> str:
    """The token that a caller gets."""
    return binascii.b2a_base64(msgspec.msgpack.encode(at), newline=False).decode()


async def _fill(connection: Connection, at: _Token, size: int) -> None:
    """Find keys until there are enough for a page, or enough was looked through."""
    pattern = _SPECIAL.sub(rb"\\\g<0>", at.prefix) + b"*"
    found = dict.fromkeys(at.left)
    scanned, count = 0, size
    while at.cursor is not None and len(found) < size and scanned < _SCANNED_AT_MOST:
        command = packed(b"SCAN", at.cursor, b"MATCH", pattern, b"COUNT", count)
        (reply,) = await connection.ask(command, 1)
        cursor, keys = _scanned(connection, reply)
        found.update(dict.fromkeys(keys))
        at.cursor = cursor or None
        scanned += count
        # as many as it takes if they are as frequent as so far: few are found in vain
        count = max(1, min(_SCANNED_AT_ONCE, (size - len(found)) * scanned // max(1, len(found))))
    at.left = list(found)


def _scanned(connection: Connection, reply: Any) -> tuple[int, list[bytes]]:
    if isinstance(reply, ReplyError):
        raise StoreError(str(reply))
    try:
        cursor, keys = reply
        return int(cursor), [*map(_key, keys)]
    except (TypeError, ValueError):
        connection.leave("a reply to SCAN that is none")
        raise ConnectionLost(str(connection.lost)) from None


def _key(key: Any) -> bytes:
    if type(key) is not bytes:
        raise TypeError
    return key


async def _lengths(connection: Connection, keys: Sequence[bytes]) -> list[int]:
    """How long the values are: a page holds so many octets. What does not tell may be as long as a page."""
    if not keys:
        return []
    commands = b"".join([packed(b"HSTRLEN", key, b"data") for key in keys])
    replies = await connection.ask(commands, len(keys))
    return [reply if type(reply) is int else paging.OCTETS_AT_MOST for reply in replies]
