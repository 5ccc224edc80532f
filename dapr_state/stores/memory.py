"""state.in-memory: values in this process, gone when it ends."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, ClassVar

from dapr_state.clock import SYSTEM, Clock
from dapr_state.resources import values
from dapr_state.stores.base import StateStore, StoreError, conflict
from dapr_state.stores.etags import new_etags
from dapr_state.stores.model import Delete, Feature, Operation, Row
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.resources.component import Component

SWEEP_SECONDS = 1  # as daprd: an expired value that nobody asks for is freed after this long


class MemoryStore(StateStore):
    features: ClassVar = (
        Feature.ETAG,
        Feature.TRANSACTIONAL,
        Feature.TTL,
        Feature.DELETE_WITH_PREFIX,
        Feature.KEYS_LIKE,
    )
    ttl_rule = TtlRule(parse_int=values.atoi, error="{}", ranged=False)

    def __init__(self, clock: Clock = SYSTEM) -> None:
        self._clock = clock
        self._etags = new_etags()
        self._rows: dict[str, Row] = {}
        self._mortal: set[str] = set()  # keys with an expiry: all that a sweep looks at
        self._sweeper: asyncio.Task[None] | None = None
        self._is_closed = False

    @classmethod
    def from_component(cls, _: Component) -> MemoryStore:
        return cls()

    def __repr__(self) -> str:
        return f"<MemoryStore {len(self._rows)} keys>"

    async def open(self) -> None:
        self._sweeper = asyncio.create_task(self._sweep_for_ever())

    async def close(self) -> None:
        if self._sweeper:
            self._sweeper.cancel()
        self._is_closed = True
        self._rows.clear()
        self._mortal.clear()

    async def ping(self) -> None:
        self._check_open()

    async def get(self, keys: Sequence[str]) -> list[Row | StoreError | None]:
        self._check_open()
        if self._mortal.isdisjoint(keys):
            return list(map(self._rows.get, keys))
        return [self._live(key) for key in keys]

    async def write(self, operations: Sequence[Operation]) -> list[StoreError | None]:
        self._check_open()
        return [self._write_one(operation) for operation in operations]

    async def transact(self, operations: Sequence[Operation]) -> None:
        self._check_open()
        before = {operation.key: self._rows.get(operation.key) for operation in operations}
        for operation in operations:
            if refused := self._write_one(operation):
                for key, row in before.items():
                    self._put(key, row)
                raise refused

    def _check_open(self) -> None:
        if self._is_closed:
            raise StoreError("the store is closed")

    def _write_one(self, operation: Operation) -> StoreError | None:
        key = operation.key
        if operation.etag or operation.first_write:
            row = self._live(key)
            if refused := conflict(operation, row.etag if row else None):
                return refused
        if isinstance(operation, Delete):
            self._put(key, None)
        elif operation.ttl is None:
            self._rows[key] = Row(operation.value, next(self._etags))
            self._mortal.discard(key)
        else:
            self._put(key, Row(operation.value, next(self._etags), self._clock.now() + operation.ttl))
        return None

    def _put(self, key: str, row: Row | None) -> None:
        if row is None:
            self._rows.pop(key, None)
        else:
            self._rows[key] = row
        if row is not None and row.expires_at is not None:
            self._mortal.add(key)
        else:
            self._mortal.discard(key)

    def _live(self, key: str) -> Row | None:
        row = self._rows.get(key)
        if row is None or row.expires_at is None or row.expires_at > self._clock.now():
            return row
        self._put(key, None)
        return None

    async def _sweep_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SWEEP_SECONDS)
            self.sweep()

    def sweep(self) -> None:
        """Free what has expired."""
        for key in list(self._mortal):
            self._live(key)
