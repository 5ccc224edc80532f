"""A store that follows the clock of users though its server has a clock of its own (Redis, pluggable components).

The server is never told of a time to live. When each key expires is kept here, and what has expired is removed before
anybody looks. So that it outlives this process, it stands in a row of the store too, which is written before the keys.
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Final

from msgspec import structs

from dapr_state.stores.base import Count, Entry, Found, KeyPage, Outcomes, Page, StateStore, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from dapr_state.clock import VisibleClock
    from dapr_state.stores.model import Operation
    from dapr_state.stores.query.budget import QueryBudget
    from dapr_state.stores.query.scan import Matches, Position
    from dapr_state.stores.query.tree import Condition, Query

ROW: Final = "dapr.internal.test||expiries"
_SECOND: Final = 1_000_000_000


class Timekeeper(Wrapper):
    """`before` stands before the key of its row."""

    is_ground = True

    def __init__(self, inner: StateStore, clock: VisibleClock, before: str) -> None:
        super().__init__(inner)
        self._clock = clock
        self._row = before + ROW
        self._ends: dict[str, int] = {}  # of keys, in nanoseconds since 1970
        self._expired = 0
        self._sweeping = asyncio.Lock()  # one at a time: a removal must not come behind a write that found the key gone

    def follow(self, clock: VisibleClock) -> bool:
        self._clock = clock
        return True

    async def open(self) -> None:
        await super().open()
        (row,) = await self._inner.get([self._row])
        if isinstance(row, StoredValue):
            self._ends = json.loads(row.value)

    async def expire(self, prefix: str) -> int:  # noqa: ARG002
        """Those of other prefixes are removed as well: all were written here."""
        await self._sweep()
        expired, self._expired = self._expired, 0
        return expired

    async def get(self, keys: Sequence[str]) -> Found:
        await self._sweep()
        return [self._with_end(key, row) for key, row in zip(keys, await self._inner.get(keys), strict=True)]

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        await self._prepare(operations)
        outcomes = await self._inner.write([_endless(each) for each in operations])
        done = [each for each, refusal in zip(operations, outcomes, strict=True) if refusal is None]
        await self._note(done)
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        await self._prepare(operations)
        await self._inner.transact([_endless(each) for each in operations])
        await self._note(operations)

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        await self._sweep()
        page = await self._inner.list(prefix, after=after, limit=limit)
        entries = [Entry(each.key, self._with_end(each.key, each.row) or each.row) for each in page.entries]
        return Page([each for each in entries if each.key != self._row], page.after)

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        await self._sweep()
        page = await self._inner.keys(prefix, after=after, limit=limit, reverse=reverse, sizes=sizes)
        rows = [structs.replace(each, expires_at=self._end_of(each.key) or each.expires_at) for each in page.rows]
        return KeyPage([each for each in rows if each.key != self._row], page.after)

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        await self._sweep()
        return await self._inner.count(prefix, after=after, hidden=hidden, sizes=sizes)

    async def remove(self, prefix: str, *, after: str = "", hidden: str = "") -> Count:
        await self._sweep()
        removed = await self._inner.remove(prefix, after=after, hidden=hidden)
        (row,) = await self._inner.get([self._row])
        gone = [
            key
            for key in self._ends
            if key.startswith(prefix) and not (hidden and hidden in key[len(prefix) :]) and not removed.after
        ]
        for key in gone:
            del self._ends[key]
        if self._ends or row:
            await self._save(self._ends)
        return removed

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        await self._sweep()
        await self._inner.touch(key, None, etag=etag)
        ends = {name: end for name, end in self._ends.items() if name != key}
        self._ends = ends if ttl is None else ends | {key: self._clock.nanoseconds() + ttl * _SECOND}
        await self._save(self._ends)

    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None:
        await self._sweep()
        return await self._inner.candidates(prefix, condition)

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:
        await self._sweep()
        return await self._inner.query(prefix, query, after=after, budget=budget)

    async def _sweep(self) -> None:
        """Remove what has expired."""
        if not self._due():
            return
        async with self._sweeping:
            if not (due := self._due()):
                return
            for refusal in filter(None, await self._inner.write([Delete(key) for key in due])):
                raise refusal
            self._expired += len(due)
            for key in due:
                self._ends.pop(key, None)
            await self._save(self._ends)

    def _due(self) -> Sequence[str]:
        now = self._clock.nanoseconds()
        return [key for key, end in self._ends.items() if end <= now]

    async def _prepare(self, operations: Sequence[Operation]) -> None:
        """Before a key is there without an end, its end is in the row."""
        await self._sweep()
        ends = self._ends_of(operations)
        if ends:
            await self._save(self._ends | ends)

    async def _note(self, done: Sequence[Operation]) -> None:
        ends = self._ends_of(done)
        before = dict(self._ends)
        for each in done:
            self._ends.pop(each.key, None)
        self._ends |= ends
        if before != self._ends:
            await self._save(self._ends)

    def _ends_of(self, operations: Iterable[Operation]) -> dict[str, int]:
        now = self._clock.nanoseconds()
        ends: dict[str, int] = {}
        for each in operations:
            ends.pop(each.key, None)
            if isinstance(each, Upsert) and each.ttl is not None:
                ends[each.key] = now + each.ttl * _SECOND
        return ends

    async def _save(self, ends: dict[str, int]) -> None:
        row = Upsert(self._row, json.dumps(ends).encode(), is_json=True) if ends else Delete(self._row)
        for refusal in filter(None, await self._inner.write([row])):
            raise refusal

    def _with_end(self, key: str, row: StoredValue | StoreError | None) -> StoredValue | StoreError | None:
        if isinstance(row, StoredValue) and (end := self._end_of(key)):
            return StoredValue(row.value, row.etag, end)
        return row

    def _end_of(self, key: str) -> float | None:
        end = self._ends.get(key)
        return None if end is None else end / _SECOND


def _endless(operation: Operation) -> Operation:
    return structs.replace(operation, ttl=None) if isinstance(operation, Upsert) else operation
