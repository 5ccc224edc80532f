"""A store that follows the clock of users though its server has a clock of its own (Redis, pluggable components).

The server is never told of a time to live. When each key ends is kept here, and what has ended is removed before
anybody looks. So that it outlives this process, it stands in rows of the store too. The invariant: while a call changes
keys it has their rows to itself, from before the ends are written, which come first, until it is known what was done;
then the rows say what is so. Nobody who leaves meanwhile breaks that off.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from msgspec import structs

from dapr_state.clock import WAITING
from dapr_state.stores.base import Count, Entry, Found, KeyPage, Outcomes, Page, StateStore, StoreError
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.stores.ttl import KEY as TTL
from dapr_state.stores.wrapper import Wrapper
from dapr_state.testmode.ends import ROWS, Ends

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence

    from dapr_state.clock import VisibleClock
    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Condition, Query
    from dapr_state.stores.model import Operation

ROW: Final = "dapr.internal.test||expiries||"
AT_ONCE: Final = 1000  # keys that are removed in one call
CLOSE: Final = 2.0  # seconds for what is under way at the end
_SECOND: Final = 1_000_000_000


class Timekeeper(Wrapper):
    """`before` stands before the keys of its rows. Of a store that cannot list its keys it lists those written here."""

    is_ground = True

    def __init__(self, inner: StateStore, clock: VisibleClock, before: str) -> None:
        super().__init__(inner)
        self._clock = clock
        self._row = before + ROW
        self._ends = Ends()
        self._locks = [asyncio.Lock() for _ in range(ROWS)]
        self._running: set[asyncio.Task[Any]] = set()
        self._expired: list[str] = []  # since it was last asked for
        self._sweeping = asyncio.Lock()  # who waits for it finds what has ended removed

    def follow(self, clock: VisibleClock) -> bool:
        self._clock = clock
        return True

    async def open(self) -> None:
        await super().open()
        for row in await self._inner.get([self._key_of(number) for number in range(ROWS)]):
            if isinstance(row, StoreError):
                raise row
            if row:
                self._ends.read(row.value)

    async def close(self) -> None:
        if self._running:
            await WAITING.wait(self._running, timeout=CLOSE)
        await super().close()

    async def expire(self, prefix: str) -> int:  # noqa: ARG002
        """Those of other prefixes are removed as well: all were written here."""
        await self._sweep()
        expired = len(self._expired)
        self._expired.clear()
        return expired

    async def get(self, keys: Sequence[str]) -> Found:
        await self._sweep()
        return [self._with_end(key, row) for key, row in zip(keys, await self._inner.get(keys), strict=True)]

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        return await self._changed(operations, self._inner.write)

    async def transact(self, operations: Sequence[Operation]) -> None:
        async def act(endless: Sequence[Operation]) -> Outcomes:
            await self._inner.transact(endless)
            return [None] * len(endless)

        await self._changed(operations, act)

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        async def act(_: Sequence[Operation]) -> Outcomes:
            await self._inner.touch(key, None, etag=etag)
            return [None]

        await self._changed([Upsert(key, b"", ttl=ttl)], act)

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        await self._sweep()
        if self._knows_all:
            return await self._list_known(prefix, after, limit)
        page = await self._inner.list(prefix, after=after, limit=limit)
        entries = [Entry(each.key, self._with_end(each.key, each.row) or each.row) for each in page.entries]
        return Page([each for each in entries if not each.key.startswith(self._row)], page.after)

    async def _list_known(self, prefix: str, after: str, limit: int) -> Page:
        more = sorted(key for key in self._ends.keys(prefix) if key > after)
        keys = more[:limit]
        entries = [Entry(key, row) for key, row in zip(keys, await self.get(keys), strict=True) if row]
        return Page(entries, keys[-1] if len(more) > limit else "")

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        await self._sweep()
        if self._knows_all:
            return await StateStore.keys(self, prefix, after=after, limit=limit, reverse=reverse, sizes=sizes)
        page = await self._inner.keys(prefix, after=after, limit=limit, reverse=reverse, sizes=sizes)
        rows = [structs.replace(each, expires_at=self._end_of(each.key) or each.expires_at) for each in page.rows]
        return KeyPage([each for each in rows if not each.key.startswith(self._row)], page.after)

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        await self._sweep()
        return await self._inner.count(prefix, after=after, hidden=hidden, sizes=sizes)

    async def remove(self, prefix: str, *, after: str = "", hidden: str = "") -> Count:
        await self._sweep()
        if self._knows_all:
            return await StateStore.remove(self, prefix, after=after, hidden=hidden)
        if not after and not hidden and self._row.startswith(prefix):
            await self._save_anew(self._ends.filled(), {})  # so that they are not counted
        removed = await self._inner.remove(prefix, after=after, hidden=hidden)
        if not removed.after:
            await self._whole(self._forget(prefix))
        return removed

    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None:
        await self._sweep()
        return await self._inner.candidates(prefix, condition)

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:
        await self._sweep()
        return await self._inner.query(prefix, query, after=after, budget=budget)

    @property
    def _knows_all(self) -> bool:
        return Feature.LIST not in self.features

    async def _changed(
        self, operations: Sequence[Operation], act: Callable[[Sequence[Operation]], Coroutine[Any, Any, Outcomes]]
    ) -> Outcomes:
        await self._sweep()
        outcomes: Outcomes = await self._whole(self._change(operations, act))
        return outcomes

    async def _change(
        self, operations: Sequence[Operation], act: Callable[[Sequence[Operation]], Coroutine[Any, Any, Outcomes]]
    ) -> Outcomes:
        async with self._rows_of([each.key for each in operations]) as numbers:
            ends = [self._end_by(each) for each in operations]
            before = self._written(numbers)
            promised = self._written(numbers, self._promise(operations, ends))
            await self._save(before, promised)
            outcomes: Outcomes = []
            try:
                outcomes = await act([_endless(each) for each in operations])
            finally:
                for each, end, refusal in zip(operations, ends, outcomes, strict=False):
                    if refusal is None:
                        self._note(each, end)
                await self._save(promised, self._written(numbers))
            return outcomes

    def _end_by(self, operation: Operation) -> int | None:
        if isinstance(operation, Delete) or operation.ttl is None:
            return None
        return self._clock.nanoseconds() + operation.ttl * _SECOND

    def _promise(self, operations: Sequence[Operation], ends: Sequence[int | None]) -> Mapping[str, int | None]:
        """What the rows say beside, until it is known what was done."""
        told = [(each, end) for each, end in zip(operations, ends, strict=True) if isinstance(each, Upsert)]
        new = {each.key: end for each, end in told if self._knows_all and self._ends.get(each.key) is None}
        return new | {each.key: end for each, end in told if end is not None}

    def _note(self, done: Operation, end: int | None) -> None:
        if end is None and (isinstance(done, Delete) or not self._knows_all):
            self._ends.discard(done.key)
        else:
            self._ends.put(done.key, end)

    async def _sweep(self) -> None:
        """Remove what has ended."""
        if not self._ends.is_due(self._clock.nanoseconds()):
            return
        async with self._sweeping:
            while due := self._ends.take_due(self._clock.nanoseconds(), AT_ONCE):
                await self._whole(self._remove(due))

    async def _remove(self, due: Mapping[str, int]) -> None:
        async with self._rows_of(due) as numbers:
            before = self._written(numbers)
            ended = [key for key, end in due.items() if self._ends.get(key) == end]  # not written again meanwhile
            try:
                outcomes = await self._inner.write([Delete(key) for key in ended]) if ended else []
                for key, refusal in zip(ended, outcomes, strict=True):
                    if refusal:
                        raise refusal
                    self._ends.discard(key)
                    self._expired.append(key)
            finally:
                for key, end in due.items():  # what could not be removed is tried again
                    if self._ends.get(key) == end:
                        self._ends.remember(key, end)
            await self._save(before, self._written(numbers))

    async def _forget(self, prefix: str) -> None:
        """Those that begin so are gone, but for what was written meanwhile; and so may be the rows."""
        filled = self._ends.filled()
        async with self._locked(filled):
            keys = self._ends.keys(prefix, filled)
            for begin in range(0, len(keys), AT_ONCE):
                step = keys[begin : begin + AT_ONCE]
                for key, row in zip(step, await self._inner.get(step), strict=True):
                    if row is None:
                        self._ends.discard(key)
            await self._save_anew(filled, self._written(filled))

    async def _save_anew(self, numbers: Sequence[int], rows: Mapping[int, bytes]) -> None:
        await self._save(dict.fromkeys(numbers), {**dict.fromkeys(numbers, b""), **rows})

    @asynccontextmanager
    async def _rows_of(self, keys: Sequence[str] | Mapping[str, int]) -> AsyncIterator[Sequence[int]]:
        numbers = self._ends.rows_of(keys)
        async with self._locked(numbers):
            yield numbers

    @asynccontextmanager
    async def _locked(self, numbers: Sequence[int]) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            for number in numbers:  # everybody in this order: nobody waits for whom he holds up
                await stack.enter_async_context(self._locks[number])
            yield

    async def _whole(self, work: Coroutine[Any, Any, Any]) -> Any:
        """Its result; it goes on to its end though the caller leaves."""
        task = asyncio.ensure_future(work)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return await asyncio.shield(task)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled():
            task.exception()  # nobody may be left who wants to know

    def _written(self, numbers: Sequence[int], more: Mapping[str, int | None] | None = None) -> dict[int, bytes]:
        return {number: self._ends.written(number, more or {}) for number in numbers}

    async def _save(self, before: Mapping[int, bytes | None], rows: Mapping[int, bytes]) -> None:
        """Write those that are not as they were."""
        changed = [
            Upsert(self._key_of(number), row, is_json=True) if row else Delete(self._key_of(number))
            for number, row in rows.items()
            if row != before[number]
        ]
        for refusal in filter(None, await self._inner.write(changed) if changed else ()):
            raise refusal

    def _key_of(self, number: int) -> str:
        return f"{self._row}{number}"

    def _with_end(self, key: str, row: StoredValue | StoreError | None) -> StoredValue | StoreError | None:
        if isinstance(row, StoredValue) and (end := self._end_of(key)):
            return StoredValue(row.value, row.etag, end)
        return row

    def _end_of(self, key: str) -> float | None:
        end = self._ends.get(key)
        return None if end is None else end / _SECOND


def _endless(operation: Operation) -> Operation:
    """Without its time to live, of which a pluggable component would hear by its hints too."""
    if isinstance(operation, Delete) or operation.ttl is None:
        return operation
    hints = operation.hints
    if hints and TTL in hints.metadata:
        hints = structs.replace(hints, metadata={name: hints.metadata[name] for name in hints.metadata if name != TTL})
    return structs.replace(operation, ttl=None, hints=hints)
