"""Indexes on paths of the values: SQLite's own functions make them, so that every program may write the table.

They find no less than a query does. Where SQLite might read a document otherwise than docs/query.md says - it takes the
first of two members of one name, older ones see no escapes in names, and values that are base64 not at all - the index
has a mark in the value's place, and marked rows are always candidates. Numbers are doubles there: they are looked for
within a range.
"""

from __future__ import annotations

import math
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dapr_state.query import indexes
from dapr_state.query.tree import Compare, Op
from dapr_state.stores import paging

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator, Sequence

    from dapr_state.query.tree import Condition, Path

_MARK: Final = "x'00'"
_NEAR: Final = 1e-9  # of a number: SQLite's doubles may be a little off
_TINY: Final = 1e-290  # as far off is what is nearly zero
_HUGE: Final = Decimal("1e290")
_PLAIN_AT_MOST: Final = 1000  # characters of a text that is looked for

Term = tuple[str, tuple[Any, ...]]


class QueryIndexes:
    """Of one table; its name and the paths were checked to be identifiers."""

    def __init__(self, table: str, paths: Sequence[Path]) -> None:
        self._expressions = {path: _expression(path) for path in paths}
        self._names = {path: indexes.name(table, each) for path, each in self._expressions.items()}
        self._table = table

    def create(self, connection: sqlite3.Connection) -> None:
        for path, name in self._names.items():
            expression = self._expressions[path]
            connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {self._table} ({expression}, key)")

    def can_narrow(self, condition: Condition) -> bool:
        return bool(self._expressions) and bool(self._ways(condition))

    def candidates(self, prefix: str, condition: Condition, connection: sqlite3.Connection) -> list[str] | None:
        """Keys of all rows that may match, if an index finds few enough."""
        for way in self._ways(condition):
            keys = self._found(connection, prefix, way)
            if keys is not None:
                return keys
        return None

    def _ways(self, condition: Condition) -> list[tuple[Compare, ...]]:
        return indexes.narrowings(condition, lambda each: each.path in self._expressions and _sought(each) is not None)

    def _found(self, connection: sqlite3.Connection, prefix: str, way: Sequence[Compare]) -> list[str] | None:
        keys: set[bytes] = set()
        for sql, parameters in self._statements(prefix, way):
            keys.update(key for (key,) in connection.execute(sql, parameters))
            if len(keys) > indexes.CANDIDATES_AT_MOST:
                return None
        return [key.decode(errors="replace") for key in keys]

    def _statements(self, prefix: str, way: Sequence[Compare]) -> Iterator[Term]:
        end = paging.end_of(prefix) or b""  # an octet string stands behind every text
        for path in dict.fromkeys(each.path for each in way):
            terms = [_sought(each) for each in way if each.path == path]
            for condition, sought in [(f"= {_MARK}", ()), *filter(None, terms)]:
                expression = self._expressions[path]
                yield (
                    f"SELECT CAST(key AS BLOB) FROM {self._table} INDEXED BY {self._names[path]} WHERE "  # noqa: S608
                    + " AND ".join(f"{expression} {each}" for each in condition.split(" AND "))
                    + " AND key >= ? AND key < ? LIMIT ?",
                    (*sought, prefix, end, indexes.CANDIDATES_AT_MOST + 1),
                )


def _expression(path: Path) -> str:
    """What is indexed: the value at the path, or the mark."""
    steps = ["$" + "".join(f'."{step}"' for step in path[: end + 1]) for end in range(len(path))]
    doubts = [
        "is_binary",
        "NOT json_valid(value)",
        # a letter, digit or _ that is escaped: names with such may be the path's
        r"value GLOB '*\u003[0-9]*'",
        r"value GLOB '*\u00[4-7]*'",
        *(f"json_type(json_remove(value, '{step}'), '{step}') IS NOT NULL" for step in steps),  # a second one
    ]
    cases = " ".join(f"WHEN {doubt} THEN {_MARK}" for doubt in doubts)
    return f"(CASE {cases} ELSE json_extract(value, '{steps[-1]}') END)"


def _sought(compare: Compare) -> Term | None:
    """What the index is asked for; None if it cannot tell. In SQLite's order come NULL, numbers, texts, octets."""
    operand = compare.operand
    if compare.op is Op.NEQ:
        return None
    if operand is None or isinstance(operand, bool):
        return ("IS NULL", ()) if operand is None else ("= ?", (int(operand),))
    if isinstance(operand, Decimal):
        least, most = _around(operand)
        return {Op.EQ: (">= ? AND <= ?", (least, most)), **_ranges(">= ? AND < ''", least, "<= ?", most)}[compare.op]
    if not isinstance(operand, str) or len(operand) > _PLAIN_AT_MOST or "\0" in operand:
        return None
    # SQLite ends a text at a zero character: its beginning is not greater, and not less than what it is compared with
    ranges = _ranges(">= ? AND < x''", operand, ">= '' AND <= ?", operand)
    return {Op.EQ: ("= ?", (operand,)), **ranges}[compare.op]


def _ranges(above: str, least: float | str, below: str, most: float | str) -> dict[Op, Term]:
    return {
        Op.GT: (above, (least,)),
        Op.GTE: (above, (least,)),
        Op.LT: (below, (most,)),
        Op.LTE: (below, (most,)),
    }


def _around(number: Decimal) -> tuple[float, float]:
    """Doubles on either side, however SQLite has rounded the number."""
    if number.copy_abs() > _HUGE:  # abs would round it, and cannot where it is beyond 1e999999
        return (float(_HUGE), math.inf) if number > 0 else (-math.inf, -float(_HUGE))
    near = float(number)
    return near - abs(near) * _NEAR - _TINY, near + abs(near) * _NEAR + _TINY
