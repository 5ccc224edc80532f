"""The text of a query, read into its tree; what is wrong is said in daprd's words, with the path to where it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NoReturn

import msgspec

from dapr_state.golang import json, unmarshal
from dapr_state.golang.quoting import quote
from dapr_state.golang.unmarshal import TOP, MalformedError, Place
from dapr_state.query.documents import NUMBER_AT_MOST, TEXT_AT_MOST, scalar
from dapr_state.query.tree import (
    All,
    Compare,
    Condition,
    In,
    MalformedQueryError,
    Nothing,
    Op,
    Path,
    Query,
    QueryError,
    Scalar,
    Some,
    SortKey,
)
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

OCTETS_AT_MOST: Final = 256 * 1024  # of a query: ten thousand texts to look for; daprd takes what a body may have
DEPTH_AT_MOST: Final = 32  # of AND and OR: each looks through all that is below it
CONDITIONS_AT_MOST: Final = 1000  # each is asked of every row: 0.1 ms together
VALUES_AT_MOST: Final = 10_000  # of all INs
SORT_KEYS_AT_MOST: Final = 16  # a page token holds what stands at each
PATH_AT_MOST: Final = 1024  # characters
STEPS_AT_MOST: Final = 32  # of a path: each looks through the rest of the document

_QUERY_FIELDS: Final = ("filter", "sort", "page")
_ORDERS: Final = {"": False, "ASC": False, "DESC": True}  # → descending
_GROUPS: Final = frozenset({"AND", "OR"})
_RANGES: Final = frozenset({Op.GT, Op.GTE, Op.LT, Op.LTE})

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


async def parse(text: bytes, metadata: Mapping[str, str] | None = None) -> Query:
    """Raises MalformedQueryError, or QueryError for what daprd's stores refuse."""
    if len(text) > OCTETS_AT_MOST:
        raise MalformedQueryError(f"the query is longer than {OCTETS_AT_MOST} bytes")
    if problem := await json.problem(text):
        raise MalformedQueryError(problem)
    work = Work()
    try:
        fields = await unmarshal.fields(
            await unmarshal.first_value(text, work), TOP, "query.QueryFields", _QUERY_FIELDS, work
        )
        condition = _object(fields.get("filter", b"null"))
        sort = tuple([key async for key in _sort(fields.get("sort", b"null"), work)])
        limit, token = await _page(fields.get("page", b"null"), work)
    except MalformedError as error:
        raise MalformedQueryError(str(error)) from error
    except RecursionError:
        raise MalformedQueryError(unmarshal.MAX_DEPTH_TEXT) from None
    tree = await _Filter(work).unit(condition, "filter") if condition else None
    return Query(tree, sort, limit, token, condition or b"", metadata or {})


def _object(raw: bytes) -> bytes | None:
    """A filter that asks for something."""
    if raw == unmarshal.NULL:
        return None
    if raw[:1] != b"{":
        Place("QueryFields", ("filter",)).refuse(unmarshal.kind(raw), "map[string]interface {}")
    return raw if _members(raw) else None


async def _sort(raw: bytes, work: Work) -> AsyncIterator[SortKey]:
    at = Place("QueryFields", ("sort",))
    count = 0
    async for piece in unmarshal.arrays(raw, at, "[]query.Sorting", work):
        for element in unmarshal.elements(piece):
            if count == SORT_KEYS_AT_MOST:
                _refuse(f"more than {SORT_KEYS_AT_MOST} sort keys", "sort")
            fields = await unmarshal.fields(element, at, "query.Sorting", ("key", "order"), work)
            key, order = (
                unmarshal.text(fields.get(name, b"null"), at.field("Sorting", name)) for name in ("key", "order")
            )
            if order.upper() not in _ORDERS:
                _refuse(f"unsupported sort order {quote(order)}", f"sort[{count}].order")
            yield SortKey(_path(key, f"sort[{count}].key"), _ORDERS[order.upper()])
            count += 1


async def _page(raw: bytes, work: Work) -> tuple[int, str]:
    at = Place("QueryFields", ("page",))
    fields = await unmarshal.fields(raw, at, "query.Pagination", ("limit", "token"), work)
    limit = unmarshal.integer(fields.get("limit", b"null"), at.field("Pagination", "limit"))
    token = unmarshal.text(fields.get("token", b"null"), at.field("Pagination", "token"))
    return max(0, limit), token


