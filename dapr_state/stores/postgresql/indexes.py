"""Indexes on paths of the values, which version 1 keeps as jsonb: its numbers are exact, and so are its equal texts.

What is base64, or too long for an index, has a mark in the value's place, and marked rows are always candidates. Texts
have the order of the database's collation there, so that an index finds none of a range.
"""

from __future__ import annotations

import json
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from dapr_state.query import indexes
from dapr_state.query.tree import Compare, Op
from dapr_state.stores import paging

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.query.tree import Condition, Path

_MARK: Final = "'{}'::jsonb"
_LENGTH_AT_MOST: Final = 1000  # octets of an indexed value: an index takes 2,704 with what stands beside it
_DIGITS_AT_MOST: Final = 1000  # of a number's exponent: jsonb takes some 130,000
_KEY: Final = """(key || '') COLLATE "C\""""  # which no index has: the server would look up all keys of a prefix too
_LEAST_NUMBER: Final = "-1e131071"  # in the order of jsonb numbers stand between texts and booleans


class QueryIndexes:
    """Of one table; the paths were checked to be identifiers, and the table's name is the component's, as in daprd."""

    def __init__(self, table: str, paths: Sequence[Path]) -> None:
        self._table = table
        self._expressions = {path: _expression(path) for path in paths}

    async def create(self, connection: Any) -> None:
        for expression in self._expressions.values():
            name = indexes.name(self._table.rpartition(".")[2], expression)
            await connection.execute(f"CREATE INDEX IF NOT EXISTS {name} ON {self._table} (({expression}))")

    def ways(self, condition: Condition) -> list[tuple[Compare, ...]]:
        return indexes.narrowings(condition, lambda each: each.path in self._expressions and _can(each))

    async def candidates(
        self, prefix: str, ways: Sequence[tuple[Compare, ...]], connection: Any
    ) -> Sequence[str] | None:
        """Keys of all rows that may match, if an index finds few enough."""
        for way in ways:
            arguments: list[str | None] = [prefix, paging.end_of(prefix)]
            tests = [f"{self._expressions[path]} = {_MARK}" for path in dict.fromkeys(each.path for each in way)]
            tests += [self._test(each, arguments) for each in way]
            found = await connection.fetch(
                f"SELECT key FROM {self._table} WHERE ({' OR '.join(tests)}) AND "  # noqa: S608
                f"{_KEY} >= $1 AND ($2::text IS NULL OR {_KEY} < $2) "
                f"LIMIT {indexes.CANDIDATES_AT_MOST + 1}",
                *arguments,
            )
            if len(found) <= indexes.CANDIDATES_AT_MOST:
                return [key for (key,) in found]
        return None

    def _test(self, compare: Compare, arguments: list[str | None]) -> str:
        arguments.append(_text(compare))
        operand = f"${len(arguments)}::text::jsonb"
        expression = self._expressions[compare.path]
        if compare.op is Op.EQ:
            return f"{expression} = {operand}"
        if compare.op in {Op.GT, Op.GTE}:
            return f"({expression} >= {operand} AND {expression} < 'false'::jsonb)"
        return f"({expression} >= '{_LEAST_NUMBER}'::jsonb AND {expression} <= {operand})"


def _expression(path: Path) -> str:
    """What is indexed: the value at the path, or the mark."""
    value = f"value #> '{{{','.join(path)}}}'"
    return f"(CASE WHEN isbinary OR octet_length(({value})::text) > {_LENGTH_AT_MOST} THEN {_MARK} ELSE {value} END)"


def _can(compare: Compare) -> bool:
    operand = compare.operand
    if isinstance(operand, Decimal):
        return compare.op is not Op.NEQ and abs(operand.adjusted()) < _DIGITS_AT_MOST
    if compare.op is not Op.EQ:
        return False
    return not isinstance(operand, str) or ("\0" not in operand and len(operand) < _LENGTH_AT_MOST)


def _text(compare: Compare) -> str:
    operand = compare.operand
    return str(operand) if isinstance(operand, Decimal) else json.dumps(operand)
