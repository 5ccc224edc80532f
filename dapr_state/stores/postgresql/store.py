"""state.postgresql: what the store promises, carried out by one database."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from contextlib import suppress
from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

from dapr_state.clock import WAITING, WaitingClock
from dapr_state.errors import untraced
from dapr_state.stores import paging
from dapr_state.stores.base import (
    Count,
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
)
from dapr_state.stores.batching import CALLERS_AT_MOST, Batcher, Budget, runs, weight, weight_of_keys
from dapr_state.stores.model import Feature, StoredValue
from dapr_state.stores.postgresql import fence, options, schema, tables
from dapr_state.stores.postgresql.cleanup import TableCleanup
from dapr_state.stores.postgresql.following import connections
from dapr_state.stores.postgresql.groups import KEYS_AT_MOST, OCTETS_AT_MOST, WRITES_AT_MOST, Groups, held_by_another
from dapr_state.stores.postgresql.indexes import QueryIndexes
from dapr_state.stores.postgresql.lanes import Lane
from dapr_state.stores.postgresql.pool import LOCK_SECONDS, Connection, Pool
from dapr_state.stores.slices import slices
from dapr_state.stores.sql.groups import Write

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.clock import VisibleClock
    from dapr_state.query.tree import Condition
    from dapr_state.resources.component import Component
    from dapr_state.resources.properties import Properties
    from dapr_state.stores.model import Operation
    from dapr_state.stores.postgresql.options import Options

_OCTETS_AT_MOST: Final = 64 << 20  # of what waits: twice what large requests may hold together
_LISTED_AT_ONCE: Final = 64  # rows of a page: large ones are not read for nothing
_COUNTED_AT_ONCE: Final = 20_000  # keys: some 10 ms of a connection
_SLICE: Final = 8192  # operations that are weighed between two turns of others


class _PostgresStore(StateStore):
    features: tuple[Feature, ...] = (
        Feature.ETAG,
        Feature.TRANSACTIONAL,
        Feature.TTL,
        Feature.LIST,
        Feature.ORDER,
        Feature.QUERY,
    )
    layout: ClassVar[tables.Layout]
    steps: ClassVar[tuple[tuple[str, str], ...]]

    def __init__(self, settings: Options, clock: WaitingClock = WAITING) -> None:
        self._options = settings
        self._clock = clock
        self._table = tables.StateTable(settings.table, self.layout)
        self._indexes = QueryIndexes(settings.table, settings.query_indexes)
        self._pool: Pool | None = None
        self._groups: Groups | None = None
        self._reads: Batcher[str, Any] | None = None
        self._writes: Batcher[Write, Outcomes] | None = None
        self._lanes: list[Lane] = []
        self._cleanup: asyncio.Task[None] | None = None
        self._follows: VisibleClock | None = None

    @classmethod
    def from_component(cls, component: Component) -> Self:
        return cls(cls.read_options(component.properties))

    @staticmethod
    @abstractmethod
    def read_options(properties: Properties) -> Options: ...

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self._options.table} {self._pool or 'closed'}>"

    def _metadata_key(self, name: str) -> str:
        """A row of the metadata table, which does not name the table: so has daprd decided."""
        return name

    def follow(self, clock: VisibleClock) -> bool:
        self._follows = clock
        return True

    async def expire(self, prefix: str) -> int:
        if self._pool is None:
            raise _closed()
        async with self._pool.use() as connection:
            expired: int = await connection.fetchval(self._table.expire, prefix, paging.end_of(prefix))
            return expired

    async def open(self) -> None:
        kind = connections(self._follows) if self._follows else Connection
        pool = self._pool = Pool(self._options, self._clock, kind)
        try:
            await schema.migrate(pool, self._options, self._metadata_key("migrations"), self.steps)
            async with pool.use() as connection:
                with schema.saying("create the query indexes"):
                    await self._indexes.create(connection)
        except BaseException:
            await self.close()
            raise
        groups = self._groups = Groups(pool, self._table, self._options)
        # a connection is left for reads where locks hold up the writes
        reads = self._lane(groups.read, at_once=3, at_most=3, wanted=lambda: groups.keys_at_once)
        writes = self._lane(
            groups.write, at_once=1, at_most=self._options.max_connections - 1, wanted=lambda: groups.writes_at_once
        )
        self._lanes = [reads, writes]
        self._reads = self._batcher(reads, weight_of_keys, KEYS_AT_MOST)
        self._writes = self._batcher(writes, _weight_of_writes, WRITES_AT_MOST)
        # others who use the table have not moved with us: their rows are not for us to remove
        if self._options.cleanup_interval and not self._follows:
            cleanup = TableCleanup(self._options, self.layout, self._metadata_key("last-cleanup"), pool)
            self._cleanup = asyncio.create_task(cleanup.run_for_ever())

    async def reach(self) -> None:
        pool = self._pool = Pool(self._options, self._clock)
        async with pool.use() as connection:
            await connection.execute("SELECT 1")
        await self.close()

    def _lane(self, answer: Any, *, at_once: int, at_most: int, wanted: Callable[[], int]) -> Lane:
        return Lane(
            answer,
            self._clock,
            self._options.timeout,
            at_once=at_once,
            at_most=at_most,
            wanted_at_most=wanted,
            octets_at_most=OCTETS_AT_MOST,
        )

    def _batcher(self, lane: Lane, weigh: Callable[[Sequence[Any]], int], at_most: int) -> Batcher[Any, Any]:
        return Batcher(
            lane.put,
            budget=Budget("the database", callers=CALLERS_AT_MOST, octets=_OCTETS_AT_MOST),
            weigh=weigh,
            at_end=asyncio.get_running_loop().call_soon,
            at_most=at_most,
            octets_at_most=OCTETS_AT_MOST,
        )

    async def close(self) -> None:
        if self._cleanup:
            self._cleanup.cancel()
            with suppress(asyncio.CancelledError):
                await self._cleanup
        reads, self._reads = self._reads, None
        writes, self._writes = self._writes, None
        if reads and writes:
            reads.close()
            writes.close()
        for lane in self._lanes:
            await lane.end()
        pool, self._pool = self._pool, None
        if pool:
            await pool.close()

    async def ping(self) -> None:
        if self._pool is None:
            raise _closed()
        async with self._pool.use() as connection:
            await connection.execute(self._table.ping)

    async def get(self, keys: Sequence[str]) -> Found:
        found: Found = []
        while len(found) < len(keys):
            if self._reads is None or self._groups is None:
                raise _closed()
            found += await self._reads.ask(keys[len(found) : len(found) + self._groups.keys_at_once])
        return found

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        size = paging.size(limit)
        if refused := tables.refusal(prefix):
            raise refused
        least, order = (_key_of(after, prefix), 0) if after else (prefix, 1)
        if self._pool is None:
            raise _closed()
        end = paging.end_of(prefix)
        async with self._pool.use() as connection:
            found = await connection.fetch(self._table.pages[order], least, end, size + 1)
        keys = [key for (key,) in found]
        entries: list[Entry] = []
        octets = seen = 0
        for some in slices(keys[:size], _LISTED_AT_ONCE):
            for key, row in zip(some, await self.get(some), strict=True):
                octets += len(row.value) if isinstance(row, StoredValue) else 0
                if seen and octets > paging.OCTETS_AT_MOST:
                    return Page(entries, paging.token(keys[seen - 1].encode()))
                seen += 1
                if row is not None:  # else it is gone since its key was found
                    entries.append(Entry(key, row))
        return Page(entries, paging.token(keys[seen - 1].encode()) if seen < len(keys) else "")

    def list_behind(self, key: str) -> str:
        return paging.token(paging.encoded(key))

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        size, wanted = paging.size(limit), _range(prefix, after, reverse=reverse)
        if wanted is None:
            return KeyPage([])
        statement = self._table.keys(reverse=reverse, sizes=sizes, with_low=wanted.with_low)
        if self._pool is None:
            raise _closed()
        async with self._pool.use() as connection:
            found = await connection.fetch(statement, *_bounds(wanted), size + 1)
        rows = [KeyRow(key, etag, expires_at, octets) for key, etag, expires_at, octets in found[:size]]
        return KeyPage(rows, paging.token(rows[-1].key.encode()) if len(found) > size else "")

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        wanted = _range(prefix, after)
        if wanted is None:
            return Count(0)
        statement = self._table.count(sizes=sizes, with_low=wanted.with_low)
        if self._pool is None:
            raise _closed()
        async with self._pool.use() as connection:
            asked = (*_bounds(wanted), _COUNTED_AT_ONCE, len(prefix) + 1, hidden)
            ((seen, last, keys, octets),) = await connection.fetch(statement, *asked)
        return Count(keys, octets, paging.token(last.encode()) if seen == _COUNTED_AT_ONCE else "")

    async def touch(self, key: str, ttl: int | None, *, etag: str = "") -> None:
        if not self.layout.keeps_etag:
            await super().touch(key, ttl, etag=etag)
        if refused := tables.refusal(key):
            raise refused
        if self._pool is None or self._groups is None:
            raise _closed()
        given, under_way = self.layout.canonical(etag), self._groups.under_way
        async with under_way.write([key]) as turn:
            if await under_way.behind(turn, self._options.timeout):
                raise NotDone(held_by_another([key], self._groups.not_free))
            async with self._pool.use([key]) as connection:
                if behind := await self._pool.fence.end(connection, [key], LOCK_SECONDS):
                    raise NotDone(fence.may_follow(behind))
                if await connection.execute(self._table.touch, key, ttl, given) != "UPDATE 0":
                    return
                found = await connection.fetch(self._table.etag, key)
        raise EtagMismatch.stale(key, found[0][0], etag) if found else EtagMismatch.missing(key)

    async def candidates(self, prefix: str, condition: Condition) -> Sequence[str] | None:
        ways = self._indexes.ways(condition)
        if not ways or self._pool is None or tables.refusal(prefix):
            return None
        async with self._pool.use() as connection:
            return await self._indexes.candidates(prefix, ways, connection)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if not operations:
            return []
        if len(operations) == 1:
            return await self._ask(Write(operations), weight(operations))
        if self._groups is None:
            raise _closed()
        outcomes: Outcomes = []
        try:
            for run in runs(operations, weight, at_most=self._groups.writes_at_once, octets_at_most=OCTETS_AT_MOST):
                outcomes += await self._ask(Write(run), weight(run))
        except StoreError as error:
            if not outcomes:
                raise
            outcomes += [untraced(error)] * (len(operations) - len(outcomes))  # what was done before stays done
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        octets = 0
        for some in slices(operations, _SLICE):
            octets += weight(some)
            if len(some) == _SLICE:
                await WAITING.sleep(0)
        (failure,) = await self._ask(Write(operations, is_transaction=True), octets)
        if failure:
            raise failure

    async def _ask(self, work: Write, octets: int) -> Outcomes:
        if self._writes is None:
            raise _closed()
        (outcomes,) = await self._writes.ask((work,), octets)
        return outcomes


class PostgresV1(_PostgresStore):
    layout = tables.V1
    steps = schema.V1

    @staticmethod
    def read_options(properties: Properties) -> Options:
        return options.read_v1(properties)


class PostgresV2(_PostgresStore):
    features = (*_PostgresStore.features, Feature.TOUCH)  # of the first version a row that is touched has a new etag
    layout = tables.V2
    steps = schema.V2

    @staticmethod
    def read_options(properties: Properties) -> Options:
        return options.read_v2(properties)

    def _metadata_key(self, name: str) -> str:
        return f"{name}-state-v2-{self._options.table.removesuffix('state')}"


def _key_of(after: str, prefix: str) -> str:
    key = paging.key_of(after, prefix).decode(errors="surrogateescape")
    if tables.refusal(key):
        raise paging.other_list()
    return key


def _range(prefix: str, after: str, *, reverse: bool = False) -> paging.Range | None:
    if refused := tables.refusal(prefix):
        raise refused
    return paging.range_of(prefix, after, reverse=reverse)


def _bounds(wanted: paging.Range) -> tuple[str, str | None]:
    try:
        low, high = (None if each is None else each.decode() for each in (wanted.low, wanted.high))
    except UnicodeDecodeError:
        raise paging.other_list() from None
    if low is None or "\0" in low or "\0" in (high or ""):
        raise paging.other_list()
    return low, high


def _closed() -> StoreError:
    return NotDone("the store is not open")


def _weight_of_writes(works: Sequence[Write]) -> int:
    return sum(weight(work.operations) for work in works)
