"""state.redis: what the store promises, carried out by one script for writes and plain commands for reads."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final, Self

import hiredis

from dapr_state.stores.base import Found, Outcomes, StateStore
from dapr_state.stores.model import Feature, Operation
from dapr_state.stores.redis import options, tls, writing
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.grouping import Grouping
from dapr_state.stores.redis.link import Link
from dapr_state.stores.redis.replicas import ReplicatedLink
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.resources.component import Component
    from dapr_state.stores.redis.connection import Connection

_PING: Final = hiredis.pack_command(("PING",))


class RedisStore(StateStore):
    features = (Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL)

    def __init__(self, settings: options.Options) -> None:
        self._options = settings
        self._context = tls.context(settings)
        self.ttl_rule = TtlRule(error="failed to parse ttl from metadata: {}", ranged=False, default=settings.ttl)
        self._link = Link(settings, self._context)
        self._grouping: Grouping | None = None  # of the connection that is live
        self._replicated: ReplicatedLink | None = None  # from the first strong write to a server with replicas on
        self._replicating: set[asyncio.Future[None]] = set()  # the strong writes under way

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
        if self._replicating:  # they take several steps, the first of which may be to connect
            await asyncio.wait(self._replicating, timeout=self._options.read_timeout)
        await self._link.close()
        if self._replicated:
            await self._replicated.link.close()

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
            grouping = await self._connected()
        try:
            return await grouping.read(keys)
        except ConnectionLost as lost:
            return await self._read_again(keys, lost)

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        if not operations:
            return []
        grouping = self._grouping
        if grouping is None or grouping.connection is not self._link.live:
            grouping = await self._connected()
        if self._waits_for_replicas(operations):
            return writing.outcomes(operations, await self._replicate(writing.EACH, operations))
        return await grouping.write(operations)

    async def transact(self, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        grouping = await self._connected()
        if self._waits_for_replicas(operations):
            refusals = await self._replicate(writing.ALL, operations)
        else:
            grouping.close_writes()  # writes are done in the order in which they came
            refusals = await _run(grouping.connection, writing.ALL, operations)
        if refusals:
            number, kind, detail = refusals
            raise writing.refusal(operations[number - 1], kind, detail)

    async def _connected(self) -> Grouping:
        """What is sent on the connection that is live, or will be."""
        connection = self._link.live or await self._link.connected()
        if self._grouping is None or self._grouping.connection is not connection:
            self._grouping = Grouping(connection, tells_expiry=self._link.server.tells_expiry)
        return self._grouping

    async def _read_again(self, keys: Sequence[str], lost: ConnectionLost) -> Found:
        """Repeat a read whose connection was lost, as often as the component allows; a write is never repeated."""
        for _ in range(self._options.retries):
            if isinstance(lost, Silence):  # the caller has waited long enough
                break
            try:
                return await (await self._connected()).read(keys)
            except ConnectionLost as again:
                lost = again
        raise lost

    def _waits_for_replicas(self, operations: Sequence[Operation]) -> bool:
        return self._link.server.replicas > 0 and any(operation.strong for operation in operations)

    async def _replicate(self, mode: bytes, operations: Sequence[Operation]) -> list[Any]:
        """Run the script on the connection of those that wait for replicas, and wait for them."""
        if self._replicated is None:
            self._replicated = ReplicatedLink(self._options, self._context)
            self._replicated.link.open()
        under_way = asyncio.get_running_loop().create_future()
        self._replicating.add(under_way)
        try:
            connection = await self._replicated.connected(self._link.server.replicas)
            refusals = await _run(connection, mode, operations)
            await self._replicated.acknowledged(connection, self._link.server.replicas)
        finally:
            self._replicating.discard(under_way)
            under_way.set_result(None)
        return refusals


async def _run(connection: Connection, mode: bytes, operations: Sequence[Operation]) -> list[Any]:
    """Run the script once, and return what it refuses.

    Only to a server that does not know the script yet, and so has not run it, it is sent again.
    """
    (reply,) = await connection.ask(writing.call(mode, operations), 1)
    if isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT"):
        (reply,) = await connection.ask(writing.call(mode, operations, whole=True), 1)
    if isinstance(reply, ReplyError):
        raise reply
    refusals: list[Any] = reply
    return refusals
