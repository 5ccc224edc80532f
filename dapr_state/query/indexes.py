"""Which paths a component declares to be indexed, and which conditions of a query an index can narrow the rows by.

The field is daprd's of its Redis store: `queryIndexes`, as [{"name": "orders", "indexes": [{"key": "city", "type":
"TEXT"}]}]. An index only ever spares rows: what it leaves is looked at as without one.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.golang.quoting import quote
from dapr_state.query.tree import All, Compare, In, Op, Some
from dapr_state.resources.properties import PropertiesError

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.query.tree import Condition, Path

FIELD: Final = "queryIndexes"
CANDIDATES_AT_MOST: Final = 2000  # keys: for more, going through all rows in order is as quick
TERMS_AT_MOST: Final = 64  # comparisons that are looked up one after the other
_STEP: Final = re.compile(r"[A-Za-z0-9_]+")  # what is pasted into SQL: an index takes no parameters


class _Key(msgspec.Struct):
    key: str = ""
    type: str = ""


class _Schema(msgspec.Struct):
    name: str = ""
    indexes: list[_Key] = []


_decode = msgspec.json.Decoder(list[_Schema]).decode


def read(text: str) -> tuple[Path, ...]:
    """Raises PropertiesError, with daprd's texts where it has some."""
    if not text.strip():
        return ()
    try:
        schemas = _decode(text)
    except msgspec.DecodeError as error:
        raise _refused(str(error)) from error
    names: set[str] = set()
    paths: dict[Path, None] = {}
    for schema in schemas:
        if not schema.name:
            raise _refused("empty query schema name")
        if schema.name in names:
            raise _refused(f"duplicate schema name {schema.name}")
        names.add(schema.name)
        for index in schema.indexes:
            for field in ("key", "type"):
                if not getattr(index, field):
                    raise _refused(f"empty {field} in query schema {schema.name}")
            path = tuple(index.key.split("."))
            if not all(map(_STEP.fullmatch, path)):
                raise _refused(f"the steps of a path are letters, digits and _: {quote(index.key)}")
            paths[path] = None
    return tuple(paths)


def _refused(reason: str) -> PropertiesError:
    return PropertiesError(f"error parsing query index schema: {reason}")


def name(table: str, expression: str) -> str:
    """Of an index: one that is made otherwise has another name."""
    return f"{table}_query_{blake2b(expression.encode(), digest_size=8).hexdigest()}"


def narrowings(condition: Condition, can: Callable[[Compare], bool]) -> list[tuple[Compare, ...]]:
    """Ways to find rows by index: of each, every row that matches the condition holds one of the comparisons."""
    match condition:
        case Compare():
            return [(condition,)] if can(condition) else []
        case In(path, operands):
            terms = tuple(Compare(Op.EQ, path, operand) for operand in operands)
            return [terms] if len(terms) <= TERMS_AT_MOST and all(map(can, terms)) else []
        case All(conditions):
            return [each for inner in conditions for each in narrowings(inner, can)]
        case Some(conditions):
            firsts = [ways[0] for inner in conditions if (ways := narrowings(inner, can))]
            together = tuple(term for terms in firsts for term in terms)
            return [together] if len(firsts) == len(conditions) and len(together) <= TERMS_AT_MOST else []
