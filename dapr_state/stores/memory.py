"""state.in-memory: values in this process, gone when it ends."""

from __future__ import annotations

import asyncio
from operator import attrgetter
from typing import TYPE_CHECKING, Final, TypeVar

from dapr_state.clock import VISIBLE, WAITING, VisibleClock
from dapr_state.golang import strconv
from dapr_state.stores import paging
from dapr_state.stores.base import (
    Entry,
    EtagMismatch,
    Found,
    KeyPage,
    KeyRow,
    NotDone,
    Outcomes,
    Page,
    StateStore,
    StoreError,
    conflict,
)
from dapr_state.stores.etags import new_etags
from dapr_state.stores.expiries import Expiries
from dapr_state.stores.model import Delete, Feature, Operation, StoredValue, Upsert
from dapr_state.stores.slices import slices
from dapr_state.stores.sortedkeys import SortedKeys
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from dapr_state.resources.component import Component

_AT_ONCE: Final = 1000  # keys: some 2 ms, then others have their turn
SWEEP_SECONDS = 1  # as daprd: an expired value that nobody asks for is freed after this long

_etag, _first_write = attrgetter("etag"), attrgetter("first_write")

T = TypeVar("T")


class MemoryStore(StateStore):
    features = (
        Feature.ETAG,
        Feature.TRANSACTIONAL,
        Feature.TTL,
        Feature.LIST,
        Feature.ORDER,
        Feature.TOUCH,
        Feature.QUERY,
    )
    ttl_rule = TtlRule(parse_int=strconv.atoi, error="{}", ranged=False)

    def __init__(self, clock: VisibleClock = VISIBLE) -> None:
        self._clock = clock
        self._etags = new_etags()
        self._rows: dict[str, StoredValue] = {}
        self._sorted: SortedKeys[str] | None = None  # the rows' keys, from the first list on: they cost a new row 2 us
        self._unsorted: list[str] = []  # those that are still to be sorted
        self._mortal = Expiries()
        self._sweeper: asyncio.Task[None] | None = None
        self._large: asyncio.Task[None] | None = None  # a transaction that takes several turns of the loop
        self._is_closed = False
        self._expired = 0  # since that was asked last

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
        if self._large:
            await asyncio.wait([self._large])
        self._sorted = None
        self._unsorted = []
        while self._rows:  # to free them takes a moment for each
            for _ in range(min(_AT_ONCE, len(self._rows))):
                key, _ = self._rows.popitem()
                self._mortal.discard(key)
            await asyncio.sleep(0)

    def follow(self, clock: VisibleClock) -> bool:
        self._clock = clock
        return True

    async def expire(self, prefix: str) -> int:  # noqa: ARG002
        """Those of other prefixes are removed as well, as nobody else sees them."""
        for key in [key for key, second in self._mortal.items() if second <= self._clock.now() + 1]:
            self._live(key)
        expired, self._expired = self._expired, 0
        return expired

    async def ping(self) -> None:
        self._check_open()

    async def get(self, keys: Sequence[str]) -> Found:
        if self._is_closed:
            self._check_open()
        if len(keys) <= _AT_ONCE and not self._large:
            # without a call for the usual case: a get of one key makes few of them
            return self._get(keys) if self._mortal else list(map(self._rows.get, keys))
        return [entry async for some in self._in_turns(keys) for entry in self._get(some)]

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        self._check_open()
        if len(operations) <= _AT_ONCE and not self._large:
            return self._write_some(operations)
        return [outcome async for some in self._in_turns(operations) for outcome in self._write_some(some)]

    async def transact(self, operations: Sequence[Operation]) -> None:
        self._check_open()
        if self._large:
            await self._end_of_large()
        if len(operations) <= _AT_ONCE:
            self._transact_small(operations)
            return
        self._large = asyncio.create_task(self._transact_large(operations))
        await asyncio.shield(self._large)  # who gives up does not leave half of it behind

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        self._check_open()
        size = paging.size(limit)
        least = paging.decoded(paging.key_of(after, prefix)) if after else prefix
        sorted_keys = await self._sorted_keys()
        await self._end_of_large()
        keys = sorted_keys.page(least, size, beyond=bool(after))
        entries: list[Entry] = []
        octets = 0
        for key in keys:
            if not key.startswith(prefix):
                return Page(entries)
            if row := self._live(key):
                octets += len(row.value)
                if entries and octets > paging.OCTETS_AT_MOST:
                    return Page(entries, paging.token(paging.encoded(entries[-1].key)))
                entries.append(Entry(key, row))
        return Page(entries, paging.token(paging.encoded(keys[-1])) if len(keys) == size else "")

    def list_behind(self, key: str) -> str:
        return paging.token(paging.encoded(key))

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        self._check_open()
        size = paging.size(limit)
        wanted = paging.range_of(prefix, after, reverse=reverse)
        if wanted is None:
            return KeyPage([])
        sorted_keys = await self._sorted_keys()
        await self._end_of_large()
        low, high = paging.decoded(wanted.low), None if wanted.high is None else paging.decoded(wanted.high)
        if reverse:
            found = sorted_keys.page_back(high, size)
            keys = [key for key in found if key > low or (key == low and wanted.with_low)]
        else:
            found = sorted_keys.page(low, size, beyond=not wanted.with_low)
            keys = found if high is None else [key for key in found if key < high]
        live = [(key, row) for key in keys if (row := self._live(key))]
        rows = [KeyRow(key, row.etag, row.expires_at, len(row.value) if sizes else None) for key, row in live]
        return KeyPage(rows, paging.token(paging.encoded(keys[-1])) if len(keys) == size else "")

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        self._check_open()
        await self._end_of_large()
        row = self._live(key)
        if row is None:
            raise EtagMismatch.missing(key)
        if etag and etag != row.etag:
            raise EtagMismatch.stale(key, row.etag, etag)
        self._put(key, StoredValue(row.value, row.etag, None if ttl is None else self._clock.now() + ttl))

    async def _sorted_keys(self) -> SortedKeys[str]:
        if self._sorted is None:
            self._sorted, self._unsorted = SortedKeys(), [*self._rows]
        while self._unsorted:
            some = self._unsorted[-_AT_ONCE:]
            del self._unsorted[-_AT_ONCE:]
            for key in some:
                if key in self._rows:  # it may be gone, and it may have come again: then it is there already
                    self._sorted.add(key)
            await asyncio.sleep(0)
            self._check_open()
        return self._sorted

    async def _in_turns(self, asked: Sequence[T]) -> AsyncIterator[Sequence[T]]:
        """Slices of a large request, none of them in the midst of a large transaction."""
        for some in slices(asked, _AT_ONCE):
            await self._end_of_large()
            yield some
            await asyncio.sleep(0)

    async def _end_of_large(self) -> None:
        while self._large:
            await asyncio.wait([self._large])
            self._check_open()

    def _transact_small(self, operations: Sequence[Operation]) -> None:
        if not (any(map(_etag, operations)) or any(map(_first_write, operations))):  # nothing can be refused
            self._write_some(operations)
            return
        before = {operation.key: self._rows.get(operation.key) for operation in operations}
        for operation in operations:
            if refused := self._write_one(operation):
                for key, row in before.items():
                    self._put(key, row)
                raise refused

    async def _transact_large(self, operations: Sequence[Operation]) -> None:
        """In slices, while all others wait: nobody sees a part of it."""
        before: dict[str, StoredValue | None] = {}
        try:
            for some in slices(operations, _AT_ONCE):
                if refused := self._write_until_refused(some, before):
                    while before:
                        for _ in range(min(_AT_ONCE, len(before))):
                            self._put(*before.popitem())
                        await asyncio.sleep(0)
                    raise refused
                await asyncio.sleep(0)
        finally:
            self._large = None

    def _write_until_refused(
        self, operations: Sequence[Operation], before: dict[str, StoredValue | None]
    ) -> StoreError | None:
        for operation in operations:
            before.setdefault(operation.key, self._rows.get(operation.key))
            if refused := self._write_one(operation):
                return refused
        return None

    def _get(self, keys: Sequence[str]) -> Found:
        if self._mortal.has_none_of(keys):
            return list(map(self._rows.get, keys))
        return [self._live(key) for key in keys]

    def _check_open(self) -> None:
        if self._is_closed:
            raise NotDone("the store is closed")

    def _write_some(self, operations: Sequence[Operation]) -> Outcomes:
        """As `_write_one`, of which the usual write costs two thirds without a call for each."""
        rows, mortal, etags, is_sorted = self._rows, self._mortal, self._etags, self._sorted is not None
        outcomes: Outcomes = []
        for operation in operations:
            key = operation.key
            is_plain = type(operation) is Upsert and operation.ttl is None
            if (
                not is_plain
                or operation.etag
                or operation.first_write
                or key in mortal
                or (is_sorted and key not in rows)
            ):
                outcomes.append(self._write_one(operation))
            else:
                rows[key] = StoredValue(operation.value, next(etags))
                outcomes.append(None)
        return outcomes

    def _write_one(self, operation: Operation) -> StoreError | None:
        key = operation.key
        if operation.etag or operation.first_write:
            row = self._live(key)
            if refused := conflict(operation, row.etag if row else None):
                return refused
        if isinstance(operation, Delete):
            self._put(key, None)
        elif operation.ttl is None:
            self._put(key, StoredValue(operation.value, next(self._etags)))
        else:
            self._put(key, StoredValue(operation.value, next(self._etags), self._clock.now() + operation.ttl))
        return None

    def _put(self, key: str, row: StoredValue | None) -> None:
        if row is not None:
            if self._sorted is not None and key not in self._rows:
                self._sorted.add(key)
            self._rows[key] = row
        elif self._rows.pop(key, None) is not None and self._sorted is not None:
            self._sorted.discard(key)
        if row is not None and row.expires_at is not None:
            self._mortal.put(key, row.expires_at)
        else:
            self._mortal.discard(key)

    def _live(self, key: str) -> StoredValue | None:
        row = self._rows.get(key)
        if row is None or row.expires_at is None or row.expires_at > self._clock.now():
            return row
        self._put(key, None)
        self._expired += 1
        return None

    async def _sweep_for_ever(self) -> None:
        while True:
            await WAITING.sleep(SWEEP_SECONDS)
            await self.sweep()

    async def sweep(self) -> None:
        """Free what has expired, in slices: others have their turn in between."""
        while due := self._mortal.take_due(self._clock.now(), _AT_ONCE):
            for key in due:
                self._put(key, None)
            self._expired += len(due)
            await asyncio.sleep(0)
