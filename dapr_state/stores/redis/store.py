"""state.redis: what the store promises, carried out by one script for writes and plain commands for reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, Self, TypeVar

import hiredis

from dapr_state.stores import paging
from dapr_state.stores.base import Entry, Found, Outcomes, Page, StateStore, StoreError
from dapr_state.stores.batching import OVERHEAD, runs, weight, weight_of_keys
from dapr_state.stores.model import Feature, Operation
from dapr_state.stores.redis import listing, options, tls
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.grouping import OCTETS_AT_MOST, SLICE, Grouping, budget
from dapr_state.stores.redis.link import Link
from dapr_state.stores.redis.replicas import ReplicatedLink
from dapr_state.stores.slices import slices
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dapr_state.resources.component import Component

# Of one request: what is more goes in runs, so that others come in between. Redis takes some 1.5 ms for the writes.
_OPERATIONS_AT_ONCE: Final = 512
_KEYS_AT_ONCE: Final = 256  # of one request: what is more goes in runs, that others come in between
_TRANSACTION_AT_MOST: Final = 300_000  # operations: a second of Redis's time; before 7.0 it cuts off who asks for more
T = TypeVar("T")

_PING: Final = hiredis.pack_command(("PING",))


class RedisStore(StateStore):
    features = (Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.LIST)

    def __init__(self, settings: options.Options) -> None:
        self._options = settings
        self._context = tls.context(settings)
        self.ttl_rule = TtlRule(error="failed to parse ttl from metadata: {}", ranged=False, default=settings.ttl)
        self._link = Link(settings, self._context)
        self._waiting = budget()
        self._grouping: Grouping | None = None  # of the connection that is live
        self._replicated: ReplicatedLink | None = None  # from the first strong write to a server with replicas on

    def __repr__(self) -> str:
        return f"<RedisStore {self._link!r}>"

    @classmethod
    def from_component(cls, component: Component) -> Self:
        return cls(options.read(component.properties))

    async def open(self) -> None:
        self._link.open()
        try:
            await self._link.connected()
        except BaseException:
            await self._link.close()
            raise

    async def close(self) -> None:
        if self._grouping:
            self._grouping.flush()
        if self._replicated:
            await self._replicated.close(self._options.read_timeout)
        await self._link.close()

    async def ping(self) -> None:
        connection = self._link.live or await self._link.connected()
        (reply,) = await connection.ask(_PING, 1)
        if isinstance(reply, ReplyError):
            raise self._link.failure(reply)

    async def get(self, keys: Sequence[str]) -> Found:
        if not keys:
            return []
        grouping = self._grouping
        if grouping is None or grouping.connection is not self._link.live:
            grouping = await self._connected(weight_of_keys(keys[:_KEYS_AT_ONCE]))
        if len(keys) > grouping.keys_at_once:
            return await self._get_in_runs(keys)
        try:
            return await grouping.read(keys)
        except ConnectionLost as lost:
            return await self._read_again(lambda again: again.read(keys), weight_of_keys(keys), lost)

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        size = paging.size(limit)
        octets = OVERHEAD + len(prefix) + len(after)

        async def find(grouping: Grouping) -> tuple[Sequence[str], str]:
            return await listing.find(grouping.connection, grouping.server.process, prefix, after, size)

        try:
            keys, after_these = await find(await self._connected(octets))
        except ConnectionLost as lost:
            keys, after_these = await self._read_again(find, octets, lost)
        rows = zip(keys, await self.get(keys), strict=True)
        return Page([Entry(key, row) for key, row in rows if row is not None], after_these)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if len(operations) <= 1:
            return await self._write(operations) if operations else []
        if len(operations) <= _OPERATIONS_AT_ONCE and weight(operations) <= OCTETS_AT_MOST:
            return await self._write(operations)
        outcomes: Outcomes = []
        for run in runs(operations, weight, at_most=_OPERATIONS_AT_ONCE, octets_at_most=OCTETS_AT_MOST):
            outcomes += await self._write(run)  # one behind the other: in their order, and others come in between
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        if len(operations) > _TRANSACTION_AT_MOST:
            raise StoreError(f"a transaction of {len(operations)} operations is more than redis takes in one call")
        grouping = await self._connected(OVERHEAD * len(operations))
        if await self._transaction_waits_for_replicas(operations):
            outcomes = await self._replicated_writes().transact(operations)
        elif len(operations) > SLICE:
            outcomes = await grouping.transact_many(operations)
        else:
            outcomes = await grouping.transact(operations)
        for refusal in filter(None, outcomes):
            raise refusal

    async def _write(self, operations: Sequence[Operation]) -> Outcomes:
        grouping = self._grouping
        if grouping is None or grouping.connection is not self._link.live:
            grouping = await self._connected(weight(operations))
        if self._waits_for_replicas(operations):
            return await self._replicated_writes().write(operations)
        return await grouping.write(operations)

    async def _get_in_runs(self, keys: Sequence[str]) -> Found:
        """So many at once that others are not kept waiting."""
        found: Found = []
        while len(found) < len(keys):
            at_once = self._grouping.keys_at_once if self._grouping else 1
            found += await self.get(keys[len(found) : len(found) + at_once])
        return found

    async def _connected(self, octets: int) -> Grouping:
        """What is sent on the connection that is live, or will be; so many octets wait for it."""
        connection = self._link.live
        if connection is None:
            self._waiting.take(octets)
            try:
                connection = await self._link.connected()
            finally:
                self._waiting.give(1, octets)
        if self._grouping is None or self._grouping.connection is not connection:
            self._grouping = Grouping(connection, self._link.server, waiting=self._waiting)
        return self._grouping

    async def _read_again(self, read: Callable[[Grouping], Awaitable[T]], octets: int, lost: ConnectionLost) -> T:
        """Repeat a read whose connection was lost, as often as the component allows; a write is never repeated."""
        for _ in range(self._options.retries):
            if isinstance(lost, Silence):  # the caller has waited long enough
                break
            try:
                return await read(await self._connected(octets))
            except ConnectionLost as again:
                lost = again
        raise lost

    def _waits_for_replicas(self, operations: Sequence[Operation]) -> bool:
        return self._link.server.replicas > 0 and any(operation.strong for operation in operations)

    async def _transaction_waits_for_replicas(self, operations: Sequence[Operation]) -> bool:
        for some in slices(operations, SLICE):
            if self._waits_for_replicas(some):
                return True
            if len(some) == SLICE:
                await asyncio.sleep(0)
        return False

    def _replicated_writes(self) -> ReplicatedLink:
        """The connection of those that wait for replicas."""
        if self._replicated is None:
            self._replicated = ReplicatedLink(self._options, self._context, self._waiting)
            self._replicated.link.open()
        self._replicated.replicas = self._link.server.replicas
        return self._replicated
