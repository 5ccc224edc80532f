"""What stands before a store and changes some of what passes: the base of every such wrapper forwards all of it."""

from __future__ import annotations

import copy
from contextlib import contextmanager
from typing import TYPE_CHECKING, ClassVar, Self

from dapr_state.stores.base import Count, Found, KeyPage, Outcomes, Page, StateStore
from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dapr_state.clock import VisibleClock
    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Condition, Query
    from dapr_state.stores.model import Operation


class Wrapper(StateStore):
    """Forwards everything to `inner`, whose features are told as far as the wrapper keeps them."""

    is_ground: ClassVar[bool] = False  # it belongs to the store: encryption and policies stand before both
    stays: ClassVar[bool] = True  # before the store, when its policies change
    keeps: ClassVar[frozenset[Feature]] = frozenset(Feature)

    def __init__(self, inner: StateStore) -> None:
        self._inner = inner
        self._mirror()

    def _mirror(self) -> None:
        """Tell what the inner store is, as far as it is known: of a pluggable one that is when it is open."""
        inner = self._inner
        self.features = tuple(feature for feature in inner.features if feature in self.keeps)
        self.ttl_rule = inner.ttl_rule
        self.max_transaction_size = inner.max_transaction_size
        self.told = inner.told
        self.passes_on = inner.passes_on
        self.is_encrypted = self.is_encrypted or inner.is_encrypted

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._inner!r}>"

    @property
    def unencrypted(self) -> StateStore:
        return self if self.is_ground else self._inner.unencrypted

    @property
    def bare(self) -> StateStore:
        return self if self.is_ground else self._inner.bare

    def over(self, inner: StateStore) -> Self:
        """The same before another store."""
        other = copy.copy(self)
        other.__dict__["_inner"] = inner
        return other

    @property
    def inner(self) -> StateStore:
        return self._inner

    async def open(self) -> None:
        await self._inner.open()
        self._mirror()

    async def close(self) -> None:
        await self._inner.close()

    def follow(self, clock: VisibleClock) -> bool:
        return self._inner.follow(clock)

    async def expire(self, prefix: str) -> int:
        return await self._inner.expire(prefix)

    async def ping(self) -> None:
        await self._inner.ping()

    async def reach(self) -> None:
        await self._inner.reach()

    @contextmanager
    def in_parts(self) -> Iterator[StateStore]:
        with self._inner.in_parts() as inner:
            yield self if inner is self._inner else self.over(inner)

    async def get(self, keys: Sequence[str]) -> Found:
        return await self._inner.get(keys)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        return await self._inner.write(operations)

    async def transact(self, operations: Sequence[Operation]) -> None:
        await self._inner.transact(operations)

    def together(self, prefix: str) -> str:
        return self._inner.together(prefix)

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        return await self._inner.list(prefix, after=after, limit=limit)

    def list_behind(self, key: str) -> str | None:
        return self._inner.list_behind(key)

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        return await self._inner.keys(prefix, after=after, limit=limit, reverse=reverse, sizes=sizes)

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        return await self._inner.count(prefix, after=after, hidden=hidden, sizes=sizes)

    async def remove(self, prefix: str, *, after: str = "", hidden: str = "") -> Count:
        return await self._inner.remove(prefix, after=after, hidden=hidden)

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        await self._inner.touch(key, ttl, etag=etag)

    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None:
        return await self._inner.candidates(prefix, condition)

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:
        return await self._inner.query(prefix, query, after=after, budget=budget)
