"""That one migration of an application's reminders is under way, and no other: a row of the store that goes by itself.

Two at a time would take each other's steps for deletions, and take back what both had moved.
"""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING
from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, Upsert

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.clock import WaitingClock
    from dapr_state.stores.base import StateStore

LONGEST: Final = 30  # seconds for which nobody else begins, if this one says nothing more
RENEWAL: Final = 5.0  # seconds between two signs of life
LOST: Final = 20.0  # seconds after the last one that reached the store: then it stops, before another one may begin
LOOK: Final = 1.0  # seconds until it is looked whether another one has ended


class Lease:
    """`take` it, and `give` it back; `lost` is called when it is no longer sure that there is no other one."""

    def __init__(
        self, store: StateStore, app_id: str, lost: Callable[[], object], waiting: WaitingClock = WAITING
    ) -> None:
        self._store = store
        self._key = f"{app_id}||dapr.internal.reminders.migration"
        self._lost = lost
        self._waiting = waiting
        self._me = os.urandom(8).hex().encode()
        self._renewing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Lease {self._key} {'taken' if self._renewing else 'free'}>"

    async def take(self, tell: Callable[[str], object]) -> None:
        """Return when there is no other one; `tell` is told that it is waited for. Raises StoreError."""
        is_told = False
        while True:
            began = self._waiting.monotonic()
            if await self._write(first_write=True):
                break
            if not is_told:
                tell(f"another migration is under way, or was broken off less than {LONGEST} s ago: it is waited for")
                is_told = True
            await self._waiting.sleep(LOOK)
        self._renewing = asyncio.ensure_future(self._renew(began))

    async def give(self) -> None:
        if self._renewing is None:
            return
        self._renewing.cancel()
        await asyncio.wait([self._renewing])
        (row,) = await self._store.get([self._key])
        if row and not isinstance(row, StoreError) and row.value == self._me:
            await self._store.write([Delete(self._key, row.etag)])

    async def _renew(self, renewed: float) -> None:
        while True:
            await self._waiting.sleep(RENEWAL)
            began = self._waiting.monotonic()
            try:
                async with self._waiting.timeout(RENEWAL):
                    (row,) = await self._store.get([self._key])
                    if (
                        row
                        and not isinstance(row, StoreError)
                        and row.value == self._me
                        and await self._write(row.etag)
                    ):
                        renewed = began
            except (StoreError, TimeoutError):
                pass  # it may still be in time
            if self._waiting.monotonic() - renewed > LOST:
                self._lost()
                return

    async def _write(self, etag: str = "", *, first_write: bool = False) -> bool:
        change = Upsert(self._key, self._me, etag, first_write=first_write, ttl=LONGEST)
        (outcome,) = await self._store.write([change])
        if outcome is not None and not isinstance(outcome, EtagMismatch):
            raise outcome
        return outcome is None
