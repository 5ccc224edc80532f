"""A query as it was understood: its filter as a small tree, its sort keys, its page. Its meaning is in docs/query.md.

What stands at a path is one of: nothing, null, a boolean, a number, a text, or something else (an array, an object, a
number too long to read). Only what is of one kind compares, numbers exactly and texts by code point.
"""

from __future__ import annotations

from decimal import Decimal
from enum import Enum, StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SORTED_CHARACTERS: Final = 1024  # of a text: rows whose texts begin with the same ones are sorted by the next key


class Nothing(Enum):
    """What is found where there is nothing that compares."""

    MISSING = "missing"
    OTHER = "other"


Scalar: TypeAlias = Nothing | bool | Decimal | str | None
Path: TypeAlias = tuple[str, ...]


class QueryError(Exception):
    """Why a query is not answered; the text is for its caller."""


class MalformedQueryError(QueryError):
    """It is none, or none that is allowed."""


class ForeignTokenError(QueryError):
    """The page token was not given for this query."""


class ResultTooLargeError(QueryError):
    """What was found is more than may be kept."""


class Op(StrEnum):
    EQ = "EQ"
    NEQ = "NEQ"
    GT = "GT"
    GTE = "GTE"
    LT = "LT"
    LTE = "LTE"


class Compare(msgspec.Struct, frozen=True):
    op: Op
    path: Path
    operand: Scalar


class In(msgspec.Struct, frozen=True):
    path: Path
    operands: tuple[Scalar, ...]


class All(msgspec.Struct, frozen=True):
    conditions: tuple[Condition, ...]


class Some(msgspec.Struct, frozen=True):
    conditions: tuple[Condition, ...]


Condition: TypeAlias = Compare | In | All | Some


class SortKey(msgspec.Struct, frozen=True):
    path: Path
    descending: bool = False


class Query(msgspec.Struct, frozen=True):
    """`limit` is 0 where there is none, `token` is "" for the first page."""

    condition: Condition | None = None
    sort: tuple[SortKey, ...] = ()
    limit: int = 0  # as the caller asks
    token: str = ""
    text: bytes = b""  # of the filter, for who understands it himself
    metadata: Mapping[str, str] = MappingProxyType({})  # of the request, for him too

    def paths(self) -> tuple[Path, ...]:
        """All that it looks at."""
        paths = dict.fromkeys(key.path for key in self.sort)
        pending = [self.condition] if self.condition else []
        while pending:
            match pending.pop():
                case Compare(path=path) | In(path=path):
                    paths[path] = None
                case All(conditions=conditions) | Some(conditions=conditions):
                    pending += conditions
        return tuple(paths)


Test: TypeAlias = "Callable[[Sequence[Scalar]], bool]"

_COMPARE: Final[dict[Op, Callable[[Scalar, Scalar], bool]]] = {
    Op.GT: lambda found, operand: found > operand,  # type: ignore[operator]  # both are of one kind
    Op.GTE: lambda found, operand: found >= operand,  # type: ignore[operator]
    Op.LT: lambda found, operand: found < operand,  # type: ignore[operator]
    Op.LTE: lambda found, operand: found <= operand,  # type: ignore[operator]
}


def compiled(condition: Condition, paths: Sequence[Path]) -> Test:
    """The condition as a function of what stands at `paths`."""
    match condition:
        case In(path, operands):
            at = paths.index(path)
            wanted = {(type(operand), operand) for operand in operands}
            return lambda found: (type(found[at]), found[at]) in wanted
        case Compare(op, path, operand):
            return _compared(op, paths.index(path), operand)
        case All(conditions):
            tests = [compiled(each, paths) for each in conditions]
            return lambda found: all(test(found) for test in tests)
        case Some(conditions):
            tests = [compiled(each, paths) for each in conditions]
            return lambda found: any(test(found) for test in tests)


def _compared(op: Op, at: int, operand: Scalar) -> Test:
    kind = type(operand)
    if op is Op.EQ:
        return lambda found: type(found[at]) is kind and found[at] == operand
    if op is Op.NEQ:  # of what is there
        return lambda found: found[at] is not Nothing.MISSING and not (type(found[at]) is kind and found[at] == operand)
    holds = _COMPARE[op]
    return lambda found: type(found[at]) is kind and holds(found[at], operand)


class _Descending(tuple[int, bool | Decimal | str]):
    """Compares the other way round."""

    __slots__ = ()

    def __lt__(self, other: object) -> bool:
        return tuple.__gt__(self, other)  # type: ignore[operator]

    def __le__(self, other: object) -> bool:
        return tuple.__ge__(self, other)  # type: ignore[operator]

    def __gt__(self, other: object) -> bool:
        return tuple.__lt__(self, other)  # type: ignore[operator]

    def __ge__(self, other: object) -> bool:
        return tuple.__le__(self, other)  # type: ignore[operator]


Rank: TypeAlias = tuple[tuple[int, bool | Decimal | str], ...]

_RANKS: Final = {bool: 0, Decimal: 1, str: 2}
_OF_OTHER: Final = (3, False)
_OF_NOTHING: Final = (4, False)  # null too; last, as in SQL


def rank(found: Scalar) -> tuple[int, bool | Decimal | str]:
    """What sorts as the value does: of one kind by value, and the kinds one after another."""
    if isinstance(found, str):
        return _RANKS[str], found[:SORTED_CHARACTERS]
    if isinstance(found, bool | Decimal):
        return _RANKS[type(found)], found
    return _OF_OTHER if found is Nothing.OTHER else _OF_NOTHING


def directed(ranks: Sequence[tuple[int, bool | Decimal | str]], sort: Sequence[SortKey]) -> Rank:
    """The ranks of one row's sort keys, so that a tuple of them sorts as the query asks."""
    return tuple(_Descending(each) if key.descending else each for each, key in zip(ranks, sort, strict=True))
