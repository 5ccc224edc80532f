"""The connections to one application: as many as there are requests under way, up to a limit, and kept for the next."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dapr_state.app.connection import AppConnection
    from dapr_state.clock import WaitingClock

    Dial = Callable[[Callable[[AppConnection], None]], Awaitable[AppConnection]]  # given what to call when it is lost

# An application closes what is idle for long: gunicorn after 2 s, node and uvicorn after 5. A request that is written
# at that moment is lost, so what has been idle for longer than this is not used any more; a new one costs 0.1 ms.
MAX_IDLE: Final = 1.0


class Pool:
    """`take` a connection, `give` it back whatever became of it. First come, first served."""

    def __init__(self, dial: Dial, capacity: int, clock: WaitingClock = WAITING) -> None:
        self._dial = dial
        self._capacity = capacity
        self._clock = clock
        self._idle: list[AppConnection] = []  # the last one given back is the first one taken
        self._open: set[AppConnection] = set()
        self._taken = 0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __repr__(self) -> str:
        return f"<Pool {self._taken} taken, {len(self._idle)} idle, {len(self._waiting)} waiting>"

    async def take(self) -> AppConnection:
        """A connection that is free. Raises OSError if there is none and none can be made."""
        if self._taken < self._capacity:
            self._taken += 1
        else:
            await self._wait()
        try:
            return self._idle_one() or await self._new()
        except BaseException:
            self._leave()
            raise

    def give(self, connection: AppConnection) -> None:
        if connection.is_free:
            connection.idle_since = self._clock.monotonic()
            self._idle.append(connection)
        else:
            connection.abort()
        self._leave()

    def close(self) -> None:
        """Close all connections, those in use included."""
        for connection in tuple(self._open):
            connection.abort()

    def _idle_one(self) -> AppConnection | None:
        oldest = self._clock.monotonic() - MAX_IDLE
        while self._idle:
            connection = self._idle.pop()
            if connection.is_free and connection.idle_since >= oldest:
                return connection
            connection.abort()
        return None

    async def _new(self) -> AppConnection:
        connection = await self._dial(self._open.discard)
        self._open.add(connection)
        return connection

    async def _wait(self) -> None:
        """Return when a place is free and ours."""
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():  # the place was given to us at the same moment
                self._leave()
            raise

    def _leave(self) -> None:
        """Give our place to the next who waits."""
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self._taken -= 1
