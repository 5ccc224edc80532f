"""Reads on the event loop's own thread: those that one tick of the loop brings are one statement.

A point read of a page that the system has in memory takes 5 us, of which finding the row is the least: the locks of the
file are two system calls. A way to a thread and back takes 30 to 100 us.
"""

from __future__ import annotations

import asyncio
import sqlite3
from typing import TYPE_CHECKING, Final

from dapr_state.stores.sqlite import failures

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.base import StoreError
    from dapr_state.stores.model import Row
    from dapr_state.stores.sqlite.session import Session

    Found = list[Row | StoreError | None]

_KEYS_AT_MOST: Final = 256  # of a statement: about 0.5 ms
_SLOW_SECONDS: Final = 0.01


class Spot:
    """`session` never waits for a lock: what is locked is left to a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._keys: list[str] = []  # of this tick
        self._callers: list[tuple[asyncio.Future[Found | None], int]] = []  # who waits, for so many of them

    def takes(self, keys: Sequence[str]) -> bool:
        """Not where they are many, and not while the disk must be asked: then a thread may wait for it."""
        return len(keys) <= _KEYS_AT_MOST and self._session.read_seconds < _SLOW_SECONDS

    def read(self, keys: Sequence[str]) -> asyncio.Future[Found | None]:
        """One entry per key at the end of the tick; None if a lock is in the way."""
        if len(self._keys) + len(keys) > _KEYS_AT_MOST:
            self._answer()
        if not self._callers:
            self._loop.call_soon(self._answer)
        answer: asyncio.Future[Found | None] = self._loop.create_future()
        self._callers.append((answer, len(keys)))
        self._keys += keys
        return answer

    def read_elsewhere(self, seconds: float) -> None:
        """A thread has read, and took so long."""
        self._session.read_seconds = seconds

    def _answer(self) -> None:
        keys, self._keys = self._keys, []
        callers, self._callers = self._callers, []
        if not callers:  # they were too many to wait for the tick's end
            return
        try:
            found = self._session.read(keys)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            for answer, _ in callers:
                if not answer.done():
                    _settle_failed(answer, error)
            return
        at = 0
        for answer, size in callers:
            if not answer.done():  # the caller may have given up
                answer.set_result(found[at : at + size])
            at += size


def _settle_failed(answer: asyncio.Future[Found | None], error: Exception) -> None:
    if isinstance(error, sqlite3.Error) and failures.is_lock(error):
        answer.set_result(None)
    else:
        answer.set_exception(failures.store_error(error))
