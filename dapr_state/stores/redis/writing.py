"""How operations are given to apply.lua, and what its refusals mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state.resources import values
from dapr_state.stores.base import EtagInvalid, EtagMismatch, StoreError
from dapr_state.stores.model import Operation, Upsert

if TYPE_CHECKING:
    from collections.abc import Sequence

EACH: Final = b"each"
ALL: Final = b"all"

_SET: Final = b"s:"
_INVALID: Final = b"i:"


def arguments(operations: Sequence[Operation]) -> list[bytes]:
    """What to do, and with which value, for one operation after the other."""
    made: list[bytes] = []
    for operation in operations:
        if isinstance(operation, Upsert):
            made += (_set(operation), operation.value)
        else:
            made += (b"d:" + _canonical(operation.etag), b"")
    return made


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
    return StoreError(f"failed to {verb} key {operation.key}: {detail.decode(errors='replace')}")


def outcomes(operations: Sequence[Operation], refusals: list[Any]) -> list[StoreError | None]:
    """One entry for each operation, from the script's triples."""
    made: list[StoreError | None] = [None] * len(operations)
    for number, kind, detail in zip(*[iter(refusals)] * 3, strict=True):
        made[number - 1] = refusal(operations[number - 1], kind, detail)
    return made


def _set(operation: Upsert) -> bytes:
    if not (operation.etag or operation.first_write or operation.ttl):
        return _SET
    if operation.etag and _problem(operation.etag):
        return _INVALID
    verb = b"c" if operation.first_write and not operation.etag else b"s"
    ttl = b"%d" % operation.ttl if operation.ttl else b""
    return b"%b%b:%b" % (verb, ttl, _canonical(operation.etag))


def _canonical(etag: str) -> bytes:
    """A version as Redis counts: daprd reads an etag as a number, so that +3 and 03 are 3."""
    try:
        return b"%d" % values.atoi(etag) if etag else b""
    except ValueError:
        return etag.encode(errors="backslashreplace")


def _problem(etag: str) -> str:
    try:
        values.atoi(etag)
    except ValueError as error:
        return str(error)
    return ""
