"""Strong consistency: a write is acknowledged when the replicas have it, or have had their time.

WAIT holds up whatever follows it on its connection, and counts the writes of that connection only: so writes that wait
for replicas have a connection to themselves. Those whose replies came in one tick of the event loop share one WAIT:
while a replica does not answer, the writes of a whole second wait together, not one behind the other.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import hiredis

from dapr_state.clock import WAITING
from dapr_state.stores.base import StoreError
from dapr_state.stores.batching import OVERHEAD
from dapr_state.stores.redis.connection import ReplyError
from dapr_state.stores.redis.reconnecting import Reconnecting

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator, Sequence

    from dapr_state.stores.base import Outcomes
    from dapr_state.stores.batching import Budget
    from dapr_state.stores.model import Operation
    from dapr_state.stores.redis.connection import Connection
    from dapr_state.stores.redis.grouping import Grouping
    from dapr_state.stores.redis.options import Options
    from dapr_state.stores.redis.reconnecting import Locate

_SECONDS: Final = 1.0  # that daprd gives the replicas


class Replicated:
    """The connection of the writes that wait."""

    def __init__(
        self,
        options: Options,
        context: ssl.SSLContext | None,
        waiting: Budget,
        locate: Locate | None = None,
    ) -> None:
        patience = None if options.read_timeout is None else options.read_timeout + _SECONDS
        self.link = Reconnecting(replace(options, read_timeout=patience), context, waiting, locate=locate)
        self.replicas = 0  # that the server has
        self._under_way: set[asyncio.Future[None]] = set()
        self._asked: asyncio.Future[list[Any]] | None = None  # in this tick

    async def close(self, patience: float | None) -> None:
        if self._under_way:  # they take several steps, the first of which may be to connect
            await WAITING.wait(self._under_way, timeout=patience)
        await self.link.close()

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        with self._is_under_way():
            grouping = await self._connected()
            outcomes = await grouping.write(operations)
            await self._acknowledged(grouping.connection)
            return outcomes

    async def transact(self, operations: Sequence[Operation]) -> Outcomes:
        with self._is_under_way():
            grouping = await self._connected()
            outcomes = await grouping.transact(operations)
            await self._acknowledged(grouping.connection)
            return outcomes

    async def ask(self, commands: bytes, replies: int) -> list[Any]:
        """Packed commands that write."""
        with self._is_under_way():
            grouping = await self._connected()
            told = await grouping.connection.ask(commands, replies)
            await self._acknowledged(grouping.connection)
            return told

    @contextmanager
    def _is_under_way(self) -> Iterator[None]:
        mark = asyncio.get_running_loop().create_future()
        self._under_way.add(mark)
        try:
            yield
        finally:
            self._under_way.discard(mark)
            mark.set_result(None)

    async def _connected(self) -> Grouping:
        """What is sent on the connection. A user who may not wait is refused before anything is written."""
        grouping = await self.link.connected(OVERHEAD)
        if self.link.server.wait_refused:
            raise self._failure(self.link.server.wait_refused)
        return grouping

    async def _acknowledged(self, connection: Connection) -> None:
        """Wait until the replicas have what this connection wrote. How many of them did is not asked, as in daprd."""
        if self._asked is None:
            words: tuple[Any, ...] = ("WAIT", self.replicas, round(_SECONDS * 1000))
            self._asked = connection.ask(hiredis.pack_command(words), 1)
            asyncio.get_running_loop().call_soon(self._end_tick)
        (reply,) = await asyncio.shield(self._asked)  # others may be waiting for the same
        if isinstance(reply, ReplyError):
            raise self._failure(reply)

    def _end_tick(self) -> None:
        self._asked = None

    def _failure(self, why: object) -> StoreError:
        return StoreError(f"redis waiting for {self.replicas} replicas to acknowledge write, err: {why}")
