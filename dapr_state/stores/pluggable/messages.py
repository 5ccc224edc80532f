"""What a component is asked, as messages of its protocol, with all that the caller said beside."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import msgspec
from dapr_state_proto.components.v1 import state_pb2

from dapr_state.errors import shortened
from dapr_state.stores.base import Unfit
from dapr_state.stores.model import Delete, HintedKey, Hints, Upsert
from dapr_state.stores.sql import keys
from dapr_state.stores.ttl import KEY as TTL

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from dapr_state.query.tree import Query
    from dapr_state.stores.base import StoreError
    from dapr_state.stores.model import Operation

_Options: Final = state_pb2.StateOptions
_CONCURRENCY: Final[dict[str, Any]] = {
    "first-write": _Options.CONCURRENCY_FIRST_WRITE,
    "last-write": _Options.CONCURRENCY_LAST_WRITE,
}
_CONSISTENCY: Final[dict[str, Any]] = {"eventual": _Options.CONSISTENCY_EVENTUAL, "strong": _Options.CONSISTENCY_STRONG}
_NONE: Final = Hints()
_TOLD: Final = 200  # characters of a value in an error

_members = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode


def refusal(asked: str | Operation) -> StoreError | None:
    """Why a key cannot be read, or an operation be asked for: what callers give may hold octets that are no text."""
    if isinstance(asked, str):
        return keys.refusal(asked) or (refusal_of(asked.hints.metadata) if isinstance(asked, HintedKey) else None)
    if refused := keys.refusal(asked.key):
        return refused
    hints = asked.hints or _NONE
    beside = {"etag": asked.etag, "content type": hints.content_type}
    return refusal_of(beside) or refusal_of(hints.metadata) or refusal_of(hints.of_all)


def refusal_of(metadata: Mapping[str, str]) -> StoreError | None:
    for name, value in metadata.items():
        if keys.refusal(name) or keys.refusal(value):
            return Unfit(f"{name!a} is not valid UTF-8: {shortened(ascii(value), _TOLD)}")
    return None


def get(key: str) -> Any:
    if not isinstance(key, HintedKey):
        return state_pb2.GetRequest(key=key)
    hints = key.hints
    return state_pb2.GetRequest(key=key, metadata=hints.metadata, consistency=_CONSISTENCY.get(hints.consistency, 0))


def write(operation: Operation) -> Any:
    hints = operation.hints or _NONE
    options = _Options(concurrency=_concurrency(operation, hints), consistency=_consistency(operation, hints))
    etag = state_pb2.Etag(value=operation.etag) if operation.etag else None
    if isinstance(operation, Delete):
        return state_pb2.DeleteRequest(key=operation.key, etag=etag, options=options, metadata=hints.metadata)
    return state_pb2.SetRequest(
        key=operation.key,
        value=operation.value,
        etag=etag,
        options=options,
        metadata=_metadata(operation, hints),
        content_type=hints.content_type,
    )


def transaction(operations: Sequence[Operation]) -> Any:
    steps = [
        state_pb2.TransactionalStateOperation(set=write(operation))
        if isinstance(operation, Upsert)
        else state_pb2.TransactionalStateOperation(delete=write(operation))
        for operation in operations
    ]
    hints = operations[0].hints or _NONE
    return state_pb2.TransactionalStateRequest(operations=steps, metadata=hints.of_all)


def query(query: Query) -> Any:
    """The filter is a map with its one operator, and what stands behind it as JSON in a message without a type."""
    sort = [
        state_pb2.Sorting(
            key=".".join(key.path), order=state_pb2.Sorting.DESC if key.descending else state_pb2.Sorting.ASC
        )
        for key in query.sort
    ]
    page = state_pb2.Pagination(limit=query.limit, token=query.token)
    wanted = state_pb2.Query(sort=sort, pagination=page)
    for name, operand in _members(query.text or b"{}").items():
        wanted.filter[name].value = bytes(operand)
    return state_pb2.QueryRequest(query=wanted, metadata=query.metadata)


def _concurrency(operation: Operation, hints: Hints) -> Any:
    if hints.concurrency:
        return _CONCURRENCY.get(hints.concurrency, 0)
    return _Options.CONCURRENCY_FIRST_WRITE if operation.first_write else 0


def _consistency(operation: Operation, hints: Hints) -> Any:
    if hints.consistency:
        return _CONSISTENCY.get(hints.consistency, 0)
    return _Options.CONSISTENCY_STRONG if operation.strong else 0


def _metadata(operation: Upsert, hints: Hints) -> Mapping[str, str]:
    """The TTL may be of the store, or of the actor's state, rather than of the caller."""
    if operation.ttl and TTL not in hints.metadata:
        return {**hints.metadata, TTL: str(operation.ttl)}
    return hints.metadata
