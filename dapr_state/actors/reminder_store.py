"""The table of reminders in the actor state store: changes that wait together are one call of the store.

One call is under way at a time, so that the order of the changes is known. What became of a trigger can wait for
the next registration to be written with: a commit to disk costs more than all the rest.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.actors.reminder import Reminder
from dapr_state.actors.reminder_table import PATIENCE, Change, Kept, Put, ReminderTable
from dapr_state.actors.state import NoStoreError
from dapr_state.clock import WAITING
from dapr_state.stores.base import EtagMismatch, StoreError, Unsupported
from dapr_state.stores.model import Delete, Feature, Operation, StoredValue, Upsert

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from dapr_state.actors.reminder import Key
    from dapr_state.clock import Alarm, WaitingClock
    from dapr_state.stores.base import StateStore

log = logging.getLogger("dapr.runtime.actor.reminders")

SPACE: Final = "dapr.internal.reminders"  # as an actor type it is refused, so no actor's state can meet it
PAUSED: Final = "dapr.internal.paused"  # a row for each type whose reminders are paused
MAX_CHANGES: Final = 256  # in one call of the store
MAX_OCTETS: Final = 1 << 20  # of data in one call, beside one reminder that may be larger
PAGE: Final = 200  # rows that are read at once

_encode: Final = msgspec.json.Encoder().encode
_decoder: Final = msgspec.json.Decoder(Reminder)

Waiting = tuple[Change, "asyncio.Future[bool]"]


class StoredReminders(ReminderTable):
    """`store` is asked for each time: it may be another one, or none."""

    def __init__(self, app_id: str, store: Callable[[], StateStore | None], clock: WaitingClock = WAITING) -> None:
        self._prefix = f"{app_id}||{SPACE}||"
        self._paused = f"{app_id}||{PAUSED}||"
        self._store = store
        self._clock = clock
        self._waiting: list[Waiting] = []
        self._urgent = 0  # of those that wait, how many must be written now
        self._alarm: Alarm | None = None  # for the others
        self._writer: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<StoredReminders {len(self._waiting)} waiting>"

    async def read(self, key: Key) -> Kept | None:
        row_key = self._prefix + "||".join(map(_part, key))
        (row,) = await self._opened().get((row_key,))
        return None if row is None else _kept(row_key, row)

    async def pages(self, actor_type: str = "", actor_id: str | None = None) -> AsyncIterator[list[Kept]]:
        of_type = f"{_part(actor_type)}||" if actor_type else ""
        of_actor = "" if actor_id is None else f"{_part(actor_id)}||"
        prefix = self._prefix + of_type + of_actor
        after = ""
        while True:
            page = await self._opened().list(prefix, after=after, limit=PAGE)
            found = []
            for entry in page.entries:
                try:
                    found.append(_kept(entry.key, entry.row))
                except StoreError as error:  # the others are good, and this one is left for whoever can read it
                    log.error("A reminder cannot be read: %s", error)  # noqa: TRY400  the reason says it all
            yield found
            after = page.after
            if not after:
                return

    async def write(self, change: Change, *, is_patient: bool = False) -> bool:
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((change, future))
        if not is_patient:
            self._write_soon()
        elif self._alarm is None:
            self._alarm = self._clock.call_at(self._clock.monotonic() + PATIENCE, self._write_soon)
        return await future

    async def paused(self) -> set[str]:
        found: set[str] = set()
        after = ""
        while True:
            page = await self._opened().list(self._paused, after=after, limit=PAGE)
            found |= {_whole(entry.key.removeprefix(self._paused)) for entry in page.entries}
            after = page.after
            if not after:
                return found

    async def pause(self, actor_type: str, *, is_paused: bool) -> None:
        key = self._paused + _part(actor_type)
        (failure,) = await self._opened().write([Upsert(key, b"{}", is_json=True) if is_paused else Delete(key)])
        if failure:
            raise failure

    @property
    def is_idle(self) -> bool:
        return not self._waiting and (self._writer is None or self._writer.done())

    def hurry(self) -> None:
        self._write_soon()

    async def close(self) -> None:
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
            changes = [change for change, _ in batch]
            for (change, future), outcome in zip(batch, await self._write(changes), strict=True):
                if outcome is None or isinstance(outcome, EtagMismatch):
                    is_written = outcome is None
                    if is_written:
                        self.on_written(change.key, change)
                    if not future.done():
                        future.set_result(is_written)
                else:
                    self.on_written(change.key, None)
                    if not future.done():
                        future.set_exception(outcome)

    def _batch_size(self) -> int:
        octets = 0
        for number, (change, _) in enumerate(self._waiting[:MAX_CHANGES]):
            octets += len(bytes(change.reminder.text)) if isinstance(change, Put) else 0
            if number and octets > MAX_OCTETS:
                return number
        return min(len(self._waiting), MAX_CHANGES)

    async def _write(self, changes: list[Change]) -> list[StoreError | NoStoreError | None]:
        try:
            return [*await self._opened().write([self._operation(change) for change in changes])]
        except (StoreError, NoStoreError) as error:
            return [error] * len(changes)
        except Exception as error:  # those who wait are told, whatever it is
            log.exception("Reminders cannot be written")
            return [StoreError(f"the reminder cannot be written: {error!r}")] * len(changes)

    def _operation(self, change: Change) -> Operation:
        key = self._prefix + "||".join(map(_part, change.key))
        if isinstance(change, Put):
            return Upsert(key, _encode(change.reminder), change.etag, first_write=change.only_new, is_json=True)
        return Delete(key, change.etag)

    def _opened(self) -> StateStore:
        store = self._store()
        if store is None:
            raise NoStoreError
        if Feature.LIST not in store.features:  # what it keeps would not be found by the next start, and never fire
            raise Unsupported(Feature.LIST)
        return store


def _part(text: str) -> str:
    """A part of a row's key, in which no separator is."""
    return text.replace("%", "%25").replace("|", "%7C") if "%" in text or "|" in text else text


def _whole(part: str) -> str:
    return part.replace("%7C", "|").replace("%25", "%")


def _kept(key: str, row: StoredValue | StoreError) -> Kept:
    if isinstance(row, StoreError):
        raise row
    try:
        return Kept(_decoder.decode(row.value), row.etag)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise StoreError(f"{key}: {error}") from error