class _Filter:
    """Reads one filter, and counts what it has."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._conditions = 0
        self._values = 0

    async def unit(self, raw: bytes, at: str, depth: int = 1) -> Condition:
        if raw[:1] != b"{":
            _refuse("filter unit must be a map", at)
        members = _members(raw)
        if len(members) != 1:
            _refuse("filter unit must have a single element", at)
        self._conditions += 1
        if self._conditions > CONDITIONS_AT_MOST:
            _refuse(f"more than {CONDITIONS_AT_MOST} conditions", at)
        if self._work.is_over():
            await self._work.pause()
        ((name, value),) = members.items()
        if name in _GROUPS:
            return await self._group(name, bytes(value), f"{at}.{name}", depth)
        if name == "IN":
            return await self._in(bytes(value), f"{at}.IN")
        if name in Op.__members__:
            return _compare(Op(name), bytes(value), f"{at}.{name}")
        return _refuse(f"unsupported filter {quote(name)}", at)

    async def _group(self, name: str, raw: bytes, at: str, depth: int) -> Condition:
        if raw[:1] != b"[":
            _refuse(f"{name} filter must be an array", at)
        if depth == DEPTH_AT_MOST:
            _refuse(f"filters nested deeper than {DEPTH_AT_MOST} levels", at)
        units = await self._elements(raw)
        if len(units) < 2:  # noqa: PLR2004
            _refuse(f"{name} filter must contain at least two entries", at)
        conditions = [await self.unit(unit, f"{at}[{place}]", depth + 1) for place, unit in enumerate(units)]
        return All(tuple(conditions)) if name == "AND" else Some(tuple(conditions))

    async def _in(self, raw: bytes, at: str) -> In:
        path, value, at = _pair("IN", raw, at)
        if value[:1] != b"[":
            _refuse("IN filter value must be an array", at)
        values = await self._elements(value)
        if not values:
            raise QueryError(f"empty IN operator for key {quote('.'.join(path))}")
        self._values += len(values)
        if self._values > VALUES_AT_MOST:
            _refuse(f"more than {VALUES_AT_MOST} values of IN", at)
        operands: list[Scalar] = []
        for place, each in enumerate(values):
            operands.append(_operand("IN", each, at, place))
            if self._work.is_over():
                await self._work.pause()
        return In(path, tuple(operands))

    async def _elements(self, raw: bytes) -> list[bytes]:
        found: list[bytes] = []
        async for piece in json.pieces(raw, self._work):
            found += unmarshal.elements(piece)
        return found


def _pair(name: str, raw: bytes, at: str) -> tuple[Path, bytes, str]:
    if raw[:1] != b"{":
        _refuse(f"{name} filter must be a map", at)
    members = _members(raw)
    if len(members) != 1:
        _refuse(f"{name} filter must contain a single key/value pair", at)
    ((key, value),) = members.items()
    return _path(key, at), bytes(value), f"{at}.{key}"


def _compare(op: Op, raw: bytes, at: str) -> Compare:
    path, value, at = _pair(op, raw, at)
    operand = _operand(op, value, at)
    if op in _RANGES and (operand is None or isinstance(operand, bool)):
        _refuse(f"{op} filter value must be a number or a string", at)
    return Compare(op, path, operand)


def _operand(name: str, raw: bytes, at: str, place: int | None = None) -> Scalar:
    operand = scalar(raw)
    if not isinstance(operand, Nothing) and not (isinstance(operand, str) and len(operand) > TEXT_AT_MOST):
        return operand
    if place is not None:
        at = f"{at}[{place}]"
    if raw[:1] in {b"{", b"["}:
        _refuse(f"{name} filter value must be a string, a number, a boolean or null", at)
    if operand is Nothing.OTHER:
        _refuse(f"the number is longer than {NUMBER_AT_MOST} characters, or its exponent", at)
    return _refuse(f"the string is longer than {TEXT_AT_MOST} characters", at)


def _path(text: str, at: str) -> Path:
    path = tuple(text.split("."))
    if len(text) > PATH_AT_MOST or len(path) > STEPS_AT_MOST:
        _refuse(f"a path of more than {PATH_AT_MOST} characters or {STEPS_AT_MOST} steps", at)
    return path


def _refuse(what: str, at: str) -> NoReturn:
    raise MalformedQueryError(f"{what} at {at}")
