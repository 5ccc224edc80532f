"""The JSON bodies of the State calls: first by the strict and fast way, the unusual ones by Go's rules.

A value stays the client's own text (design: no number goes through a double), so it is cut out, not decoded.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Annotated, Any, Generic, TypeVar

import msgspec

from dapr_state.api.state import DELETE, UPSERT, Item
from dapr_state.transports.http import gojson
from dapr_state.transports.http.gojson import MalformedError, Place

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dapr_state.wire.http1 import Request

# The slow way takes about 2 us a token: a body beyond this is read in a thread, so that the others are still served.
SMALL = 16 * 1024

T = TypeVar("T")

_NULL = msgspec.Raw(gojson.NULL)
_NO_METADATA: Mapping[str, str] = {}
_IS_JSON = True


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
    """One kind of body: how it is decoded strictly, what is made of that, and the slow way."""

    def __init__(self, strict: Any, made: Callable[[Any], T], slow: Callable[[bytes], T]) -> None:
        self._decode = msgspec.json.Decoder(strict).decode
        self._made = made
        self._slow = slow

    async def read(self, request: Request) -> T:
        """Raises MalformedError."""
        body = request.body
        if not request.body_error and (body.isascii() or _is_utf8(body)):
            try:
                return self._made(self._decode(body))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                pass  # the slow way decides
        if len(body) <= SMALL:
            return self._read_slowly(request)
        return await asyncio.to_thread(self._read_slowly, request)

    def _read_slowly(self, request: Request) -> T:
        return self._slow(gojson.first_value(request.body, request.body_error))


def _is_utf8(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _metadata(given: Mapping[str, str | None]) -> Mapping[str, str]:
    return {name: value or "" for name, value in given.items()}


def _item(given: StateItem) -> Item:
    metadata = _metadata(given.metadata) if given.metadata else _NO_METADATA
    concurrency = consistency = ""
    if options := given.options:
        concurrency, consistency = options.concurrency or "", options.consistency or ""
    # by position: a bulk request makes a hundred of them
    return Item(given.key or "", bytes(given.value), given.etag or "", metadata, concurrency, consistency, _IS_JSON)


# The slow way: the same shapes by hand, with daprd's names of types in the errors

_ITEM = ("key", "value", "etag", "metadata", "options", "contentType")
_OPTIONS = ("concurrency", "consistency")


def _items_slowly(raw: bytes) -> list[Item]:
    return [_item_slowly(each) for each in gojson.elements(raw, Place(), "[]state.SetRequest")]


def _item_slowly(raw: bytes) -> Item:
    at = Place()
    found = gojson.fields(raw, at, "state.SetRequest", _ITEM)

    def place(name: str) -> Place:
        return at.field("SetRequest", name)

    texts = {name: gojson.text(found[name], place(name)) for name in ("key", "etag", "contentType") if name in found}
    options_raw = found.get("options", gojson.NULL)
    options = gojson.fields(options_raw, place("options"), "state.SetStateOption", _OPTIONS)
    # Go's struct has no other name for these two, so its errors show the field's own
    concurrency, consistency = (
        gojson.text(options.get(name, gojson.NULL), place("options").field("SetStateOption", name.capitalize()))
        for name in ("concurrency", "consistency")
    )
    metadata = gojson.text_map(found.get("metadata", gojson.NULL), place("metadata"))
    value = found.get("value", gojson.NULL)
    return Item(texts.get("key", ""), value, texts.get("etag", ""), metadata, concurrency, consistency, is_json=True)


def _bulk_get_slowly(raw: bytes) -> list[str]:
    at = Place()
    found = gojson.fields(raw, at, "http.BulkGetRequest", ("keys", "metadata", "parallelism"))
    place = at.field("BulkGetRequest", "keys")
    keys = [gojson.text(key, place) for key in gojson.elements(found.get("keys", gojson.NULL), place, "[]string")]
    gojson.text_map(found.get("metadata", gojson.NULL), at.field("BulkGetRequest", "metadata"))
    gojson.integer(found.get("parallelism", gojson.NULL), at.field("BulkGetRequest", "parallelism"))
    return keys


_BODY, _STEP = "stateTransactionRequestBody", "stateTransactionRequestBodyOperation"


def _steps_slowly(raw: bytes) -> Steps:
    found = gojson.fields(raw, Place(), f"http.{_BODY}", ("operations", "metadata"))
    at = Place().field(_BODY, "operations")
    operations: list[tuple[str, Item | bytes]] = []
    for each in gojson.elements(found.get("operations", gojson.NULL), at, f"[]http.{_STEP}"):
        members = gojson.fields(each, at, f"http.{_STEP}", ("operation", "request"))
        name = gojson.text(members.get("operation", gojson.NULL), at.field(_STEP, "operation"))
        operations.append((name, members.get("request", gojson.NULL)))
    metadata = gojson.text_map(found.get("metadata", gojson.NULL), Place().field(_BODY, "metadata"))
    return Steps(operations, metadata)


def operation_request(raw: bytes) -> Item:
    """The `request` of an operation, with the errors of the second decoder that daprd uses there (mapstructure)."""
    if raw == gojson.NULL:
        return Item("", gojson.NULL, is_json=True)
    if gojson.kind(raw) != "object":
        raise MalformedError(f"'' expected a map, got '{_GO_KINDS[gojson.kind(raw)]}'")
    found = gojson.fields(raw, Place(), "", _ITEM)
    problems: list[str] = []

    def text(raw: bytes, name: str) -> str:
        if raw != gojson.NULL and gojson.kind(raw) != "string":
            kind, value = _GO_TYPES[gojson.kind(raw)], _printed(msgspec.json.decode(raw))
            problems.append(f"'{name}' expected type 'string', got unconvertible type '{kind}', value: '{value}'")
            return ""
        return gojson.text(raw)

    def members(field: str, name: str) -> dict[str, bytes]:
        raw = found.get(field, gojson.NULL)
        if raw != gojson.NULL and gojson.kind(raw) != "object":
            problems.append(f"'{name}' expected a map, got '{_GO_KINDS[gojson.kind(raw)]}'")
            return {}
        return gojson.members(raw, Place(), "")

    names = {"key": "Key", "etag": "ETag", "contentType": "ContentType"}
    texts = {field: text(found.get(field, gojson.NULL), name) for field, name in names.items()}
    metadata = {key: text(value, f"Metadata[{key}]") for key, value in members("metadata", "Metadata").items()}
    options = {
        key.lower(): text(value, f"Options.{key.capitalize()}")
        for key, value in members("options", "Options").items()
        if key.lower() in _OPTIONS
    }
    if problems:
        raise MalformedError(
            f"{len(problems)} error(s) decoding:\n\n" + "\n".join(f"* {it}" for it in sorted(problems))
        )
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


def _steps(given: Transaction) -> Steps:
    operations: list[tuple[str, Item | bytes]] = [
        (each.operation or "", _item(each.request) if each.request else gojson.NULL) for each in given.operations or ()
    ]
    return Steps(operations, _metadata(given.metadata or {}))


SAVE: Shape[list[Item]] = Shape(list[StateItem], lambda given: [_item(each) for each in given], _items_slowly)
BULK_GET: Shape[list[str]] = Shape(BulkGet, lambda given: [key or "" for key in given.keys or ()], _bulk_get_slowly)
TRANSACTION: Shape[Steps] = Shape(Transaction, _steps, _steps_slowly)

KNOWN_OPERATIONS = frozenset({UPSERT, DELETE})
