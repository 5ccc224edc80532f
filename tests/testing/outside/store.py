"""The smallest store that keeps the contract: a dict, with versions."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

from dapr_state.stores.base import Found, Outcomes, StateStore, StoreError, conflict
from dapr_state.stores.model import Delete, Feature, Operation, StoredValue

if TYPE_CHECKING:
    from collections.abc import Sequence


class TinyStore(StateStore):
    features = (Feature.ETAG, Feature.TRANSACTIONAL)

    def __init__(self) -> None:
        self._rows: dict[str, StoredValue] = {}
        self._versions = itertools.count(1)
        self._is_open = False

    def __repr__(self) -> str:
        return f"<TinyStore {len(self._rows)} keys>"

    async def open(self) -> None:
        self._is_open = True

    async def close(self) -> None:
        self._is_open = False

    async def ping(self) -> None:
        if not self._is_open:
            raise StoreError("the store is closed")

    async def get(self, keys: Sequence[str]) -> Found:
        await self.ping()
        return [self._rows.get(key) for key in keys]

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        await self.ping()
        return [self._write(operation) for operation in operations]

    async def transact(self, operations: Sequence[Operation]) -> None:
        await self.ping()
        before = self._rows.copy()
        for operation in operations:
            if refused := self._write(operation):
                self._rows = before
                raise refused

    def _write(self, operation: Operation) -> StoreError | None:
        row = self._rows.get(operation.key)
        if refused := conflict(operation, row.etag if row else None):
            return refused
        if isinstance(operation, Delete):
            self._rows.pop(operation.key, None)
        else:
            self._rows[operation.key] = StoredValue(operation.value, str(next(self._versions)))
        return None
