"""Embedded reminders, which this sidecar keeps and fires itself.

The table is what counts; this sidecar remembers of each reminder only when it has to look at it. So the table may be
changed by another sidecar of the same app id, as when one takes the place of the other:
1. The API reads and writes the table alone. Before each trigger the row is read: what was deleted does not fire, and
   what was registered anew fires as it is now. After the trigger it is changed under the version that was read.
2. A reminder fires on the sidecar that registered it, its owner. Another one takes it over once it has been due and
   unchanged for TAKEOVER; while a trigger lasts its owner writes the row now and then. So both fire the same trigger
   only if the owner was held up for so long; and a trigger whose end was not written comes again.
3. All rows are read again every REREAD: after that a sidecar knows of all that there were.

A reminder fires again only when its last trigger is finished and what became of it is written; triggers that were
missed follow one another. While the application does not host a type, or cannot be reached, the triggers of that type
wait; of that nothing is kept.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

import msgspec

from dapr_state.actors import reminder
from dapr_state.actors.reminder_table import Put, Remove
from dapr_state.actors.reminder_triggers import STORE_WAIT, ReminderTriggers
from dapr_state.actors.reminders import ExistsError, ReminderBackend, ReminderState
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.clock import VISIBLE, WAITING
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError, Unsupported
from dapr_state.stores.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Collection, Sequence

    from dapr_state.actors.reminder import Key, Reminder
    from dapr_state.actors.reminder_table import Change, Kept, ReminderTable
    from dapr_state.actors.reminder_triggers import TriggerTarget
    from dapr_state.actors.reminders import ReminderRequest, ReminderView
    from dapr_state.app.model import ActorId
    from dapr_state.clock import VisibleClock, WaitingClock

log = logging.getLogger("dapr.runtime.actor.reminders")

REREAD: Final = 30.0  # law 3
REREAD_PAUSE: Final = 0.1  # between pages of 200 rows
AT_ONCE: Final = 1000  # that are looked through before others have their turn on the event loop


class EmbeddedReminders(ReminderBackend):
    """`begin` it once the store is open; tell it with `hosted` whenever types come to be hosted."""

    def __init__(
        self,
        target: TriggerTarget,
        table: ReminderTable,
        me: str,
        clock: VisibleClock = VISIBLE,
        waiting: WaitingClock = WAITING,
        *,
        fired: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """`me` tells this sidecar from others that use the table, and is the same after a restart.

        `fired` is told the type, and whether the application took the trigger.
        """
        self._table = table
        self._me = me
        self._clock = clock
        self._waiting = waiting
        self._triggers = ReminderTriggers(target, table, me, clock, waiting, fired=fired)
        self._known = self._triggers.known
        self._reader: asyncio.Task[None] | None = None
        self.is_read = asyncio.Event()  # all that there were are known
        self._is_closed = False
        table.on_written = self._written

    def __repr__(self) -> str:
        return f"<EmbeddedReminders {len(self._known)}, {len(self._triggers)} firing, {self._known.parked} parked>"

    def counts(self) -> dict[str, int]:
        return self._known.counts()

    # What the API asks

    async def create(self, request: ReminderRequest) -> None:
        new = reminder.register(request, self._clock.nanoseconds(), self._me)
        try:
            msgspec.json.encode(new)
        except UnicodeEncodeError as error:
            raise ScheduleError(f"the reminder is not valid Unicode: {error.reason}") from None
        if new.is_over:
            if not request.overwrite and await self._table.read(new.key):
                raise ExistsError
            await self._table.write(Remove(new.key))
        elif not await self._table.write(Put(new, only_new=not request.overwrite)):
            raise ExistsError

    async def get(self, actor: ActorId, name: str) -> ReminderView | None:
        kept = await self._table.read((actor.type, actor.id, name))
        return kept.reminder.view if kept else None

    async def delete(self, actor: ActorId, name: str) -> None:
        await self._table.write(Remove((actor.type, actor.id, name)))

    async def list(self, actor_type: str, actor_id: str | None = None) -> list[ReminderView]:
        found: dict[tuple[str, ...], Reminder] = {}
        keys: SortedKeys[tuple[str, ...]] = SortedKeys()
        work = Work()
        async for page in self._table.pages(actor_type, actor_id):  # which may tell a row twice
            for kept in page:
                found[kept.reminder.key] = kept.reminder
                keys.add(kept.reminder.key)
            if work.is_over():  # a store in memory waits for nothing
                await work.pause()
        return await work.each(lambda key: found[key].view, keys)

    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        async for page in self._table.pages(actor_type, actor_id):
            await asyncio.gather(*(self._table.write(Remove(kept.reminder.key)) for kept in page))

    # What administration asks

    async def states(self, actor_type: str, actor_id: str | None = None) -> AsyncIterator[Sequence[ReminderState]]:
        work = Work()
        async for page in self._table.pages(actor_type, actor_id):
            yield [self._state(kept.reminder) for kept in page]
            if work.is_over():
                await work.pause()

    def _state(self, kept: Reminder) -> ReminderState:
        known, outcome = self._known.find(kept.key), self._triggers.outcomes.get(kept.key)
        view = kept.view
        return ReminderState(
            *kept.key,
            next_at=kept.due,
            period=view.period,
            ends_at=kept.expires_at,
            fired=outcome.fired if outcome else 0,
            failures=kept.attempts,
            last_error=outcome.error if outcome else "",
            last_at=outcome.last_at if outcome else None,
            is_parked=known is not None and self._known.is_parked(known),
            is_firing=known is not None and known.is_firing,
            data_size=len(bytes(kept.text)),
        )

    def paused(self) -> Collection[str]:
        return self._triggers.paused

    def parked(self, actor_type: str) -> int:
        return self._known.parked_of(actor_type)

    async def pause(self, actor_type: str, *, is_paused: bool) -> int:
        await self._table.pause(actor_type, is_paused=is_paused)
        if is_paused:
            self._triggers.paused.add(actor_type)
        else:
            await self._skip_missed(actor_type)
        return self._known.counts().get(actor_type, 0)

    async def _skip_missed(self, actor_type: str) -> None:
        """Of what was missed meanwhile each fires once."""
        now = self._clock.nanoseconds()
        async for page in self._table.pages(actor_type):
            for kept in page:
                row = kept.reminder
                if row.every and row.due + row.every <= now:
                    due = now - (now - row.due) % row.every
                    await self._table.write(Put(msgspec.structs.replace(row, due=due), kept.etag))
        self._triggers.paused.discard(actor_type)
        self._triggers.hosted([actor_type])

    async def advance(self, actor: ActorId, name: str, *, is_over: bool) -> int | None:
        kept = await self._table.read((actor.type, actor.id, name))
        if kept is None:
            return None
        after = None if is_over else kept.reminder.finished()
        await self._table.write(Put(after, kept.etag) if after else Remove(kept.reminder.key, kept.etag))
        return after.due if after else None

    # Life

    def begin(self) -> None:
        self._reader = asyncio.ensure_future(self._read_for_ever())

    def hosted(self, types: Collection[str]) -> None:
        self._triggers.hosted(types)

    @property
    def next_due(self) -> int | None:
        return self._known.next_due

    @property
    def is_idle(self) -> bool:
        return self._triggers.is_idle and self._table.is_idle

    def ring(self) -> None:
        self._known.ring()

    def hurry(self) -> None:
        self._table.hurry()

    async def clear(self) -> int:
        known = self._known.all()
        await asyncio.gather(*(self._table.write(Remove(each.key)) for each in known))
        return len(known)

    async def kept(self) -> Sequence[Reminder]:
        try:
            found = {kept.reminder.key: kept.reminder async for page in self._table.pages() for kept in page}
        except (NoStoreError, Unsupported):
            return ()
        return tuple(found.values())

    async def put_back(self, kept: Sequence[Reminder]) -> None:
        await asyncio.gather(*(self._table.write(Put(each)) for each in kept))

    def stop(self) -> None:
        self._is_closed = True
        self._triggers.stop()

    async def close(self) -> None:
        self.stop()
        await self._triggers.close()
        if self._reader:
            self._reader.cancel()
            await asyncio.wait([self._reader])
        await self._table.close()

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await self._waiting.sleep_until(self._waiting.monotonic() + seconds)
        else:
            await asyncio.sleep(0)

    # What is known

    async def _read_for_ever(self) -> None:
        while not self._is_closed:
            wait = REREAD
            try:
                await self._read_all()
                self.is_read.set()
            except (NoStoreError, Unsupported):
                self.is_read.set()  # there are none then; the API says so to whoever asks
            except StoreError as error:
                self._triggers.tell(logging.ERROR, "Reminders cannot be read%s: %s", "", error)
                wait = STORE_WAIT
            except Exception:  # without this task no reminder would fire any more
                log.exception("Reminders cannot be read")
                wait = STORE_WAIT
            await self._pause(wait)

    async def _read_all(self) -> None:
        self._triggers.paused = await self._table.paused()
        self._known.reading += 1
        is_first = self._known.reading == 1
        async for page in self._table.pages():
            for kept in page:
                self._meet(kept)
            await self._pause(0 if is_first else REREAD_PAUSE)
        for number, known in enumerate(self._known.all()):
            if known.seen < self._known.reading and self._known.is_current(known) and not known.is_firing:
                self._known.forget(known)  # another sidecar has removed it
            if number % AT_ONCE == 0:
                await self._pause(0)

    def _meet(self, kept: Kept) -> None:
        """It is in the table."""
        key = kept.reminder.key
        known = self._known.find(key)
        is_new = known is None
        if known is None:
            known = self._known.remember(key)
        known.seen = self._known.reading
        if is_new or not (known.is_firing or self._known.is_mine(kept.reminder) or known.etag == kept.etag):
            self._known.expect(known, kept)

    def _written(self, key: Key, change: Change | None) -> None:
        """The table was changed by this sidecar; None: it may have been."""
        known = self._known.find(key)
        if isinstance(change, Remove):
            if known:
                self._known.forget(known)
        elif change is None:
            if not (known and known.is_firing):  # else it is read after the trigger
                self._known.look_in(known or self._known.remember(key), STORE_WAIT)
        elif not change.is_renewal:
            if known:
                self._known.forget(known)
            known = self._known.remember(key)
            if change.again_at is None:
                self._known.look_at(known, change.reminder.due)
            else:
                known.has_come = change.reminder.due
                self._known.retry_at(known, change.again_at)
