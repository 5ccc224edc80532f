"""The text that asks for the next page: where the last one ended, and for which query of whose rows that was.

A token that was changed, or was given for another query, store or application, is refused: a digest over all of them
is in it. It is no secret and needs none: who makes one himself begins a page of his own rows where he likes. It holds
a place in an order of values and keys, and so outlives the process that gave it.
"""

from __future__ import annotations

import binascii
from decimal import Decimal
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.query.scan import Position
from dapr_state.query.tree import ForeignTokenError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.query.tree import Query

_DIGEST: Final = 16  # octets
_NUMBER: Final = 1  # the rank of numbers, which msgpack would keep as doubles
_KEPT_AS: Final = (bool, str, str, bool, bool)  # what is behind each rank


class _Token(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    digest: bytes
    ranks: list[tuple[int, bool | str]]
    key: bytes  # some stores take keys that are no valid text


_decoder: Final = msgspec.msgpack.Decoder(_Token)


def write(end: Position, query: Query, whose: Sequence[str]) -> str:
    """`whose`: the store, and the prefix of all keys."""
    prefix = whose[-1]
    ranks = [(kind, str(value) if isinstance(value, Decimal) else value) for kind, value in end.ranks]
    token = _Token(b"", ranks, _octets(end.key.removeprefix(prefix)))  # type: ignore[arg-type]
    token.digest = _digest(token, query, whose)
    return binascii.b2a_base64(msgspec.msgpack.encode(token), newline=False).decode()


def read(query: Query, whose: Sequence[str]) -> Position | None:
    """Where the page begins that the query asks for. Raises ForeignTokenError."""
    if not query.token:
        return None
    try:
        token = _decoder.decode(binascii.a2b_base64(query.token, strict_mode=True))
        if token.digest != _digest(token, query, whose):
            raise _foreign()
        ranks = tuple(_rank(*each) for each, _ in zip(token.ranks, query.sort, strict=True))
        return Position(ranks, whose[-1] + token.key.decode("utf-8", "surrogatepass"))
    except (ValueError, LookupError, ArithmeticError, msgspec.MsgspecError):
        raise _foreign() from None


def _rank(kind: int, value: bool | str) -> tuple[int, bool | str | Decimal]:
    """As `tree.rank` makes it: who made the token himself may have put anything there."""
    if kind < 0 or type(value) is not _KEPT_AS[kind]:
        raise ValueError(kind)
    if kind != _NUMBER:
        return kind, value
    number = Decimal(value)
    if not number.is_finite():
        raise ValueError(value)
    return kind, number


def _digest(token: _Token, query: Query, whose: Sequence[str]) -> bytes:
    told = (*map(_octets, whose), repr(query.condition), repr(query.sort), token.ranks, token.key)
    return blake2b(msgspec.msgpack.encode(told), digest_size=_DIGEST, person=b"dapr-state query").digest()


def _octets(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def _foreign() -> ForeignTokenError:
    return ForeignTokenError("the page token was not given for this query of this store by this application")
