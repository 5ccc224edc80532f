"""The State calls over HTTP: path, query and body in, one call into api/state, an answer out."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import msgspec

from dapr_state import errors
from dapr_state.api import expiry, jsontext
from dapr_state.api.state import Item
from dapr_state.errors import BadRequest, DaprError, ErrorInfo
from dapr_state.stores.base import StoreError
from dapr_state.transports.http import bodies, problem, target
from dapr_state.transports.http.bodies import KNOWN_OPERATIONS
from dapr_state.transports.http.gojson import MalformedError
from dapr_state.transports.http.message import JSON, Response, line, no_content

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Any

    from dapr_state.api.state import State
    from dapr_state.errors import Detail
    from dapr_state.stores.model import Row
    from dapr_state.transports.http.bodies import Steps
    from dapr_state.wire.http1 import Request


class StateRoutes:
    def __init__(self, state: State) -> None:
        self._state = state

    async def get(self, store: str, key: str) -> Response:
        # `consistency` and `metadata.*` are accepted and mean nothing to any of our stores
        row = await self._state.get(store, key)
        if row is None:
            return no_content()
        lines = [JSON]
        if row.etag:
            lines.append(b"Etag: %b\r\n" % row.etag.encode())
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
        await self._state.save(store, [_with(item, query) for item in items] if query else items)
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

    async def bulk_get(self, store: str, request: Request) -> Response:
        self._state.check_exists(store)
        try:
            keys = await bodies.BULK_GET.read(request)
        except MalformedError as error:
            raise errors.MALFORMED_BODY(cause=error) from error
        outcomes = await self._state.get_bulk(store, keys)
        return Response(200, [JSON], _encode(list(map(_bulk_item, keys, outcomes))) + b"\n")

    async def transact(self, store: str, request: Request, query: Mapping[str, str]) -> Response:
        self._state.check_transactional(store)
        try:
            steps = await bodies.TRANSACTION.read(request)
            await self._state.transact(store, _each(steps, query), steps.metadata)
        except MalformedError as error:
            raise errors.MALFORMED_BODY(cause=error) from error
        except DaprError as error:
            raise _with_details(error, _without_field) from error
        return no_content()

    async def query(self, store: str, request: Request) -> Response:
        if request.body_error:  # daprd reads this body first of all
            raise errors.BODY_READ(cause=request.body_error)
        try:
            await self._state.query(store)
        except DaprError as error:
            raise _with_details(error, _without_app_id) from error
        return no_content()


def _each(steps: Steps, query: Mapping[str, str]) -> Iterator[tuple[str, Item]]:
    """The operations in order: the first that is wrong in any way is the one that is told."""
    for kind, given in steps.operations:
        if kind not in KNOWN_OPERATIONS:
            raise errors.STATE_OPERATION_UNKNOWN(operation=kind)
        item = bodies.operation_request(given) if isinstance(given, bytes) else given
        yield kind, _with(item, query) if query else item


def _with(item: Item, query: Mapping[str, str]) -> Item:
    """The query's metadata goes before the item's own."""
    if not (more := target.metadata(query)):
        return item
    return msgspec.structs.replace(item, metadata={**item.metadata, **more})


class _BulkItem(msgspec.Struct, omit_defaults=True):
    key: str | msgspec.Raw
    data: msgspec.Raw | str | None = None
    etag: str = ""
    metadata: Mapping[str, str] = {}
    error: str = ""


_encode = msgspec.json.Encoder().encode

NOT_JSON = "the value is neither JSON nor text"


def _bulk_item(key: str, outcome: Row | StoreError | None) -> _BulkItem:
    shown_key = key if key.isascii() else msgspec.Raw(problem.encode(key))
    if outcome is None:
        return _BulkItem(shown_key)
    if isinstance(outcome, StoreError):
        return _BulkItem(shown_key, error=str(outcome))
    metadata = expiry.metadata(outcome)
    try:
        return _BulkItem(shown_key, _shown_value(outcome.value), outcome.etag, metadata)
    except UnicodeDecodeError:
        return _BulkItem(shown_key, metadata=metadata, error=NOT_JSON)


def _shown_value(value: bytes) -> msgspec.Raw | str | None:
    """JSON as it is, text as a JSON string; what is neither cannot be shown (daprd: the whole answer is empty)."""
    if not value:
        return None
    text = value.decode()
    return msgspec.Raw(value) if jsontext.problem(value) is None else text


# daprd's two routes that say less than the others


def _with_details(error: DaprError, change: Callable[[Any], Detail]) -> DaprError:
    return DaprError(error.row, error.message, tuple(map(change, error.details)), error.http_message)


def _without_field(detail: Detail) -> Detail:
    return dataclasses.replace(detail, field="") if isinstance(detail, BadRequest) else detail


def _without_app_id(detail: Detail) -> Detail:
    return dataclasses.replace(detail, http_metadata=None) if isinstance(detail, ErrorInfo) else detail
