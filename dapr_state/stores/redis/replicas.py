"""Strong consistency: a write is acknowledged when the replicas have it, or have had their time.

WAIT holds up whatever follows it on its connection, and counts the writes of that connection only: so writes that wait
for replicas have a connection to themselves. Those whose replies came in one tick of the event loop share one WAIT:
while a replica does not answer, the writes of a whole second wait together, not one behind the other.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import hiredis

from dapr_state.stores.base import StoreError
from dapr_state.stores.redis.connection import Connection, ReplyError
from dapr_state.stores.redis.link import Link

if TYPE_CHECKING:
    import ssl

    from dapr_state.stores.redis.options import Options

_SECONDS: Final = 1.0  # that daprd gives the replicas


class ReplicatedLink:
    def __init__(self, options: Options, context: ssl.SSLContext | None) -> None:
        patience = None if options.read_timeout is None else options.read_timeout + _SECONDS
        self.link = Link(replace(options, read_timeout=patience), context)
        self._asked: asyncio.Future[list[Any]] | None = None  # in this tick

    async def connected(self, replicas: int) -> Connection:
        """The connection to write on. A user who may not wait is refused before anything is written."""
        connection = self.link.live or await self.link.connected()
        if self.link.server.wait_refused:
            raise _failure(replicas, self.link.server.wait_refused)
        return connection

    async def acknowledged(self, connection: Connection, replicas: int) -> None:
        """Wait until the replicas have what this connection wrote. How many of them did is not asked, as in daprd."""
        if self._asked is None:
            words: tuple[Any, ...] = ("WAIT", replicas, round(_SECONDS * 1000))
            self._asked = connection.ask(hiredis.pack_command(words), 1)
            asyncio.get_running_loop().call_soon(self._end_tick)
        (reply,) = await asyncio.shield(self._asked)  # others may be waiting for the same
        if isinstance(reply, ReplyError):
            raise _failure(replicas, reply)

    def _end_tick(self) -> None:
        self._asked = None


def _failure(replicas: int, why: object) -> StoreError:
    return StoreError(f"redis waiting for {replicas} replicas to acknowledge write, err: {why}")
