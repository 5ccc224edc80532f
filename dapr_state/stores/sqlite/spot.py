"""Reads on the event loop's own thread: those that one tick of the loop brings are one statement.

A point read of a page that the system has in memory takes 5 us, of which finding the row is the least: the locks of the
file are two system calls. A way to a thread and back takes 30 to 100 us.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dapr_state.stores.base import StoreError
from dapr_state.stores.callers import Callers
from dapr_state.stores.sqlite import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.model import Row
    from dapr_state.stores.sqlite.session import Session

_KEYS_AT_MOST: Final = 256  # of a statement: about 0.5 ms
_SLOW_SECONDS: Final = 0.01


class LockedError(StoreError):
    """Another connection is at work: a thread may wait for it."""


class Spot:
    """`session` never waits for a lock: what is locked is left to a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._keys: list[str] = []  # of this tick
        self._callers: Callers[Row | StoreError | None] = Callers()

    def takes(self, keys: Sequence[str]) -> bool:
        """Not where they are many, and not while the disk must be asked: then a thread may wait for it."""
        return len(keys) <= _KEYS_AT_MOST and self._session.read_seconds < _SLOW_SECONDS

    def read(self, keys: Sequence[str]) -> asyncio.Future[list[Row | StoreError | None]]:
        """One entry per key at the end of the tick. LockedError if a lock is in the way, else StoreError."""
        if len(self._keys) + len(keys) > _KEYS_AT_MOST:
            self._answer()
        if not self._keys:
            self._loop.call_soon(self._answer)
        self._keys += keys
        return self._callers.join(self._loop, len(keys))

    def read_elsewhere(self, seconds: float) -> None:
        """A thread has read, and took so long."""
        self._session.read_seconds = seconds

    def _answer(self) -> None:
        keys, self._keys = self._keys, []
        callers, self._callers = self._callers, Callers()
        if not keys:  # they were too many to wait for the tick's end
            return
        try:
            found = self._session.read(keys)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            callers.fail(LockedError() if failures.is_lock(error) else failures.store_error(error))
        else:
            callers.settle(found)
