"""Reminders: what the API asks of them, and the embedded ones, which this sidecar keeps and fires itself.

The table is what counts; this sidecar remembers of each reminder only when it has to look at it. So the table may be
changed by another sidecar of the same app id, as when one takes the place of the other:
1. The API reads and writes the table alone. Before each tick the row is read: what was deleted does not fire, and
   what was registered anew fires as it is now. After the tick it is changed under the version that was read.
2. A reminder fires on the sidecar that registered it, its owner. Another one takes it over once it has been due and
   unchanged for TAKEOVER; while a tick lasts its owner writes the row now and then. So both fire the same tick only if
   the owner was held up for so long; and a tick whose end was not written comes again.
3. All rows are read again every REREAD: after that a sidecar knows of all that there were.

A reminder fires again only when its last tick is finished and what became of it is written; ticks that were missed
follow one another. While the application does not host a type, or cannot be reached, the ticks of that type wait; of
that nothing is kept.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final, Protocol

import msgspec
from msgspec import Struct, structs

from dapr_state.actors import reminder
from dapr_state.actors.agenda import ROUNDING, Agenda, Date
from dapr_state.actors.firing import Firing, Place
from dapr_state.actors.reminder_table import PATIENCE, Put, Remove
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import SECOND, ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.app.model import ActorId, UnreachableError
from dapr_state.clock import VISIBLE, WAITING
from dapr_state.slices import Work
from dapr_state.stores.base import StoreError
from dapr_state.stores.sortedkeys import SortedKeys

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from dapr_state.actors.reminder import Key, Reminder, Request
    from dapr_state.actors.reminder_table import Change, Kept, ReminderTable
    from dapr_state.app.model import AppAnswer, Tick
    from dapr_state.clock import VisibleClock, WaitingClock

log = logging.getLogger("dapr.runtime.actor.reminders")

LOOK_AGAIN: Final = 1.0  # wall time may be set, or pass while the machine sleeps: so late is it noticed
UNREACHED_WAIT: Final = 1.0  # until an application that could not be reached is tried again, once for each type
STORE_WAIT: Final = 1.0  # until a store that failed is asked again
TAKEOVER: Final = 5.0  # an owner that has not moved a due reminder for so long is gone: law 2
RENEWAL: Final = 2.0  # between two signs of life of an owner, while a tick lasts: two fit before the takeover
REREAD: Final = 30.0  # law 3
REREAD_PAUSE: Final = 0.1  # between pages of 200 rows
TOLD_AGAIN: Final = 60.0  # what may happen with each reminder each second is told once a minute
AT_ONCE: Final = 1000  # that are looked through before others have their turn on the event loop


class ExistsError(Exception):
    """There is a reminder of this name, and it is not to be overwritten."""


class ReminderBackend(ABC):
    """Who keeps reminders. Every method raises StoreError or NoStoreError."""

    @abstractmethod
    async def create(self, request: Request) -> None:
        """Return when it is kept for good. Raises ScheduleError or ExistsError."""

    @abstractmethod
    async def get(self, actor: ActorId, name: str) -> Reminder | None:
        """The reminder; None if there is none, or no more."""

    @abstractmethod
    async def delete(self, actor: ActorId, name: str) -> None:
        """That there is none is a success. A tick that is under way is let finish."""

    @abstractmethod
    async def list(self, actor_type: str, actor_id: str | None = None) -> list[Reminder]:
        """All of a type, or of one actor, by id and name."""

    @abstractmethod
    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        """All of exactly this type, or of one actor."""


class Host(Protocol):
    """Who brings ticks to the actors."""

    def is_hosted(self, kind: str, /) -> bool: ...

    async def deliver_reminder(self, tick: Tick, /) -> AppAnswer: ...


class _Known(Struct, eq=False, gc=False):
    """One reminder, as far as it is remembered. After each change that is written here it is another one."""

    key: Key
    seen: int  # the last reading of the table that has met it
    etag: str = ""  # if another sidecar is the owner: the version that was seen last
    date: Date[_Known] | None = None  # when it is looked at
    has_come: int | None = None  # the due time of the tick that is tried: wall time may be set back meanwhile
    is_firing: bool = False
    renewal: Date[_Known] | None = None  # while a tick lasts: when its row is written again
    renewing: asyncio.Task[None] | None = None
    is_renewed: bool = False


class _Away:
    """An application that could not be reached: until `until` it is not tried, and then by one reminder first."""

    __slots__ = ("probe", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.probe: _Known | None = None


class EmbeddedReminders(ReminderBackend):
    """`begin` it once the store is open; tell it with `hosted` whenever types come to be hosted."""

    def __init__(
        self,
        host: Host,
        table: ReminderTable,
        me: str,
        clock: VisibleClock = VISIBLE,
        waiting: WaitingClock = WAITING,
        *,
        fired: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """`me` tells this sidecar from others that use the table, and is the same after a restart.

        `fired` is told the type, and whether the application took the tick.
        """
        self._host = host
        self._table = table
        self._me = me
        self._clock = clock
        self._waiting = waiting
        self._fired = fired
        self._known: dict[Key, _Known] = {}
        self._counts: dict[str, int] = {}
        self._readings = 0
        self._due = Agenda(clock, clock.nanoseconds, self._ring, LOOK_AGAIN)  # in wall time
        self._retries = Agenda(clock, clock.monotonic_ns, self._ring)  # as the policy says, however wall time is set
        self._waits = Agenda(waiting, waiting.monotonic_ns, self._ring)
        self._renewals = Agenda(waiting, waiting.monotonic_ns, self._begin_renewal)
        self._firing = Firing(self._fire)
        self._parked: dict[str, set[_Known]] = {}  # due, of types that are not hosted
        self._away: dict[str, _Away] = {}
        self._told: dict[tuple[str, str], float] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_closed = False
        table.on_written = self._written

    def __repr__(self) -> str:
        parked = sum(map(len, self._parked.values()))
        return f"<EmbeddedReminders {len(self._known)}, {len(self._firing)} firing, {parked} parked>"

    def counts(self) -> dict[str, int]:
        """The number of reminders of each type, as far as this sidecar knows."""
        return dict(self._counts)

    # What the API asks

    async def create(self, request: Request) -> None:
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

    async def get(self, actor: ActorId, name: str) -> Reminder | None:
        kept = await self._table.read((actor.type, actor.id, name))
        return kept.reminder if kept else None

    async def delete(self, actor: ActorId, name: str) -> None:
        await self._table.write(Remove((actor.type, actor.id, name)))

    async def list(self, actor_type: str, actor_id: str | None = None) -> list[Reminder]:
        found: dict[tuple[str, ...], Reminder] = {}
        keys: SortedKeys[tuple[str, ...]] = SortedKeys()
        work = Work()
        async for page in self._table.pages(actor_type, actor_id):  # which may tell a row twice
            for kept in page:
                found[kept.reminder.key] = kept.reminder
                keys.add(kept.reminder.key)
            if work.is_over():  # a store in memory waits for nothing
                await work.pause()
        return await work.each(lambda key: found[key], keys)

    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        async for page in self._table.pages(actor_type, actor_id):
            await asyncio.gather(*(self._table.write(Remove(kept.reminder.key)) for kept in page))

    # Life

    def begin(self) -> None:
        """Fire from now on what is kept, what fell due while nobody was there included."""
        self._spawn(self._read_for_ever())

    def hosted(self, kinds: Collection[str]) -> None:
        """These types are hosted now: what waited for them is due."""
        for kind in kinds:
            self._away.pop(kind, None)
            for known in self._parked.pop(kind, ()):
                self._look_in(known, 0)

    def stop(self) -> None:
        """Begin no tick any more."""
        self._is_closed = True
        self._due.close()
        self._retries.close()
        self._waits.close()
        self._firing.clear()

    async def close(self) -> None:
        """Stop; a tick that is still under way is given up, and comes again after the next start."""
        self.stop()
        self._renewals.close()
        await self._firing.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._table.close()

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await self._waiting.sleep_until(self._waiting.monotonic() + seconds)
        else:
            await asyncio.sleep(0)

    def _tell(self, level: int, sentence: str, subject: str, error: Exception) -> None:
        """Log what may come up for many reminders, and each second: once a minute."""
        now = self._waiting.monotonic()
        if now >= self._told.get((sentence, subject), 0.0):
            self._told[sentence, subject] = now + TOLD_AGAIN
            log.log(level, sentence, subject, error)

    # What is known

    async def _read_for_ever(self) -> None:
        while not self._is_closed:
            wait = REREAD
            try:
                await self._read_all()
            except NoStoreError:
                pass  # there are none then; the API says so to whoever asks
            except StoreError as error:
                self._tell(logging.ERROR, "Reminders cannot be read%s: %s", "", error)
                wait = STORE_WAIT
            except Exception:  # without this task no reminder would fire any more
                log.exception("Reminders cannot be read")
                wait = STORE_WAIT
            await self._pause(wait)

    async def _read_all(self) -> None:
        self._readings += 1
        is_first = self._readings == 1
        async for page in self._table.pages():
            for kept in page:
                self._meet(kept)
            await self._pause(0 if is_first else REREAD_PAUSE)
        for number, known in enumerate(tuple(self._known.values())):
            if known.seen < self._readings and self._is_current(known) and not known.is_firing:
                self._forget(known)  # another sidecar has removed it
            if number % AT_ONCE == 0:
                await self._pause(0)

    def _meet(self, kept: Kept) -> None:
        """It is in the table."""
        key = kept.reminder.key
        known = self._known.get(key)
        is_new = known is None
        if known is None:
            known = self._remember(key)
        known.seen = self._readings
        if is_new or not (known.is_firing or self._is_mine(kept.reminder) or known.etag == kept.etag):
            self._expect(known, kept)

    def _written(self, key: Key, change: Change | None) -> None:
        """The table was changed by this sidecar; None: it may have been."""
        known = self._known.get(key)
        if isinstance(change, Remove):
            if known:
                self._forget(known)
        elif change is None:
            if not (known and known.is_firing):  # else it is read after the tick
                self._look_in(known or self._remember(key), STORE_WAIT)
        elif not change.is_renewal:
            if known:
                self._forget(known)
            known = self._remember(key)
            if change.again_at is None:
                self._look_at(known, change.reminder.due)
            else:
                known.has_come = change.reminder.due
                self._set_date(known, self._retries, change.again_at)

    def _remember(self, key: Key) -> _Known:
        kind = sys.intern(key[0])
        self._counts[kind] = self._counts.get(kind, 0) + 1
        known = self._known[key] = _Known((kind, key[1], key[2]), self._readings)
        return known

    def _forget(self, known: _Known) -> None:
        kind = known.key[0]
        del self._known[known.key]
        self._counts[kind] -= 1
        if not self._counts[kind]:
            del self._counts[kind]
        if kind in self._parked:
            self._parked[kind].discard(known)
        if known.date:
            known.date.cancel()

    def _is_current(self, known: _Known) -> bool:
        return self._known.get(known.key) is known

    def _is_mine(self, current: Reminder) -> bool:
        return current.owner == self._me

    # When each is looked at

    def _look_at(self, known: _Known, when: int) -> None:
        self._set_date(known, self._due, when)

    def _look_in(self, known: _Known, seconds: float) -> None:
        self._set_date(known, self._waits, self._waiting.monotonic_ns() + round(seconds * SECOND))

    def _set_date(self, known: _Known, agenda: Agenda[_Known], when: int) -> None:
        if known.date:
            known.date.cancel()
        if self._is_current(known):
            known.date = agenda.add(when, known)

    def _expect(self, known: _Known, kept: Kept) -> None:
        """Look at it when it is due; at one of another sidecar, when it should have changed."""
        due = kept.reminder.due
        if self._is_mine(kept.reminder):
            self._look_at(known, due)
            return
        known.etag = kept.etag
        if due > self._clock.nanoseconds():
            self._look_at(known, due + round(TAKEOVER * SECOND))
        else:
            self._look_in(known, TAKEOVER)

    def _ring(self, known: _Known) -> None:
        kind, actor_id, _ = known.key
        known.date = None
        away = self._away.get(kind)
        if not self._host.is_hosted(kind):
            self._park(known)
        elif away and (away.probe or self._waiting.monotonic() < away.until):
            self._look_in(known, UNREACHED_WAIT)
        else:
            if away:
                away.probe = known
            self._firing.offer(ActorId(kind, actor_id), known)

    def _park(self, known: _Known) -> None:
        if self._is_current(known):
            self._parked.setdefault(known.key[0], set()).add(known)

    # A tick

    async def _fire(self, known: _Known, place: Place) -> None:
        away = self._away.get(known.key[0])
        if away and away.probe is not known:
            self._look_in(known, UNREACHED_WAIT)
            return
        known.is_firing = True
        try:
            if self._is_current(known) and not self._is_closed:
                await self._look(known, place)
        except (StoreError, NoStoreError) as error:
            self._tell(logging.ERROR, "Reminders cannot be read%s: %s", "", error)
            self._look_in(known, STORE_WAIT)
        except Exception:  # without a date it would never come again
            log.exception("Reminder %s failed", known.key)
            self._look_in(known, STORE_WAIT)
        finally:
            known.is_firing = False
            if away and away.probe is known:
                away.probe = None

    async def _look(self, known: _Known, place: Place) -> None:
        kept = await self._table.read(known.key)
        if not self._is_current(known):  # registered anew meanwhile, or deleted
            return
        if kept is None:
            self._forget(known)
            return
        known.seen = self._readings
        due = kept.reminder.due
        if due != known.has_come and due > self._clock.nanoseconds() + ROUNDING:
            self._expect(known, kept)
        elif self._is_mine(kept.reminder):
            await self._tick(known, kept, place)
        elif known.etag == kept.etag:
            await self._take_over(known, kept)
        else:
            self._expect(known, kept)

    async def _take_over(self, known: _Known, kept: Kept) -> None:
        """Where it is written that this sidecar is the owner, the reminder is looked at again."""
        if not await self._table.write(Put(structs.replace(kept.reminder, owner=self._me), kept.etag)):
            self._look_in(known, TAKEOVER)

    async def _tick(self, known: _Known, kept: Kept, place: Place) -> None:
        current = kept.reminder
        kind, known.has_come = current.type, current.due
        known.renewal = self._renewals.add(self._waiting.monotonic_ns() + round(RENEWAL * SECOND), known)
        try:
            answer = await self._host.deliver_reminder(current.tick())
        except ClosingError:
            self.stop()
            return
        except UnreachableError as error:
            self._unreached(known, error)
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the policy says what follows
            if not self._host.is_hosted(kind):
                self._park(known)
                return
            log.error("Error executing reminder %s||%s||%s: %s", *current.key, error)  # noqa: TRY400  as daprd
            after, is_taken = current.failed(), False
        else:
            after, is_taken = None if answer.cancels_reminder else current.finished(), True
        finally:
            known.renewal.cancel()  # the latest: it has set the next one
            known.renewal = None
            place.leave()
        self._away.pop(kind, None)
        self._fired(kind, is_taken)
        await self._keep(known, kept, after)

    def _unreached(self, known: _Known, error: UnreachableError) -> None:
        """That is no attempt, or a restart of the application would cost reminders."""
        kind = known.key[0]
        self._tell(logging.WARNING, "Reminders of %s wait for the application: %s", kind, error)
        away = self._away.setdefault(kind, _Away())
        away.until = self._waiting.monotonic() + UNREACHED_WAIT
        self._look_in(known, UNREACHED_WAIT)

    async def _keep(self, known: _Known, kept: Kept, after: Reminder | None) -> None:
        """Return when it is written; if the store fails, the reminder waits for it."""
        before = kept.reminder
        again_at = self._clock.monotonic_ns() + round(before.retry_interval * SECOND)
        if after is before:
            self._set_date(known, self._retries, again_at)
            return
        while self._is_current(known):
            try:
                if not await self._change(known, kept, after, again_at):
                    self._look_in(known, 0)  # another sidecar has changed it
            except (StoreError, NoStoreError) as error:
                self._tell(logging.ERROR, "Reminders cannot be written%s: %s", "", error)
                await self._pause(STORE_WAIT)
            else:
                return

    async def _change(self, known: _Known, kept: Kept, after: Reminder | None, again_at: int) -> bool:
        """Whether it was still as it was before the tick."""
        before = kept.reminder
        if known.renewing:
            await known.renewing
        # Redis counts versions, and begins again after a delete
        if known.is_renewed or kept.etag.isdecimal():
            found = await self._table.read(before.key)
            if found is None or not _is_same_tick(found.reminder, before):
                return False
            kept = found
        if not self._is_current(known):
            return False
        if after is None:
            return await self._table.write(Remove(before.key, kept.etag), is_patient=True)
        is_retry = after.due == before.due
        is_patient = is_retry or after.due > self._clock.nanoseconds() + round(PATIENCE * SECOND)
        return await self._table.write(
            Put(after, kept.etag, again_at=again_at if is_retry else None), is_patient=is_patient
        )

    def _begin_renewal(self, known: _Known) -> None:
        known.renewal = self._renewals.add(self._waiting.monotonic_ns() + round(RENEWAL * SECOND), known)
        if not known.renewing:
            known.is_renewed = True
            known.renewing = self._spawn(self._renew(known))

    async def _renew(self, known: _Known) -> None:
        """Show other sidecars that the tick is under way here."""
        try:
            kept = await self._table.read(known.key)
            if kept and self._is_mine(kept.reminder) and self._is_current(known):
                await self._table.write(Put(kept.reminder, kept.etag, is_renewal=True))
        except (StoreError, NoStoreError) as error:
            log.debug("A reminder is not renewed: %s", error)  # what becomes of the tick is written or told
        finally:
            known.renewing = None


def _is_same_tick(one: Reminder, other: Reminder) -> bool:
    return (one.registration, one.owner, one.due) == (other.registration, other.owner, other.due)
