"""state.redis: what the store promises, carried out by one script for writes and plain commands for reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Final, Self

import hiredis

from dapr_state.stores.base import StateStore, StoreError
from dapr_state.stores.model import Feature, Operation, Row
from dapr_state.stores.redis import options, reading, tls, writing
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from dapr_state.stores.redis.link import Link
from dapr_state.stores.redis.replicas import ReplicatedLink
from dapr_state.stores.redis.scripts import APPLY, LOOK
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
        await self._link.close()
        if self._replicated:
            await self._replicated.link.close()

    async def ping(self) -> None:
        connection = self._link.live or await self._link.connected()
        (reply,) = await connection.send(_PING, 1)
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
        found = list(map(reading.row, replies[::2], replies[1::2]))
        if reading.UNCLEAR in found:
            await self._look_at_unclear(keys, found)
        return found

    async def write(self, operations: Sequence[Operation]) -> list[StoreError | None]:
        refusals = await self._apply(writing.EACH, operations)
        return writing.outcomes(operations, refusals) if refusals else [None] * len(operations)

    async def transact(self, operations: Sequence[Operation]) -> None:
        refusals = await self._apply(writing.ALL, operations)
        if refusals:
            number, kind, detail = refusals
            raise writing.refusal(operations[number - 1], kind, detail)

    def _ask(self, connection: Connection, keys: Sequence[str]) -> Awaitable[list[Any]]:
        if self._link.server.tells_expiry:
            return connection.send(reading.pack(keys), 2 * len(keys))
        return self._ask_old_server(connection, keys)

    async def _ask_old_server(self, connection: Connection, keys: Sequence[str]) -> list[Any]:
        replies = await connection.send(reading.pack_for_old_server(keys), 2 * len(keys) + 1)
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

    async def _look_at_unclear(self, keys: Sequence[str], found: list[Row | StoreError | None]) -> None:
        places = [place for place, row in enumerate(found) if row is reading.UNCLEAR]
        connection = self._link.live or await self._link.connected()
        calls = b"".join([LOOK.whole(reading.encoded([keys[place]])) for place in places])
        for place, reply in zip(places, await connection.send(calls, len(places)), strict=True):
            found[place] = reading.looked_at(reply)

    async def _apply(self, mode: bytes, operations: Sequence[Operation]) -> list[Any]:
        """Run the script once, and return what it refuses."""
        if not operations:
            return []
        keys = reading.encoded([operation.key for operation in operations])
        arguments = writing.arguments(operations)
        connection = self._link.live or await self._link.connected()
        replicas = self._link.server.replicas
        if not replicas or not any(operation.strong for operation in operations):
            return await _run(connection, keys, mode, arguments)

        if self._replicated is None:
            self._replicated = ReplicatedLink(self._options, self._context)
            self._replicated.link.open()
        link = self._replicated.link
        connection = link.live or await link.connected()
        refusals = await _run(connection, keys, mode, arguments)
        await self._replicated.acknowledged(connection, replicas)
        return refusals


async def _run(connection: Connection, keys: list[bytes], mode: bytes, arguments: list[bytes]) -> list[Any]:
    """Only to a server that does not know the script yet, and so has not run it, it is sent again."""
    (reply,) = await connection.send(APPLY.remembered(keys, mode, *arguments), 1)
    if isinstance(reply, ReplyError) and str(reply).startswith("NOSCRIPT"):
        (reply,) = await connection.send(APPLY.whole(keys, mode, *arguments), 1)
    if isinstance(reply, ReplyError):
        raise reply
    refusals: list[Any] = reply
    return refusals
