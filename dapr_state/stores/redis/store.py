"""state.redis: what the store promises, carried out by one script for writes and plain commands for reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import hiredis

from dapr_state.stores.base import StateStore, StoreError
from dapr_state.stores.model import Feature, Operation, Row
from dapr_state.stores.redis import options, reading, tls, writing
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.grouping import Grouping
from dapr_state.stores.redis.link import Link
from dapr_state.stores.redis.replicas import ReplicatedLink
from dapr_state.stores.redis.scripts import LOOK
from dapr_state.stores.ttl import TtlRule

if TYPE_CHECKING:
    from collections.abc import Awaitable, Sequence

    from dapr_state.resources.component import Component
    from dapr_state.stores.redis.connection import Connection

_PING: Final = hiredis.pack_command(("PING",))


class RedisStore(StateStore):
    features: ClassVar = (Feature.ETAG, Feature.TRANSACTIONAL, Feature.TTL, Feature.KEYS_LIKE)

    def __init__(self, settings: options.Options) -> None:
        self._options = settings
        self._context = tls.context(settings)
        self.ttl_rule = TtlRule(error="failed to parse ttl from metadata: {}", ranged=False, default=settings.ttl)
        self._link = Link(settings, self._context)
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
        await self._link.close()
        if self._replicated:
            await self._replicated.link.close()

    async def ping(self) -> None:
        connection = self._link.live or await self._link.connected()
        (reply,) = await connection.ask(_PING, 1)
        if isinstance(reply, ReplyError):
            raise self._link.failure(reply)

    async def get(self, keys: Sequence[str]) -> list[Row | StoreError | None]:
        if not keys:
            return []
        connection = self._link.live or await self._link.connected()
        try:
            replies = await self._ask(connection, keys)
        except ConnectionLost as lost:
            replies = await self._ask_again(keys, lost)
        found, unclear = reading.rows(replies)
        if unclear:
            await self._look_at(keys, unclear, found)
        return found

    async def write(self, operations: Sequence[Operation]) -> list[StoreError | None]:
        if not operations:
            return []
        connection = self._link.live or await self._link.connected()
        if self._waits_for_replicas(operations):
            return writing.outcomes(operations, await self._replicate(writing.EACH, operations))
        if self._grouping is None or self._grouping.connection is not connection:
            self._grouping = Grouping(connection)
        return await self._grouping.write(operations)

    async def transact(self, operations: Sequence[Operation]) -> None:
        if not operations:
            return
        connection = self._link.live or await self._link.connected()
        if self._waits_for_replicas(operations):
            refusals = await self._replicate(writing.ALL, operations)
        else:
            if self._grouping:
                self._grouping.close_group()  # writes are done in the order in which they came
            refusals = await _run(connection, writing.ALL, operations)
        if refusals:
            number, kind, detail = refusals
            raise writing.refusal(operations[number - 1], kind, detail)

    def _ask(self, connection: Connection, keys: Sequence[str]) -> Awaitable[list[Any]]:
        if self._link.server.tells_expiry:
            return connection.ask(reading.pack(keys), 2 * len(keys))
        return self._ask_old_server(connection, keys)

    async def _ask_old_server(self, connection: Connection, keys: Sequence[str]) -> list[Any]:
        replies = await connection.ask(reading.pack_for_old_server(keys), 2 * len(keys) + 1)
        return reading.with_expiry(replies)

    async def _ask_again(self, keys: Sequence[str], lost: ConnectionLost) -> list[Any]:
        """Repeat a read whose connection was lost, as often as the component allows; a write is never repeated."""
        for _ in range(self._options.retries):
            if isinstance(lost, Silence):  # the caller has waited long enough
                break
            try:
                return await self._ask(await self._link.connected(), keys)
            except ConnectionLost as again:
                lost = again
        raise lost

    async def _look_at(self, keys: Sequence[str], places: Sequence[int], found: list[Row | StoreError | None]) -> None:
        connection = self._link.live or await self._link.connected()
        calls = b"".join([LOOK.whole(reading.encoded([keys[place]])) for place in places])
        for place, reply in zip(places, await connection.ask(calls, len(places)), strict=True):
            found[place] = reading.looked_at(reply)

    def _waits_for_replicas(self, operations: Sequence[Operation]) -> bool:
        return self._link.server.replicas > 0 and any(operation.strong for operation in operations)

    async def _replicate(self, mode: bytes, operations: Sequence[Operation]) -> list[Any]:
        """Run the script on the connection of those that wait for replicas, and wait for them."""
        if self._replicated is None:
            self._replicated = ReplicatedLink(self._options, self._context)
            self._replicated.link.open()
        link = self._replicated.link
        connection = link.live or await link.connected()
        refusals = await _run(connection, mode, operations)
        await self._replicated.acknowledged(connection, self._link.server.replicas)
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
