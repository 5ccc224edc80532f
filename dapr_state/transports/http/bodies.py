"""The JSON bodies of the State calls: first by the strict and fast way, the unusual ones by Go's rules.

A value stays the client's own text (design: no number goes through a double), so it is cut out, not decoded. A body
that would hold the event loop is read in pieces (slices.py): each by the strict way, or part by part by Go's rules.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Generic, Literal, TypeVar

import msgspec

from dapr_state.api.state import DELETE, UPSERT, Item
from dapr_state.golang import mapstructure, unmarshal
from dapr_state.golang.json import LONG, PIECE, QUICK
from dapr_state.golang.unmarshal import Place
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

    from dapr_state.serving.http.request import Request

MANY = 10_000  # members or items: the strict way takes 1 us for each

T = TypeVar("T")

_NULL = msgspec.Raw(unmarshal.NULL)
_NO_METADATA: Mapping[str, str] = {}
_IS_JSON = True
_NO_ITEM = Item("", unmarshal.NULL, is_json=True)


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
    contentType: str | None = None  # noqa: N815  the name in the body; of a meaning for components alone


class BulkGet(_Strict):
    keys: list[str | None] | None = None
    metadata: dict[str, str | None] | None = None
    parallelism: Annotated[int, msgspec.Meta(ge=-(1 << 63), le=(1 << 63) - 1)] | None = None


class Operation(_Strict):
    operation: Literal["upsert", "delete"]
    request: StateItem


class Transaction(_Strict):
    operations: list[Operation] | None = None
    metadata: dict[str, str | None] | None = None


class TransactionBody:
    """The operations of a transaction, each still to be looked at unless all are usual, and the metadata for them."""

    __slots__ = ("are_usual", "metadata", "operations")

    def __init__(
        self, operations: Sequence[tuple[str, Item | bytes]], metadata: Mapping[str, str], *, are_usual: bool = False
    ) -> None:
        self.operations = operations  # the request is bytes where only the slow way can read it
        self.metadata = metadata
        self.are_usual = are_usual  # known ones, none of bytes


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
        body = request.body
        if len(body) > LONG:
            return await self._read_long(request)
        made = self._strictly(body) if _is_usual(request) else None
        return await self._slowly(request, Work()) if made is None else made

    async def _read_long(self, request: Request) -> T:
        work = Work()
        await work.pause()
        has_few_parts = _is_usual(request) and await self._has_few_parts(request.body, work)
        made = self._strictly(request.body) if has_few_parts else None
        return await self._slowly(request, work) if made is None else made

    def _strictly(self, body: bytes) -> T | None:
        try:
            return self._made(self._decode(body))
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None  # the slow way decides

    async def _slowly(self, request: Request, work: Work) -> T:
        return await self._slow(await unmarshal.first_value(request.body, work, request.body_error), work)

    async def _has_few_parts(self, body: bytes, work: Work) -> bool:
        has_few = len(body) <= QUICK and all(body.count(part) <= MANY for part in self._parts)
        await work.pause()
        return has_few


def _is_usual(request: Request) -> bool:
    if request.body_error:
        return False
    if not request.body.isascii():
        try:
            request.body.decode()
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
    value = unmarshal.NULL if given.value is _NULL else bytes(given.value)  # one for all: there may be 300,000
    # by position: a bulk request makes a hundred of them
    content_type = given.contentType or ""
    return Item(given.key or "", value, given.etag or "", metadata, concurrency, consistency, _IS_JSON, content_type)


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
    async for piece in unmarshal.arrays(raw, at, go_type, work):
        if len(piece) <= PIECE:
            try:
                found += map(made, strict(piece))
                continue
            except (msgspec.DecodeError, RecursionError):
                pass
        if len(piece) > LONG:
            await work.pause()
        elements = unmarshal.elements(piece)
        if len(piece) > LONG:
            await work.pause()
        for element in elements:
            found.append(await slow(element, work))
            if work.is_over():
                await work.pause()
    return found


async def _items_slowly(raw: bytes, work: Work) -> list[Item]:
    return await _each(raw, Place(), "[]state.SetRequest", _items, _item, _item_slowly, work)


async def _item_slowly(raw: bytes, work: Work) -> Item:
    at = Place()
    found = await unmarshal.fields(raw, at, "state.SetRequest", _ITEM, work)

    def place(name: str) -> Place:
        return at.field("SetRequest", name)

    texts = {name: unmarshal.text(found[name], place(name)) for name in ("key", "etag", "contentType") if name in found}
    options_raw = found.get("options", unmarshal.NULL)
    options = await unmarshal.fields(options_raw, place("options"), "state.SetStateOption", _OPTIONS, work)
    # Go's struct has no other name for these two, so its errors show the field's own
    concurrency, consistency = (
        unmarshal.text(options.get(name, unmarshal.NULL), place("options").field("SetStateOption", name.capitalize()))
        for name in ("concurrency", "consistency")
    )
    metadata = await unmarshal.text_map(found.get("metadata", unmarshal.NULL), place("metadata"), work)
    value = found.get("value", unmarshal.NULL)
    key, etag, content_type = (texts.get(name, "") for name in ("key", "etag", "contentType"))
    return Item(key, value, etag, metadata, concurrency, consistency, True, content_type)


class Keys(list[str]):
    """Those of a bulk get, and what its body says of all of them."""

    __slots__ = ("metadata",)

    def __init__(self, keys: Iterable[str], metadata: Mapping[str, str]) -> None:
        super().__init__(keys)
        self.metadata = metadata


async def _bulk_get_slowly(raw: bytes, work: Work) -> Keys:
    at = Place()
    found = await unmarshal.fields(raw, at, "http.BulkGetRequest", ("keys", "metadata", "parallelism"), work)
    place = at.field("BulkGetRequest", "keys")

    async def key(raw: bytes, _: Work) -> str:
        return unmarshal.text(raw, place)

    keys = await _each(found.get("keys", unmarshal.NULL), place, "[]string", _keys, str, key, work)
    of_all = found.get("metadata", unmarshal.NULL)
    metadata = await unmarshal.text_map(of_all, at.field("BulkGetRequest", "metadata"), work)
    unmarshal.integer(found.get("parallelism", unmarshal.NULL), at.field("BulkGetRequest", "parallelism"))
    return Keys(keys, metadata)


_BODY, _STEP = "stateTransactionRequestBody", "stateTransactionRequestBodyOperation"


async def _transaction_slowly(raw: bytes, work: Work) -> TransactionBody:
    found = await unmarshal.fields(raw, Place(), f"http.{_BODY}", ("operations", "metadata"), work)
    at = Place().field(_BODY, "operations")

    async def operation(raw: bytes, work: Work) -> tuple[str, Item | bytes]:
        members = await unmarshal.fields(raw, at, f"http.{_STEP}", ("operation", "request"), work)
        name = unmarshal.text(members.get("operation", unmarshal.NULL), at.field(_STEP, "operation"))
        return name, members.get("request", unmarshal.NULL)

    given = found.get("operations", unmarshal.NULL)
    operations = await _each(given, at, f"[]http.{_STEP}", _operations, _operation, operation, work)
    metadata = await unmarshal.text_map(found.get("metadata", unmarshal.NULL), Place().field(_BODY, "metadata"), work)
    return TransactionBody(operations, metadata)


STEP_REQUEST = Place().field(_BODY, "operations").field(_STEP, "request")


async def operation_request(raw: bytes, at: Place, work: Work) -> Item:
    """The `request` of an operation, which stands `at`; daprd reads it by another decoder (mapstructure)."""
    found = await mapstructure.fields(raw, _ITEM, work)
    decoding = mapstructure.Decoding(at)

    def given(name: str) -> bytes:
        return found.get(name, unmarshal.NULL)

    key, etag = decoding.text(given("key"), "Key"), decoding.text(given("etag"), "ETag")
    content_type = decoding.text(given("contentType"), "ContentType")
    metadata = await decoding.text_map(given("metadata"), "Metadata", "Metadata[{}]".format, work)
    written = await decoding.text_map(given("options"), "Options", _option, work)
    decoding.check()
    options = {name.lower(): value for name, value in written.items()}
    concurrency, consistency = (options.get(name, "") for name in _OPTIONS)
    return Item(key, given("value"), etag, metadata, concurrency, consistency, True, content_type)


def _option(name: str) -> str:
    return f"Options.{name.capitalize()}" if name.lower() in _OPTIONS else ""


def _operation(given: Operation) -> tuple[str, Item]:
    return given.operation, _item(given.request)


def _transaction(given: Transaction) -> TransactionBody:
    return TransactionBody([*map(_operation, given.operations or ())], _metadata(given.metadata or {}), are_usual=True)


SAVE: Shape[list[Item]] = Shape(list[StateItem | None], lambda given: list(map(_item, given)), _items_slowly)
BULK_GET: Shape[Keys] = Shape(
    BulkGet,
    lambda given: Keys([key or "" for key in given.keys or ()], _metadata(given.metadata or {})),
    _bulk_get_slowly,
    (b",",),
)
TRANSACTION: Shape[TransactionBody] = Shape(Transaction, _transaction, _transaction_slowly)

KNOWN_OPERATIONS = frozenset({UPSERT, DELETE})
