"""The State calls over HTTP: path, query and body in, one call into api/state, an answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import structs

from dapr_state import errors
from dapr_state.api import expiry
from dapr_state.api.state import LARGEST_ANSWER, MANY, Item
from dapr_state.errors import BadRequest, DaprError, ErrorInfo, untraced
from dapr_state.golang import json
from dapr_state.golang.unmarshal import MalformedError
from dapr_state.serving.answer_memory import SMALL, AnswerMemory
from dapr_state.serving.http.response import JSON, Response, line, no_content
from dapr_state.serving.pieces import LARGE, Pieces
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Hints, StoredValue
from dapr_state.transports.http import bodies, target
from dapr_state.transports.http.bodies import KNOWN_OPERATIONS
from dapr_state.transports.http.query import query_answer
from dapr_state.transports.http.values import NOT_JSON, shown_key, shown_value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from typing import Any

    from dapr_state.api.state import Found, Outcome, State
    from dapr_state.errors import Detail
    from dapr_state.serving.http.request import Request
    from dapr_state.transports.http.bodies import TransactionBody
    from dapr_state.transports.http.route import Answer


class StateRoutes:
    def __init__(self, state: State, answers: AnswerMemory | None = None) -> None:
        self._state = state
        self._answers = answers or AnswerMemory()

    def table(self) -> dict[str, Answer]:
        return {
            "GetState": lambda call: self.get(call.params["store"], call.params["key"], call.query),
            "SaveState": lambda call: self.save(call.params["store"], call.request, call.query),
            "DeleteState": lambda call: self.delete(call.params["store"], call.params["key"], call.request, call.query),
            "GetBulkState": lambda call: self.bulk_get(call.params["store"], call.request, call.query),
            "ExecuteStateTransaction": lambda call: self.transact(call.params["store"], call.request, call.query),
            "QueryStateAlpha1": lambda call: self.query(call.params["store"], call.request, call.query),
        }

    async def get(self, store: str, key: str, query: Mapping[str, str] | None = None) -> Response:
        hints = Hints(target.metadata(query), consistency=query.get("consistency", "")) if query else None
        row = await self._state.get(store, key, hints)
        if row and (octets := len(row.value)) > SMALL and not self._answers.has_room(octets):
            row = None  # not kept while it waits
            async with self._answers.room(octets):
                row = await self._state.get(store, key, hints)
        if row is None:
            return no_content()
        lines = [JSON]
        if row.etag:
            lines.append(line("Etag", row.etag))
        if row.expires_at is not None:
            # Go writes header names in its own letters: Metadata.ttlexpiretime
            lines += [line(f"metadata.{name}".capitalize(), value) for name, value in expiry.metadata(row).items()]
        return Response(200, lines, row.value)

    async def save(self, store: str, request: Request, query: Mapping[str, str]) -> Response:
        self._state.check_exists(store)  # before the body is looked at
        try:
            items = await bodies.SAVE.read(request)
        except MalformedError as error:
            raise errors.MALFORMED_REQUEST(cause=error) from error
        if query and (more := target.metadata(query)):
            items = await Work().each(lambda item: _with(item, more), items)
        try:
            await self._state.save(store, items)
        finally:
            if len(items) > MANY:
                await Work().free(items)
        return no_content()

    async def delete(self, store: str, key: str, request: Request, query: Mapping[str, str]) -> Response:
        item = Item(
            key,
            etag=request.headers.get("if-match", ""),
            metadata=target.metadata(query),
            concurrency=query.get("concurrency", ""),
            consistency=query.get("consistency", ""),
        )
        await self._state.delete(store, item)
        return no_content()

    async def bulk_get(self, store: str, request: Request, query: Mapping[str, str]) -> Response:
        self._state.check_exists(store)
        try:
            keys = await bodies.BULK_GET.read(request)
        except MalformedError as error:
            raise errors.MALFORMED_BODY(cause=error) from error
        metadata = {**keys.metadata, **target.metadata(query)}
        hints = Hints(metadata) if metadata else None
        found = await self._state.get_bulk(store, keys, hints)
        if (octets := found.octets) <= json.LONG:
            return Response(200, [JSON], await _bulk_answer(keys, found))
        if not self._answers.has_room(octets):
            found.clear()  # not kept while they wait
        async with self._answers.room(octets):
            if not found:
                found = await self._state.get_bulk(store, keys, hints)
            return Response(200, [JSON], await _bulk_answer(keys, found))

    async def transact(self, store: str, request: Request, query: Mapping[str, str]) -> Response:
        self._state.check_transactional(store)
        try:
            body = await bodies.TRANSACTION.read(request)
            metadata = {**body.metadata, **target.metadata(query)} if query else body.metadata
            await self._state.transact(store, await _each(body, query), metadata)
        except MalformedError as error:
            raise errors.MALFORMED_BODY(cause=error) from error
        except DaprError as error:
            raise _with_details(error, _without_field) from error
        return no_content()

    async def query(self, store: str, request: Request, query: Mapping[str, str]) -> Response:
        request.needs_client = True  # one who goes away ends it
        if request.body_error:  # daprd reads this body first of all
            raise errors.BODY_READ(cause=request.body_error)
        try:
            async with self._state.queries.ask(store, request.body, target.metadata(query)) as results:
                if not results.found:
                    return no_content()
                if results.octets <= SMALL:
                    return Response(200, [JSON], await query_answer(results))
                async with self._answers.room(results.octets):
                    return Response(200, [JSON], await query_answer(results))
        except DaprError as error:
            raise _with_details(error, _without_app_id) from error


async def _each(transaction: TransactionBody, query: Mapping[str, str]) -> Iterator[tuple[str, Item]]:
    """The operations in order: the first that is wrong in any way is the one that is told."""
    more = target.metadata(query) if query else None
    if transaction.are_usual and not more:
        return iter(cast("list[tuple[str, Item]]", transaction.operations))
    work = Work()
    found: list[tuple[str, Item]] = []
    for kind, given in transaction.operations:
        if kind not in KNOWN_OPERATIONS:
            return _then(found, errors.STATE_OPERATION_UNKNOWN(operation=kind))
        try:
            item = (
                await bodies.operation_request(given, bodies.STEP_REQUEST, work) if isinstance(given, bytes) else given
            )
        except MalformedError as error:
            return _then(found, untraced(error))
        found.append((kind, _with(item, more) if more else item))
        if work.is_over():
            await work.pause()
    return iter(found)


def _then(found: list[tuple[str, Item]], error: Exception) -> Iterator[tuple[str, Item]]:
    yield from found
    try:
        raise error
    finally:
        del error  # else it holds this frame, which holds it


def _with(item: Item, more: Mapping[str, str]) -> Item:
    """The query's metadata goes before the item's own."""
    return msgspec.structs.replace(item, metadata={**item.metadata, **more})


class _BulkItem(msgspec.Struct, omit_defaults=True, gc=False):
    key: str | msgspec.Raw
    data: msgspec.Raw | str | None = None
    etag: str = ""
    metadata: Mapping[str, str] = {}
    error: str = ""


_encode = msgspec.json.Encoder().encode
_raw = msgspec.json.Decoder(msgspec.Raw).decode  # without the blanks around it
_NO_ITEM = _encode(_BulkItem(""))

AT_ONCE = 128  # items: their answers take 0.2 ms


async def _bulk_answer(keys: Sequence[str], found: Found) -> bytes | Pieces:
    if len(keys) <= AT_ONCE and found.octets <= json.LONG:
        items = [_usual_item(*each) or await _bulk_item(*each) for each in zip(keys, found, strict=True)]
        return _encode(items) + b"\n"
    whole, work = Pieces(), Work()
    group: list[_BulkItem] = []
    for key, outcome in zip(keys, found, strict=True):
        is_large = isinstance(outcome, StoredValue) and len(outcome.value) > LARGE
        if not is_large:
            group.append(_usual_item(key, outcome) or await _bulk_item(key, outcome))
        if group and (is_large or len(group) == AT_ONCE):
            _begin_item(whole, _encode(group)[1:-1])
            group = []
        if is_large:
            await _add_large(whole, key, cast("StoredValue", outcome))
            if len(whole) > LARGEST_ANSWER:  # texts that are no JSON grow
                raise errors.STATE_ANSWER_TOO_LARGE(limit=LARGEST_ANSWER)
        if work.is_over():
            await work.pause()
    if group:
        _begin_item(whole, _encode(group)[1:-1])
    whole.add(b"]\n")
    return whole


def _begin_item(whole: Pieces, octets: bytes) -> None:
    whole.add((b"," if whole else b"[") + octets)


async def _add_large(whole: Pieces, key: str, row: StoredValue) -> None:
    """One item as it would be encoded, but for a copy of its value."""
    metadata = expiry.metadata(row)
    try:
        data = await shown_value(row.value)
    except UnicodeDecodeError:
        _begin_item(whole, _encode(_BulkItem(shown_key(key), metadata=metadata, error=NOT_JSON)))
        return
    _begin_item(whole, _encode(_BulkItem(shown_key(key)))[:-1] + b',"data":')
    whole.add(data if isinstance(data, bytes) else _encode(data))
    whole.add(_encode(_BulkItem("", None, row.etag, metadata))[len(_NO_ITEM) - 1 :])


def _usual_item(key: str, outcome: Outcome) -> _BulkItem | None:
    """Of what is short, and JSON if there is a value: in a third of the time."""
    if not key.isascii():
        return None
    if outcome is None:
        return _BulkItem(key)
    if not isinstance(outcome, StoredValue) or outcome.expires_at is not None or len(outcome.value) > LARGE:
        return None
    try:
        if not outcome.value.isascii():
            outcome.value.decode()
        return _BulkItem(key, _raw(outcome.value), outcome.etag)
    except (UnicodeDecodeError, msgspec.DecodeError, RecursionError):
        return None


async def _bulk_item(key: str, outcome: Outcome) -> _BulkItem:
    shown = shown_key(key)
    if outcome is None:
        return _BulkItem(shown)
    if isinstance(outcome, StoreError):
        return _BulkItem(shown, error=str(outcome))
    metadata = expiry.metadata(outcome)
    try:
        data = await shown_value(outcome.value)
    except UnicodeDecodeError:
        return _BulkItem(shown, metadata=metadata, error=NOT_JSON)
    return _BulkItem(shown, msgspec.Raw(data) if isinstance(data, bytes) else data, outcome.etag, metadata)


# daprd's two routes that say less than the others


def _with_details(error: DaprError, change: Callable[[Any], Detail]) -> DaprError:
    return DaprError(error.row, error.message, tuple(map(change, error.details)), error.http_message)


def _without_field(detail: Detail) -> Detail:
    return structs.replace(detail, field="") if isinstance(detail, BadRequest) else detail


def _without_app_id(detail: Detail) -> Detail:
    return structs.replace(detail, http_metadata=None) if isinstance(detail, ErrorInfo) else detail
