"""How operations are given to apply.lua, and what its refusals mean."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import msgspec

from dapr_state.golang import strconv
from dapr_state.stores.base import EtagInvalid, EtagMismatch, NotDone, StoreError, Unfit
from dapr_state.stores.model import Operation, Upsert
from dapr_state.stores.redis import scripts
from dapr_state.stores.redis.scripts import APPLY

if TYPE_CHECKING:
    from collections.abc import Sequence


class NotHere(NotDone):
    """Nothing was done, as the server is not the one to do it, or not now: another one may be."""


class Touch(msgspec.Struct, frozen=True, gc=False):
    """Another time to live for a row that stays as it is; None: for ever."""

    key: str
    ttl: int | None
    etag: str = ""
    strong: ClassVar[bool] = False
    value: ClassVar[bytes] = b""


class Words(NamedTuple):
    number: int  # of operations
    keys: bytes
    arguments: bytes


EACH: Final = b"each"
ALL: Final = b"all"

_SET: Final = b"s:"
_INVALID: Final = b"i:"
# a version that cannot be counted on, a TTL without measure, rights that the user lacks
_OF_THE_ROW: Final = re.compile(rb"ERR hash value is not an integer|ERR invalid expire time|NOPERM ")
# a replica; in a cluster, a slot that moves to another node
_NOT_HERE: Final = re.compile(rb"READONLY |TRYAGAIN |ERR Script attempted to access a non local key")


def call(mode: bytes, operations: Sequence[Operation | Touch], *, whole: bool = False) -> bytes:
    """The packed call of the script; `whole` brings the script along, for a server that does not know it yet."""
    keys, arguments = _words(operations, mode)
    return APPLY.whole(keys, arguments) if whole else APPLY.remembered(keys, arguments)


def some_words(operations: Sequence[Operation]) -> Words:
    """What some operations add to the keys and to the arguments of a call that is packed in slices."""
    keys, arguments = _words(operations)
    return Words(len(keys), scripts.words(*keys), scripts.words(*arguments))


def whole_call(mode: bytes, parts: Sequence[Words]) -> bytes:
    """The call of all the parts, which brings the script along."""
    number = sum(part.number for part in parts)
    head = b"*%d\r\n%b" % (3 * number + 4, scripts.words(b"EVAL", APPLY.source, b"%d" % number))
    keys = [part.keys for part in parts]
    return b"".join([head, *keys, scripts.words(mode), *(part.arguments for part in parts)])


def _words(operations: Sequence[Operation | Touch], *first: bytes) -> tuple[list[bytes], list[bytes]]:
    """The keys, and the arguments behind the first ones."""
    keys: list[bytes] = []
    arguments: list[bytes] = [*first]
    for operation in operations:
        keys.append(operation.key.encode("utf-8", "surrogateescape"))
        if isinstance(operation, Upsert):
            plain = not operation.etag and operation.ttl is None and not operation.first_write
            arguments += (_SET if plain else _set(operation), operation.value)
        elif isinstance(operation, Touch):
            arguments += (b"t%b:%b" % (_seconds(operation.ttl), _canonical(operation.etag)), b"")
        else:
            arguments += (b"d:" + _canonical(operation.etag), b"")
    return keys, arguments


def refusal(operation: Operation, kind: bytes, detail: bytes) -> StoreError:
    """Why the script left this operation undone."""
    match kind:
        case b"missing":
            return EtagMismatch.missing(operation.key)
        case b"stale":
            return EtagMismatch.stale(operation.key, detail.decode(errors="replace"), operation.etag)
        case b"exists":
            return EtagMismatch.exists(operation.key)
        case b"invalid":
            return EtagInvalid(_problem(operation.etag))
    verb = "set" if isinstance(operation, Upsert) else "delete"
    error = NotHere if _NOT_HERE.match(detail) else Unfit if _OF_THE_ROW.match(detail) else NotDone
    return error(f"failed to {verb} key {operation.key}: {detail.decode(errors='replace')}")


def outcomes(operations: Sequence[Operation], refusals: list[Any]) -> list[StoreError | None]:
    """One entry for each operation, from the script's triples: none at all is the usual answer.

    Raises for what the script never returns.
    """
    if type(refusals) is not list:
        raise TypeError("no list of refusals")
    made: list[StoreError | None] = [None] * len(operations)
    if not refusals:
        return made
    for number, kind, detail in zip(*[iter(refusals)] * 3, strict=True):
        made[number - 1] = refusal(operations[number - 1], kind, detail)
    return made


def _set(operation: Upsert) -> bytes:
    if operation.etag and _problem(operation.etag):
        return _INVALID
    verb = b"c" if operation.first_write and not operation.etag else b"s"
    return b"%b%b:%b" % (verb, _seconds(operation.ttl), _canonical(operation.etag))


def _seconds(ttl: int | None) -> bytes:
    return b"%d" % ttl if ttl else b""


def _canonical(etag: str) -> bytes:
    """A version as Redis counts: daprd reads an etag as a number, so that +3 and 03 are 3."""
    try:
        return b"%d" % strconv.atoi(etag) if etag else b""
    except ValueError:
        return etag.encode(errors="backslashreplace")


def _problem(etag: str) -> str:
    try:
        strconv.atoi(etag)
    except ValueError as error:
        return str(error)
    return ""
