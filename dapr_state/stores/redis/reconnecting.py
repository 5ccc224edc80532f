"""The connection that a store has to its server, for as long as the store lives: made anew whenever it is lost.

Where the server is may be for others to say: they are asked before each attempt, and who is no master is not connected
to.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state.clock import WAITING
from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.redis.connecting import ConnectError, Server, connect
from dapr_state.stores.redis.connection import ConnectionLost
from dapr_state.stores.redis.grouping import Grouping

if TYPE_CHECKING:
    import ssl
    from collections.abc import Awaitable, Callable

    from dapr_state.stores.batching import Budget
    from dapr_state.stores.redis.connection import Connection
    from dapr_state.stores.redis.options import Options

    Locate = Callable[[], Awaitable["Location"]]

log = logging.getLogger("dapr.contrib")

_SHORTEST_INTERVAL: Final = 0.01  # seconds; a component may ask for none, but a port that refuses answers at once


class Location(NamedTuple):
    """Where the master is."""

    address: str
    replicas: int = 0  # that it has, at least: those that follow a new master are not all there at once
    rank: tuple[int, bool] = (0, False)  # of what says so: the highest is the latest


class NotConnected(NotDone):
    """There was no connection, so that nothing was sent."""


class Reconnecting:
    """`live` is what to ask, or None while there is no connection: then await `connected`.

    `locate` tells where the master is, `on_down` is told of each connection that is lost and each that fails.
    """

    def __init__(
        self,
        options: Options,
        context: ssl.SSLContext | None,
        waiting: Budget,
        *,
        locate: Locate | None = None,
        on_down: Callable[[], None] | None = None,
    ) -> None:
        self._options = options
        self._context = context
        self._waiting = waiting
        self._locate = locate
        self._on_down = on_down
        self.location = Location(options.address)
        self.live: Grouping | None = None
        self.server = Server()
        self._reason = ConnectError("not open")  # why there is no connection
        self._attempt = asyncio.Event()  # set when the attempt that is under way, or the next, has ended
        self._down = asyncio.Event()
        self._interval = max(options.retry_interval, _SHORTEST_INTERVAL)
        self._keeper: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        state = self.live.connection if self.live else f"{self._options.address} down: {self._reason}"
        return f"<Reconnecting {state}>"

    def open(self) -> None:
        """Begin to connect."""
        self._reason = ConnectError(f"dial tcp {self._options.address}: i/o timeout")  # until an attempt has ended
        self._keeper = asyncio.create_task(self._keep_connected())

    async def close(self) -> None:
        if self._keeper:
            self._keeper.cancel()
            await asyncio.wait([self._keeper])
        live, self.live = self.live, None
        self._reason = ConnectError("the store is closed", final=True)
        self._attempt.set()
        if live:
            live.flush()
            await live.connection.close(self._options.read_timeout)

    async def connected(self, octets: int) -> Grouping:
        """Wait with so many octets for a connection.

        For as many attempts as the component allows, and no longer than the dial timeout.
        """
        if self.live:
            return self.live
        self._waiting.take(octets)
        try:
            async with WAITING.timeout(self._options.dial_timeout):
                for _ in range(1 + self._options.retries):
                    if self.live:
                        return self.live
                    if self._keeper is None or self._keeper.done():
                        break
                    await self._attempt.wait()
                    if self._reason.final and not self.live:
                        break
        except TimeoutError:
            pass
        finally:
            self._waiting.give(1, octets)
        if self.live:
            return self.live
        raise self.failure(self._reason)

    def leave(self, reason: str) -> None:
        """Make another connection, with `reason` for all who wait on this one."""
        if self.live:
            self.live.connection.abort(ConnectionLost(f"redis at {self.location.address} was left: {reason}"))

    def failure(self, reason: object) -> StoreError:
        return NotConnected(f"redis store: error connecting to redis at {self._options.address}: {reason}")

    async def _keep_connected(self) -> None:
        while True:
            await self._try_to_connect()
            if self.live and not await self._lost_at_once():
                await self._down.wait()
                continue  # it had worked: no need to wait before the next attempt
            await WAITING.sleep(self._interval)

    async def _try_to_connect(self) -> None:
        before = str(self._reason)
        self._down.clear()
        try:
            connection, self.server = await self._connect()
        except ConnectError as error:
            self._reason = error
            if str(error) != before:
                log.warning("redis at %s cannot be reached, trying on: %s", self._options.address, error)
            if self._on_down:
                self._on_down()
        else:
            self.live = Grouping(connection, self.server, waiting=self._waiting)
            if connection.lost:  # between its last answer and now
                self._lost(connection)
        ended, self._attempt = self._attempt, asyncio.Event()
        ended.set()

    async def _connect(self) -> tuple[Connection, Server]:
        if self._locate is None:
            return await connect(self._options, self._context, self._lost, self.server)
        location = self.location = await self._locate()
        options = replace(self._options, address=location.address)
        connection, server = await connect(options, self._context, self._lost, self.server)
        if server.role in {"", "master"}:
            return connection, replace(server, replicas=max(server.replicas, location.replicas))
        reason = f"redis at {location.address} is no master: {server.role}"
        connection.abort(ConnectionLost(reason))
        raise ConnectError(reason)

    async def _lost_at_once(self) -> bool:
        try:
            async with WAITING.timeout(self._interval):
                await self._down.wait()
        except TimeoutError:
            return False
        return True

    def _lost(self, connection: Connection) -> None:
        if self.live is None or connection is not self.live.connection:
            return  # it ended before it was ever used, or because the store closes
        self.live = None
        self._reason = ConnectError(str(connection.lost))
        self._down.set()
        log.warning("%s", connection.lost)
        if self._on_down:
            self._on_down()
