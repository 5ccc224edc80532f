"""Reminders in the actor state store: changes that wait together are written together, in one transaction.

One change is applied at a time to what the store is known to hold. Each page is looked at before it is written, and
written with the etag that was seen: if another sidecar of the same app id has changed it, everything is read again and
the changes are applied to that. A change is acknowledged when it is written, never before. What became of a tick can
wait for the next registration to be written with: a commit to disk costs more than all the rest.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.actors import reminder_pages
from dapr_state.actors.reminder_pages import Change, Draft, Page, Pages
from dapr_state.actors.state import NoStoreError
from dapr_state.clock import SYSTEM
from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, Operation, Row, Upsert

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from dapr_state.actors.reminder import Key, Reminder
    from dapr_state.clock import Alarm, Clock
    from dapr_state.stores.base import StateStore

log = logging.getLogger("dapr.runtime.actor.reminders")

SPACE: Final = "dapr.internal.reminders"  # as an actor type it is refused, so no actor's state can meet it
DIRECTORY: Final = "pages"
MAX_CHANGES: Final = 64  # in one transaction: they may touch twice as many pages, of 4 KiB
MAX_TRIES: Final = 8
PAGES_AT_ONCE: Final = 128
PATIENCE: Final = 0.01  # seconds that a change may wait for others, if nobody waits for it

Waiting = tuple[Change, "asyncio.Future[bool]"]


class ReminderStore:
    """`changed` is told each key whose reminder is another one now, in the order in which that was written."""

    def __init__(
        self,
        app_id: str,
        store: Callable[[], StateStore | None],
        changed: Callable[[Key], None],
        clock: Clock = SYSTEM,
    ) -> None:
        self._prefix = f"{app_id}||{SPACE}||"
        self._store = store
        self._changed = changed
        self._clock = clock
        self._pages = Pages()
        self._count = 0  # of pages, as it is in the store
        self._seen: dict[str, int] = {}  # a hash of each row's value, as it is in the store
        self._is_loaded = False
        self._loading = asyncio.Lock()
        self._waiting: list[Waiting] = []
        self._urgent = 0  # of those that wait, how many must be written now
        self._alarm: Alarm | None = None  # for the others
        self._writer: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<ReminderStore {self._pages!r}, {len(self._waiting)} waiting>"

    def __len__(self) -> int:
        return len(self._pages)

    def get(self, key: Key) -> Reminder | None:
        return self._pages.get(key)

    def all(self) -> Iterable[Reminder]:
        return self._pages

    async def load(self) -> None:
        """Return once it is known what the store holds. Raises StoreError or NoStoreError."""
        async with self._loading:
            if not self._is_loaded:
                await self._read()

    async def apply(self, changes: Iterable[Change], *, is_patient: bool = False) -> list[bool]:
        """Return for each change, once it is written, whether there was something to change.

        Raises StoreError or NoStoreError. Changes of one call may be written apart. A patient call waits a little for
        others to be written with.
        """
        loop = asyncio.get_running_loop()
        futures = []
        for change in changes:
            future: asyncio.Future[bool] = loop.create_future()
            self._waiting.append((change, future))
            futures.append(future)
        if not is_patient:
            self._write_soon()
        elif self._alarm is None:
            self._alarm = self._clock.call_at(self._clock.monotonic() + PATIENCE, self._write_soon)
        await asyncio.wait(futures)
        return [future.result() for future in futures]

    async def close(self) -> None:
        """Return when everything is written that was asked for so far."""
        self._write_soon()
        if self._writer:
            await self._writer

    def _write_soon(self) -> None:
        """Write all that waits, from the next turn of the event loop on."""
        if self._alarm:
            self._alarm.cancel()
            self._alarm = None
        self._urgent = len(self._waiting)
        if self._urgent and (self._writer is None or self._writer.done()):
            self._writer = asyncio.create_task(self._write_all())

    async def _write_all(self) -> None:
        while self._urgent > 0:
            size = self._batch_size()
            self._urgent -= size
            batch, self._waiting = self._waiting[:size], self._waiting[size:]
            try:
                outcomes = await self._write([change for change, _ in batch])
            except Exception as error:  # noqa: BLE001  those who wait are told, whatever it is
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), outcome in zip(batch, outcomes, strict=True):
                if not future.done():
                    future.set_result(outcome)

    def _batch_size(self) -> int:
        store = self._store()
        limit = store.max_transaction_size if store else None
        return min(MAX_CHANGES, max(1, (limit - 1) // 2)) if limit else MAX_CHANGES

    async def _write(self, changes: Sequence[Change]) -> list[bool]:
        for _ in range(MAX_TRIES):
            await self.load()
            draft = Draft(self._pages, self._count)
            outcomes = [draft.apply(change) for change in changes]
            if not draft.touched:
                return outcomes
            if await self._commit(draft):
                for change, outcome in zip(changes, outcomes, strict=True):
                    if outcome:
                        self._changed(change.key)
                return outcomes
            log.warning("The store's reminders are not as this sidecar left them: is there another one of this app id?")
            self._is_loaded = False
        raise StoreError("the reminders are changed by others all the time")

    async def _commit(self, draft: Draft) -> bool:
        """False if the store holds something else than was known."""
        store = self._opened()
        values = {self._page_key(number): reminder_pages.encode_page(page) for number, page in draft.touched.items()}
        if draft.count != self._count:
            values[self._prefix + DIRECTORY] = reminder_pages.encode_directory(draft.count)
        rows = await self._rows(store, list(values))
        if any(self._is_unknown(key, row) for key, row in rows.items()):
            return False
        try:
            await store.transact(_operations(values, rows))
        except EtagMismatch:
            return False
        except StoreError:
            self._is_loaded = False  # a store that was lost may have done it all the same
            raise
        for key, value in values.items():
            self._seen.pop(key, None)
            if value is not None:
                self._seen[key] = hash(value)
        self._count = draft.count
        for number, page in draft.touched.items():
            self._pages.set(number, page)
        return True

    async def _read(self) -> None:
        before = self._pages
        self._seen.clear()
        store, directory = self._opened(), self._prefix + DIRECTORY
        row = (await self._rows(store, [directory]))[directory]
        self._count = _directory(row)
        self._remember(directory, row)
        pages = Pages()
        for start in range(0, self._count, PAGES_AT_ONCE):
            numbers = range(start, min(start + PAGES_AT_ONCE, self._count))
            rows = await self._rows(store, [self._page_key(number) for number in numbers])
            for number, (key, row) in zip(numbers, rows.items(), strict=True):
                self._take(pages, number, key, row)
        self._pages = pages
        self._is_loaded = True
        for key in {each.key for each in (*before, *pages)}:
            self._changed(key)

    def _take(self, pages: Pages, number: int, key: str, row: Row | None) -> None:
        self._remember(key, row)
        try:
            pages.set(number, reminder_pages.decode_page(row.value) if row else Page({}))
        except msgspec.DecodeError as error:
            # the others are good, and this one is left for whoever can read it
            log.error("Reminders cannot be read from %s: %s", key, error)  # noqa: TRY400

    async def _rows(self, store: StateStore, keys: Sequence[str]) -> dict[str, Row | None]:
        rows: dict[str, Row | None] = {}
        for key, found in zip(keys, await store.get(keys), strict=True):
            if isinstance(found, StoreError):
                raise found
            rows[key] = found
        return rows

    def _opened(self) -> StateStore:
        store = self._store()
        if store is None:
            raise NoStoreError
        return store

    def _page_key(self, number: int) -> str:
        return f"{self._prefix}{number}"

    def _remember(self, key: str, row: Row | None) -> None:
        if row is not None:
            self._seen[key] = hash(row.value)

    def _is_unknown(self, key: str, row: Row | None) -> bool:
        return self._seen.get(key) != (None if row is None else hash(row.value))


def _operations(values: Mapping[str, bytes | None], rows: Mapping[str, Row | None]) -> list[Operation]:
    operations: list[Operation] = []
    for key, value in values.items():
        row = rows[key]
        if value is not None:
            operations.append(Upsert(key, value, row.etag if row else "", first_write=row is None))
        elif row is not None:
            operations.append(Delete(key, row.etag))
    return operations


def _directory(row: Row | None) -> int:
    if row is None:
        return 0
    try:
        return reminder_pages.decode_directory(row.value)
    except msgspec.DecodeError as error:
        raise StoreError(f"reminders cannot be read: {error}") from error
