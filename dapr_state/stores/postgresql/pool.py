"""The connections to one database: how many there are, and what becomes of those that break or stand idle.

Rules that a change must respect:
1. A connection is one caller's from `use` until its end. One that did not end well is closed, and never given on.
2. Whoever wants one gets it, or an error, within the timeout; and so does who waits for the server's answer.
3. One that is closed while it was lent for writing is behind the fence before its caller is told.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import asyncpg

from dapr_state.golang.duration import format_duration
from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.postgresql import failures
from dapr_state.stores.postgresql.fence import SESSION, Fence

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dapr_state.clock import WaitingClock
    from dapr_state.stores.postgresql.fence import Session
    from dapr_state.stores.postgresql.options import Options

LOCK_SECONDS: Final = 0.25  # that a group waits for a row that another client holds, before it goes on without
_GRACE_SECONDS: Final = 1.0  # in which the server itself may say that a statement took too long
_CLOSE_SECONDS: Final = 2.0  # for a server to read that a client goes


_PROTOCOL: Final = "08P01"  # a violation of it
_UNSUPPORTED: Final = "unsupported startup parameter"  # as PgBouncer says of a session's settings


class Connection(asyncpg.Connection):  # type: ignore[misc]  # the driver has no types
    session: Session | None = None  # where it is one that can be ended


class Pool:
    def __init__(self, options: Options, clock: WaitingClock, kind: type[Connection] = Connection) -> None:
        self._options = options
        self._kind = kind
        self.clock = self._clock = clock
        self.answer_seconds = options.timeout + _GRACE_SECONDS
        self._free = asyncio.Semaphore(options.max_connections)
        self._idle: deque[tuple[Any, float]] = deque()  # with the time since when; the last used is taken first
        self._sweep: asyncio.TimerHandle | None = None
        self._closed = False
        self.fence = Fence(clock)
        self.opened = 0

    def __repr__(self) -> str:
        return f"<Pool of {self._options.max_connections}: {len(self._idle)} idle>"

    def use(self, writes: Iterable[str] = ()) -> _Use:
        """A connection for one caller, in `async with`, who writes these keys: they are looked at if it is given up.

        Raises StoreError, for what the driver raises as well.
        """
        return _Use(self, writes)

    async def close(self) -> None:
        """Those in use are closed as they are given back."""
        self._closed = True
        if self._sweep:
            self._sweep.cancel()
        idle, self._idle = self._idle, deque()
        await asyncio.gather(*(_close(connection) for connection, _ in idle))

    @property
    def patience(self) -> str:
        return format_duration(self._options.timeout)

    async def take(self) -> Any:
        """One that is free, or a new one."""
        if self._free.locked():
            await self._wait_for_one()
        else:
            await self._free.acquire()  # at once
        try:
            while self._idle:
                connection, _ = self._idle.pop()
                if not connection.is_closed():
                    return connection
            return await self._connect()
        except BaseException:
            self._free.release()
            raise

    async def _wait_for_one(self) -> None:
        try:
            async with self._clock.timeout(self._options.timeout):
                await self._free.acquire()
        except TimeoutError:
            raise NotDone(
                f"none of the {self._options.max_connections} connections was free within {self.patience}"
            ) from None

    async def _connect(self) -> Any:
        if self._closed:
            raise NotDone("the store is closed")
        try:
            async with self._clock.timeout(self._options.timeout):  # the driver's own would leave its socket open
                connection = await asyncpg.connect(
                    self._options.dsn,
                    timeout=None,
                    connection_class=self._kind,
                    statement_cache_size=100 if self._options.prepared else 0,
                    server_settings=self._settings(),
                )
                if not self._options.pooled:
                    connection.session = await _begin(connection, self._options.timeout)
        except TimeoutError:
            raise NotDone(f"failed to connect: no answer within {self.patience}") from None
        except failures.DRIVER as error:
            raise NotDone(f"failed to connect: {failures.describe(error)}{_hint(error)}") from error
        except ValueError:  # its text holds what stands where a port should: part of a password with a # or a /
            raise NotDone(
                "failed to connect: the connection string is no URL with host and port (percent-encode what is special)"
            ) from None
        self.opened += 1
        return connection

    def _settings(self) -> dict[str, str] | None:
        """What the server does of itself. A pooler refuses such settings, or gives the session to others."""
        if self._options.pooled:
            return None
        return {"lock_timeout": str(int(LOCK_SECONDS * 1000))}

    def close_all(self) -> None:
        """Close those that stand idle: the server that they end at is gone, or is no primary any more."""
        idle, self._idle = self._idle, deque()
        for connection, _ in idle:
            connection.terminate()

    def give_back(self, connection: Any) -> None:
        self._free.release()
        if connection.is_closed():
            return
        if self._closed:
            connection.terminate()
            return
        self._idle.append((connection, self._clock.monotonic()))
        if self._sweep is None:
            self._sweep = self._clock.call_later(self._options.idle_time, self._close_idle)

    def _close_idle(self) -> None:
        self._sweep = None
        long_ago = self._clock.monotonic() - self._options.idle_time
        while self._idle and self._idle[0][1] <= long_ago:
            connection, _ = self._idle.popleft()
            connection.terminate()
        if self._idle:
            wait = max(0.0, self._idle[0][1] - long_ago)
            self._sweep = self._clock.call_later(wait, self._close_idle)


class _Use:
    """One caller's time with a connection, which is cut off where the server does not answer."""

    __slots__ = ("_connection", "_is_late", "_pool", "_watch", "_writes")

    def __init__(self, pool: Pool, writes: Iterable[str]) -> None:
        self._pool = pool
        self._writes = writes
        self._is_late = False

    async def __aenter__(self) -> Any:
        self._connection = await self._pool.take()
        # a timer alone, as this is done for each read: asyncio.timeout costs five times as much
        self._watch = self._pool.clock.call_later(self._pool.answer_seconds, self._cut_off)
        return self._connection

    async def __aexit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        self._watch.cancel()
        try:
            if error is not None:
                self._ended_by(error)
        finally:
            if self._connection.is_closed():
                self._pool.fence.leave(self._connection.session, self._writes)
            self._pool.give_back(self._connection)

    def _cut_off(self) -> None:
        self._is_late = True
        self._connection.terminate()

    def _ended_by(self, error: BaseException) -> None:
        if self._is_late:
            raise StoreError(f"the server did not answer within {self._pool.patience}") from None
        if isinstance(error, StoreError):
            return
        if not isinstance(error, failures.DRIVER):
            self._connection.terminate()
            return
        if failures.leaves_no_connection(error):
            self._connection.terminate()
            self._pool.close_all()
        raise failures.store_error(error) from error


def statement_limit(seconds: float, *, of_transaction: bool) -> str:
    """Sets the longest time of a statement, where the role, the database or the component has no shorter one."""
    return (
        f"SELECT set_config('statement_timeout', '{int(seconds * 1000)}', {of_transaction}) "  # noqa: S608
        "WHERE extract(epoch FROM current_setting('statement_timeout')::interval) "
        f"NOT BETWEEN 0.001 AND {seconds}"
    )


async def _begin(connection: Any, seconds: float) -> Session | None:
    try:
        await connection.execute(statement_limit(seconds, of_transaction=False))
        row = await connection.fetchrow(SESSION)
    except asyncpg.PostgresError:  # what only speaks PostgreSQL's protocol may have no such view
        return None
    except BaseException:
        connection.terminate()
        raise
    return tuple(row) if row else None


def _hint(error: Exception) -> str:
    if failures.code(error) == _PROTOCOL and _UNSUPPORTED in str(error):
        return ": a pooler is there, for which the component says `queryExecMode: exec`"
    return ""


async def _close(connection: Any) -> None:
    with suppress(*failures.DRIVER, TimeoutError):
        await connection.close(timeout=_CLOSE_SECONDS)
    connection.terminate()
