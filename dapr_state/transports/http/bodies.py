"""The JSON bodies of the State calls: first by the strict and fast way, the unusual ones by Go's rules.

A value stays the client's own text (design: no number goes through a double), so it is cut out, not decoded. A body
that would hold the event loop is read in pieces (slices.py): each by the strict way, or part by part by Go's rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec

from dapr_state.api.state import DELETE, UPSERT, Item
from dapr_state.golang.json import LONG, PIECE, QUICK
from dapr_state.slices import Work
from dapr_state.transports.http import gojson
from dapr_state.transports.http.gojson import MalformedError, Place

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from dapr_state.wire.http1.request import Request

MANY = 10_000  # members or items: the strict way takes 1 us for each

T = TypeVar("T")

_NULL = msgspec.Raw(gojson.NULL)
_NO_METADATA: Mapping[str, str] = {}
_IS_JSON = True
_NO_ITEM = Item("", gojson.NULL, is_json=True)
MAX_PROBLEMS = 100  # that one error lists


class _Strict(msgspec.Struct, forbid_unknown_fields=True):
    """A field under another name may be one of ours in other letters: that is for the slow way to say."""


class Options(_Strict):
    concurrency: str | None = None
    consistency: str | None = None


class StateItem(_Strict):
    key: str | None = None
    value: msgspec.Raw = _NULL
    etag: str | None = None
    metadata: dict[str, str | None] | None = None
    options: Options | None = None
    contentType: str | None = None  # noqa: N815  the name in the body; accepted, and without a meaning


class BulkGet(_Strict):
    keys: list[str | None] | None = None
    metadata: dict[str, str | None] | None = None
    parallelism: Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None


class Operation(_Strict):
    operation: str | None = None
    request: StateItem | None = None


class Transaction(_Strict):
    operations: list[Operation] | None = None
    metadata: dict[str, str | None] | None = None


class Steps:
    """The operations of a transaction, each still to be looked at, and the metadata for all of them."""

    __slots__ = ("metadata", "operations")

    def __init__(self, operations: list[tuple[str, Item | bytes]], metadata: Mapping[str, str]) -> None:
        self.operations = operations  # the request is bytes where only the slow way can read it
        self.metadata = metadata


class Shape(Generic[T]):
    """One kind of body: how it is decoded strictly, what is made of that, and the slow way.

    `parts`: which characters of a long body count its parts; those of its values may count as well.
    """

    def __init__(
        self,
        strict: Any,
        made: Callable[[Any], T],
        slow: Callable[[bytes, Work], Awaitable[T]],
        parts: tuple[bytes, ...] = (b"{", b":"),
    ) -> None:
        self._decode = msgspec.json.Decoder(strict).decode
        self._made = made
        self._slow = slow
        self._parts = parts

    async def read(self, request: Request) -> T:
        """Raises MalformedError."""
        body, work = request.body, Work()
        if len(body) > LONG:
            await work.pause()
        is_usual = not request.body_error and (body.isascii() or _is_utf8(body))
        if is_usual and (len(body) <= LONG or await self._has_few_parts(body, work)):
            try:
                return self._made(self._decode(body))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # the slow way decides
        return await self._slow(await gojson.first_value(body, work, request.body_error), work)

    async def _has_few_parts(self, body: bytes, work: Work) -> bool:
        has_few = len(body) <= QUICK and all(body.count(part) <= MANY for part in self._parts)
        await work.pause()
        return has_few


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _metadata(given: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value or "" for name, value in given.items()}


def _item(given: StateItem | None) -> Item:
    if given is None:
        return _NO_ITEM
    metadata = _metadata(given.metadata) if given.metadata else _NO_METADATA
    concurrency = consistency = ""
    if options := given.options:
        concurrency, consistency = options.concurrency or "", options.consistency or ""
    # by position: a bulk request makes a hundred of them
    return Item(given.key or "", bytes(given.value), given.etag or "", metadata, concurrency, consistency, _IS_JSON)


# The slow way: the same shapes by hand, with daprd's names of types in the errors

_ITEM = ("key", "value", "etag", "metadata", "options", "contentType")
_OPTIONS = ("concurrency", "consistency")


_items = msgspec.json.Decoder(list[StateItem | None]).decode
_operations = msgspec.json.Decoder(list[Operation]).decode
_keys = msgspec.json.Decoder(list[str]).decode


async def _each(  # noqa: PLR0917 - an array, where it stands, and the two ways
    raw: bytes,
    at: Place,
    go_type: str,
    strict: Callable[[bytes], list[Any]],
    made: Callable[[Any], T],
    slow: Callable[[bytes, Work], Awaitable[T]],
    work: Work,
) -> list[T]:
    """What is made of each element of an array: of a piece at once, unless one of its elements is unusual."""
    found: list[T] = []
    async for piece in gojson.arrays(raw, at, go_type, work):
        if len(piece) <= PIECE:
            try:
                found += map(made, strict(piece))
                continue
            except (msgspec.DecodeError, RecursionError):
                pass
        for element in gojson.elements(piece):
            found.append(await slow(element, work))
            if work.is_over():
                await work.pause()
    return found


async def _items_slowly(raw: bytes, work: Work) -> list[Item]:
    return await _each(raw, Place(), "[]state.SetRequest", _items, _item, _item_slowly, work)


async def _item_slowly(raw: bytes, work: Work) -> Item:
    at = Place()
    found = await gojson.fields(raw, at, "state.SetRequest", _ITEM, work)

    def place(name: str) -> Place:
        return at.field("SetRequest", name)

    texts = {name: gojson.text(found[name], place(name)) for name in ("key", "etag", "contentType") if name in found}
    options_raw = found.get("options", gojson.NULL)
    options = await gojson.fields(options_raw, place("options"), "state.SetStateOption", _OPTIONS, work)
    # Go's struct has no other name for these two, so its errors show the field's own
    concurrency, consistency = (
        gojson.text(options.get(name, gojson.NULL), place("options").field("SetStateOption", name.capitalize()))
        for name in ("concurrency", "consistency")
    )
    metadata = await gojson.text_map(found.get("metadata", gojson.NULL), place("metadata"), work)
    value = found.get("value", gojson.NULL)
    return Item(texts.get("key", ""), value, texts.get("etag", ""), metadata, concurrency, consistency, is_json=True)


async def _bulk_get_slowly(raw: bytes, work: Work) -> list[str]:
    at = Place()
    found = await gojson.fields(raw, at, "http.BulkGetRequest", ("keys", "metadata", "parallelism"), work)
    place = at.field("BulkGetRequest", "keys")

    async def key(raw: bytes, _: Work) -> str:
        return gojson.text(raw, place)

    keys = await _each(found.get("keys", gojson.NULL), place, "[]string", _keys, str, key, work)
    await gojson.text_map(found.get("metadata", gojson.NULL), at.field("BulkGetRequest", "metadata"), work)
    gojson.integer(found.get("parallelism", gojson.NULL), at.field("BulkGetRequest", "parallelism"))
    return keys


_BODY, _STEP = "stateTransactionRequestBody", "stateTransactionRequestBodyOperation"


async def _steps_slowly(raw: bytes, work: Work) -> Steps:
    found = await gojson.fields(raw, Place(), f"http.{_BODY}", ("operations", "metadata"), work)
    at = Place().field(_BODY, "operations")

    async def operation(raw: bytes, work: Work) -> tuple[str, Item | bytes]:
        members = await gojson.fields(raw, at, f"http.{_STEP}", ("operation", "request"), work)
        name = gojson.text(members.get("operation", gojson.NULL), at.field(_STEP, "operation"))
        return name, members.get("request", gojson.NULL)

    given = found.get("operations", gojson.NULL)
    operations = await _each(given, at, f"[]http.{_STEP}", _operations, _operation, operation, work)
    metadata = await gojson.text_map(found.get("metadata", gojson.NULL), Place().field(_BODY, "metadata"), work)
    return Steps(operations, metadata)


async def operation_request(raw: bytes, work: Work) -> Item:
    """The `request` of an operation, with the errors of the second decoder that daprd uses there (mapstructure)."""
    if raw == gojson.NULL:
        return Item("", gojson.NULL, is_json=True)
    if gojson.kind(raw) != "object":
        raise MalformedError(f"'' expected a map, got '{_GO_KINDS[gojson.kind(raw)]}'")
    found = await gojson.fields(raw, Place(), "", _ITEM, work)
    problems: list[str] = []

    def text(raw: bytes, name: str) -> str:
        if raw != gojson.NULL and gojson.kind(raw) != "string":
            problems.append(_unconvertible(raw, name))
            return ""
        return gojson.text(raw)

    async def texts_of(field: str, name: str, member: Callable[[str], str]) -> dict[str, str]:
        raw = found.get(field, gojson.NULL)
        if raw != gojson.NULL and gojson.kind(raw) != "object":
            problems.append(f"'{name}' expected a map, got '{_GO_KINDS[gojson.kind(raw)]}'")
            return {}
        return await gojson.text_map(raw, Place(), work, lambda raw, key: text(raw, member(key)) if member(key) else "")

    names = {"key": "Key", "etag": "ETag", "contentType": "ContentType"}
    texts = {field: text(found.get(field, gojson.NULL), name) for field, name in names.items()}
    metadata = await texts_of("metadata", "Metadata", "Metadata[{}]".format)
    given = await texts_of("options", "Options", _option)
    options = {key.lower(): value for key, value in given.items()}
    if problems:
        shown = "\n".join(f"* {problem}" for problem in sorted(problems)[:MAX_PROBLEMS])
        raise MalformedError(f"{len(problems)} error(s) decoding:\n\n{shown}")
    return Item(
        texts["key"],
        found.get("value", gojson.NULL),
        texts["etag"],
        metadata,
        options.get("concurrency", ""),
        options.get("consistency", ""),
        is_json=True,
    )


_GO_KINDS = {"string": "string", "array": "slice", "number": "float64", "bool": "bool", "object": "map"}
_GO_TYPES = _GO_KINDS | {"array": "[]interface {}", "object": "map[string]interface {}"}


def _option(name: str) -> str:
    return f"Options.{name.capitalize()}" if name.lower() in _OPTIONS else ""


def _unconvertible(raw: bytes, name: str) -> str:
    kind = _GO_TYPES[gojson.kind(raw)]
    value = _printed(msgspec.json.decode(raw)) if len(raw) <= PIECE else "..."  # an error names it, and is no dump
    return f"'{name}' expected type 'string', got unconvertible type '{kind}', value: '{value}'"


def _printed(value: Any) -> str:
    """A decoded value as Go's %v shows it."""
    if value is None:
        return "<nil>"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{' '.join(map(_printed, value))}]"
    if isinstance(value, dict):
        return f"map[{' '.join(f'{key}:{_printed(member)}' for key, member in sorted(value.items()))}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _operation(given: Operation) -> tuple[str, Item | bytes]:
    return given.operation or "", _item(given.request) if given.request else gojson.NULL


def _steps(given: Transaction) -> Steps:
    return Steps(list(map(_operation, given.operations or ())), _metadata(given.metadata or {}))


SAVE: Shape[list[Item]] = Shape(list[StateItem | None], lambda given: list(map(_item, given)), _items_slowly)
BULK_GET: Shape[list[str]] = Shape(
    BulkGet, lambda given: [key or "" for key in given.keys or ()], _bulk_get_slowly, (b",",)
)
TRANSACTION: Shape[Steps] = Shape(Transaction, _steps, _steps_slowly)

KNOWN_OPERATIONS = frozenset({UPSERT, DELETE})
