"""The state of actors: under which keys it is kept, and how it is read and written."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.actors.placement.base import LostError
from dapr_state.slices import STEPS, Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Operation, StoredValue, Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state.app.model import ActorId
    from dapr_state.stores.base import StateStore

MISSING_KEY: Final = "missing key"
TOO_MANY: Final = "the transaction contains more operations than supported by the state store"


class NoStoreError(Exception):
    """There is no actor state store."""


class Put(msgspec.Struct, frozen=True, gc=False):
    """Write a value, as it was given."""

    key: str
    value: bytes
    etag: str = ""
    metadata: Mapping[str, str] = {}
    is_json: bool = False


class Remove(msgspec.Struct, frozen=True, gc=False):
    """Remove a key; that it is missing is a success, unless an etag is given."""

    key: str
    etag: str = ""


class ActorState:
    """`store` is asked for each time; it is the raw one: daprd neither encrypts this state nor heeds `keyPrefix`."""

    def __init__(self, app_id: str, store: Callable[[], StateStore | None]) -> None:
        self._app_id = app_id
        self._store = store

    async def get(self, actor: ActorId, key: str) -> StoredValue | None:
        """The value, or None if it is missing or expired. Raises StoreError or NoStoreError."""
        store = self._opened()
        (found,) = await store.get((f"{self._prefix(store, actor)}{key}",))
        if isinstance(found, StoreError):
            raise found
        return found

    async def transact(
        self, actor: ActorId, changes: Sequence[Put | Remove], may_write: Callable[[], bool] = lambda: True
    ) -> None:
        """All changes in their order, or none. Raises StoreError, NoStoreError or LostError.

        `may_write` is asked last: while a long transaction was prepared this sidecar may have been frozen.
        """
        store = self._opened()
        prefix = self._prefix(store, actor)
        if len(changes) <= STEPS:
            operations = [_operation(store, prefix, change) for change in changes]
        else:
            operations = await Work().each(partial(_operation, store, prefix), changes)
        limit = store.max_transaction_size
        if limit and len(operations) > limit:
            raise StoreError(TOO_MANY)
        if not may_write():
            raise LostError
        if operations:
            await store.transact(operations)

    def _prefix(self, store: StateStore, actor: ActorId) -> str:
        return store.together(f"{self._app_id}||{actor.type}||{actor.id}") + "||"

    def _opened(self) -> StateStore:
        store = self._store()
        if store is None:
            raise NoStoreError
        return store


def _operation(store: StateStore, prefix: str, change: Put | Remove) -> Operation:
    if not change.key:
        raise StoreError(MISSING_KEY)
    if isinstance(change, Remove):
        return Delete(prefix + change.key, change.etag)
    try:
        ttl = store.ttl_rule.read(change.metadata)
    except ValueError as error:
        raise StoreError(str(error)) from None
    return Upsert(prefix + change.key, change.value, change.etag, ttl=ttl, is_json=change.is_json)
