"""A store whose writes are told to somebody, once they are done; put on while somebody watches, and taken off after."""

from __future__ import annotations

import asyncio
from itertools import count
from typing import TYPE_CHECKING, Any, Final, TypeVar

from dapr_state.stores.base import Count, Outcomes, StateStore
from dapr_state.stores.model import Delete, Upsert
from dapr_state.stores.slices import slices
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from dapr_state.stores.model import Operation

    # (what was written, the name of the transaction that it was, or "")
    Tell = Callable[[Sequence[Operation], str], None]

AT_ONCE: Final = 1000  # operations that are told together: as many as stores do without a pause

T = TypeVar("T")

_transactions: Final = count(1)


class WatchedStore(Wrapper):
    """`tell` is called in the order in which each key was written, also of a write whose caller has gone meanwhile."""

    def __init__(self, inner: StateStore, tell: Tell) -> None:
        super().__init__(inner)
        self._tell = tell
        self._under_way: set[asyncio.Task[Any]] = set()
        beneath = inner.unencrypted
        self._beneath = self if beneath is inner else WatchedStore(beneath, tell)

    @property
    def unencrypted(self) -> StateStore:
        return self._beneath

    def over(self, inner: StateStore) -> WatchedStore:
        return WatchedStore(inner, self._tell)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if len(operations) <= AT_ONCE:
            return await self._to_its_end(self._write(operations))
        return [each for some in slices(operations, AT_ONCE) for each in await self._to_its_end(self._write(some))]

    async def _write(self, operations: Sequence[Operation]) -> Outcomes:
        outcomes = await self._inner.write(operations)
        done = [operation for operation, refusal in zip(operations, outcomes, strict=True) if refusal is None]
        if done:
            self._tell(done, "")
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        await self._to_its_end(self._transact(operations))

    async def _transact(self, operations: Sequence[Operation]) -> None:
        await self._inner.transact(operations)
        last = {operation.key: operation for operation in operations}  # nobody has seen the others
        self._tell(list(last.values()), str(next(_transactions)))

    async def remove(self, prefix: str, *, after: str = "", hidden: str = "") -> Count:
        return await StateStore.remove(self, prefix, after=after, hidden=hidden)

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        await self._to_its_end(self._touch(key, ttl, etag))

    async def _touch(self, key: str, ttl: int | None, etag: str) -> None:
        await self._inner.touch(key, ttl, etag=etag)
        (row,) = await self._inner.get([key])
        value = getattr(row, "value", None)
        self._tell([Delete(key) if value is None else Upsert(key, value, ttl=ttl)], "")

    async def close(self) -> None:
        if self._under_way:  # it may not have begun yet
            await asyncio.wait(self._under_way)
        await super().close()

    async def _to_its_end(self, work: Coroutine[Any, Any, T]) -> T:
        task = asyncio.ensure_future(work)
        self._under_way.add(task)
        task.add_done_callback(self._under_way.discard)
        return await asyncio.shield(task)
