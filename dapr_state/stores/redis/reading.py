"""How rows are asked for, and what the replies say.

A key is read by two plain commands in one write. One script for both was measured: 1.5 to 3 times the time in Redis for
one key and for a hundred. Another client's write may fall between the two; the answer is then the row as it was, with
the expiry of the row that replaced it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state.stores.base import StoreError, Unfit
from dapr_state.stores.model import StoredValue
from dapr_state.stores.redis.connection import ReplyError
from dapr_state.stores.redis.scripts import READ_ANY

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

MISSING_FIELD: Final = "required hash field 'data' or 'version' was not found"

_READ = b"*4\r\n$5\r\nHMGET\r\n$%d\r\n%b\r\n$4\r\ndata\r\n$7\r\nversion\r\n"
_WITH_EXPIRY: Final = _READ + b"*2\r\n$11\r\nPEXPIRETIME\r\n$%d\r\n%b\r\n"
_WITH_TTL: Final = _READ + b"*2\r\n$4\r\nPTTL\r\n$%d\r\n%b\r\n"  # before Redis 7.0
_TIME: Final = b"*1\r\n$4\r\nTIME\r\n"
_NO_KEY: Final = -2  # of PEXPIRETIME and PTTL


def encoded(keys: Iterable[str]) -> list[bytes]:
    """Keys as Redis has them; what an HTTP path carried that is not UTF-8 comes back as the bytes that it was."""
    return [key.encode(errors="surrogateescape") for key in keys]


def pack(keys: Sequence[str]) -> bytes:
    """Two replies for each key."""
    return _pack(_WITH_EXPIRY, keys)


def pack_for_old_server(keys: Sequence[str]) -> bytes:
    """Two replies for each key, and the server's time."""
    return _pack(_WITH_TTL, keys) + _TIME


def _pack(form: bytes, keys: Sequence[str]) -> bytes:
    if len(keys) == 1:  # the most frequent request, in a third of the time
        key = keys[0].encode(errors="surrogateescape")
        return form % (len(key), key, len(key), key)
    return b"".join([form % (len(key), key, len(key), key) for key in encoded(keys)])


def pack_read_any(keys: Iterable[str]) -> bytes:
    """A reply for each key, for any_row."""
    return b"".join([READ_ANY.whole([key]) for key in encoded(keys)])


def with_expiry(replies: list[Any]) -> list[Any]:
    """What `pack` would have got, from the replies to `pack_for_old_server`."""
    seconds, microseconds = replies.pop()
    now = int(seconds) * 1000 + int(microseconds) // 1000
    replies[1::2] = [ttl + now if isinstance(ttl, int) and ttl >= 0 else ttl for ttl in replies[1::2]]
    return replies


def rows(replies: list[Any]) -> tuple[list[StoredValue | StoreError | None], list[int]]:
    """The rows that the replies to `pack` say, and the places of those that two plain commands do not explain.

    Such a row is of another type, lacks a field, or came in between. Raises for replies that these commands never get.
    """
    found: list[StoredValue | StoreError | None] = []
    unclear: list[int] = []
    pairs = iter(replies)
    for fields, expiry in zip(pairs, pairs, strict=True):
        if type(fields) is list and type(expiry) is int:
            value, version = fields  # raises if they are not two
            if value is not None and version is not None:
                found.append(
                    StoredValue(value, str(version, "utf-8", "replace"), expiry / 1000 if expiry >= 0 else None)
                )
                continue
            if value is version and expiry == _NO_KEY:  # both None
                found.append(None)
                continue
        elif type(fields) is list and isinstance(expiry, ReplyError):
            found.append(StoreError(str(expiry)))
            continue
        elif not isinstance(fields, ReplyError):
            raise TypeError("neither fields nor an error")
        unclear.append(len(found))
        found.append(None)
    return found, unclear


def any_row(reply: Any) -> StoredValue | StoreError | None:
    """The row that read_any.lua found."""
    if isinstance(reply, StoreError):
        return reply
    kind, value, version, expiry = reply
    if kind == b"none":
        return None
    if isinstance(value, StoreError):
        return Unfit(str(value))
    if value is None or (kind == b"hash" and version is None):
        return Unfit(MISSING_FIELD)
    return StoredValue(value, (version or b"").decode(errors="replace"), expiry / 1000 if expiry >= 0 else None)
