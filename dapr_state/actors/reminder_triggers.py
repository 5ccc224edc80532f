"""Triggers of reminders: each is read before it is fired, and what becomes of it is written after that."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct, structs

from dapr_state.actors.agenda import ROUNDING, Agenda
from dapr_state.actors.firing import Firing, Place
from dapr_state.actors.gate import AwayError
from dapr_state.actors.known_reminders import TAKEOVER, Known, KnownReminders
from dapr_state.actors.reminder_table import PATIENCE, Put, Remove
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import SECOND
from dapr_state.actors.state import NoStoreError
from dapr_state.app.model import ActorId, UnreachableError
from dapr_state.errors import shortened
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from dapr_state.actors.reminder import Key, Reminder
    from dapr_state.actors.reminder_table import Kept, ReminderTable
    from dapr_state.app.model import AppAnswer, Trigger
    from dapr_state.clock import VisibleClock, WaitingClock

log = logging.getLogger("dapr.runtime.actor.reminders")

UNREACHED_WAIT: Final = 1.0  # until an application that could not be reached is tried again, once for each type
STORE_WAIT: Final = 1.0  # until a store that failed is asked again
RENEWAL: Final = 2.0  # between two signs of life of an owner, while a trigger lasts: two fit before the takeover
LONGEST_ERROR: Final = 200  # characters of what the application said, that are remembered
OUTCOMES_AT_MOST: Final = 10_000  # of triggers, that are remembered for whoever looks: 3 MB
TOLD_AGAIN: Final = 60.0  # what may happen with each reminder each second is told once a minute


class TriggerTarget(Protocol):
    """Who brings triggers to the actors."""

    def is_hosted(self, actor_type: str, /) -> bool: ...

    async def deliver_reminder(self, trigger: Trigger, /) -> AppAnswer: ...


class Outcome(Struct, gc=False):
    """What became of a reminder's triggers since this sidecar began."""

    fired: int = 0  # since it began
    last_at: float = 0.0  # unix seconds
    error: str = ""  # of the last one, if it has failed


class _Away:
    """An application that could not be reached: until `until` it is not tried, and then by one reminder first."""

    __slots__ = ("probe", "until")

    def __init__(self) -> None:
        self.until = 0.0
        self.probe: Known | None = None


class ReminderTriggers:
    """Fires the reminders that are `known` when they are due."""

    def __init__(
        self,
        target: TriggerTarget,
        table: ReminderTable,
        me: str,
        clock: VisibleClock,
        waiting: WaitingClock,
        *,
        fired: Callable[[str, bool], None],
    ) -> None:
        self._target = target
        self._table = table
        self._me = me
        self._clock = clock
        self._waiting = waiting
        self._fired = fired
        self.known = KnownReminders(me, clock, waiting, self._ring)
        self._renewals = Agenda(waiting, waiting.monotonic_ns, self._begin_renewal)
        self._renewing: set[asyncio.Task[None]] = set()
        self._firing = Firing(self._fire)
        self._away: dict[str, _Away] = {}
        self._told: dict[tuple[str, str], float] = {}
        self.outcomes: OrderedDict[Key, Outcome] = OrderedDict()
        self.paused: set[str] = set()  # types
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<ReminderTriggers {len(self._firing)} firing, {self.known!r}>"

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._firing)

    @property
    def is_idle(self) -> bool:
        """Whether none is under way, nor about to be, and none waits for the application or the store."""
        return self._firing.is_idle and not self._renewing and not self.known.waits

    def hosted(self, types: Collection[str]) -> None:
        """These types are hosted now: what waited for them is due."""
        for actor_type in types:
            self._away.pop(actor_type, None)
            if actor_type not in self.paused:
                self.known.unpark(actor_type)

    def stop(self) -> None:
        """Begin none any more."""
        self._is_closed = True
        self.known.close()
        self._firing.clear()

    async def close(self) -> None:
        self.stop()
        self._renewals.close()
        await self._firing.close()
        for renewing in self._renewing:
            renewing.cancel()
        if self._renewing:
            await asyncio.wait(self._renewing)

    def tell(self, level: int, sentence: str, subject: str, error: Exception) -> None:
        """Log what may come up for many reminders, and each second: once a minute."""
        now = self._waiting.monotonic()
        if now >= self._told.get((sentence, subject), 0.0):
            self._told[sentence, subject] = now + TOLD_AGAIN
            log.log(level, sentence, subject, error)

    def _ring(self, known: Known) -> None:
        actor_type, actor_id, _ = known.key
        known.date = None
        away = self._away.get(actor_type)
        if not self._target.is_hosted(actor_type) or actor_type in self.paused:
            self.known.park(known)
        elif away and (away.probe or self._waiting.monotonic() < away.until):
            self.known.look_in(known, UNREACHED_WAIT)
        else:
            if away:
                away.probe = known
            self._firing.offer(ActorId(actor_type, actor_id), known)

    # A trigger

    async def _fire(self, known: Known, place: Place) -> None:
        away = self._away.get(known.key[0])
        if away and away.probe is not known:
            self.known.look_in(known, UNREACHED_WAIT)
            return
        known.is_firing = True
        try:
            if self.known.is_current(known) and not self._is_closed:
                await self._check(known, place)
        except (StoreError, NoStoreError) as error:
            self.tell(logging.ERROR, "Reminders cannot be read%s: %s", "", error)
            self.known.look_in(known, STORE_WAIT)
        except Exception:  # without a date it would never come again
            log.exception("Reminder %s failed", known.key)
            self.known.look_in(known, STORE_WAIT)
        finally:
            known.is_firing = False
            if away and away.probe is known:
                away.probe = None

    async def _check(self, known: Known, place: Place) -> None:
        kept = await self._table.read(known.key)
        if not self.known.is_current(known):  # registered anew meanwhile, or deleted
            return
        if kept is None:
            self.known.forget(known)
            return
        known.seen = self.known.reading
        due = kept.reminder.due
        if due != known.has_come and due > self._clock.nanoseconds() + ROUNDING:
            self.known.expect(known, kept)
        elif self.known.is_mine(kept.reminder):
            await self._trigger(known, kept, place)
        elif known.etag == kept.etag:
            await self._take_over(known, kept)
        else:
            self.known.expect(known, kept)

    async def _take_over(self, known: Known, kept: Kept) -> None:
        """Where it is written that this sidecar is the owner, the reminder is looked at again."""
        if not await self._table.write(Put(structs.replace(kept.reminder, owner=self._me), kept.etag)):
            self.known.look_in(known, TAKEOVER)

    async def _trigger(self, known: Known, kept: Kept, place: Place) -> None:
        current = kept.reminder
        actor_type, known.has_come = current.type, current.due
        known.renewal = self._renewals.add(self._waiting.monotonic_ns() + round(RENEWAL * SECOND), known)
        try:
            answer = await self._target.deliver_reminder(current.trigger())
        except ClosingError:
            self.stop()
            return
        except (UnreachableError, AwayError) as error:
            self._unreached(known, error)
            return
        except Exception as error:  # noqa: BLE001  whatever went wrong, the policy says what follows
            if not self._target.is_hosted(actor_type):
                self.known.park(known)
                return
            log.error("Error executing reminder %s||%s||%s: %s", *current.key, error)  # noqa: TRY400  as daprd
            after, is_taken = current.failed(), False
            self._note(current.key, str(error))
        else:
            self._note(current.key)
            after, is_taken = None if answer.cancels_reminder else current.finished(), True
        finally:
            known.renewal.cancel()  # the latest: it has set the next one
            known.renewal = None
            place.leave()
        self._away.pop(actor_type, None)
        self._fired(actor_type, is_taken)
        await self._keep(known, kept, after)

    def _note(self, key: Key, error: str = "") -> None:
        outcome = self.outcomes.pop(key, None) or Outcome()
        self.outcomes[key] = outcome
        outcome.fired += not error
        outcome.last_at, outcome.error = self._clock.now(), shortened(error, LONGEST_ERROR)
        if len(self.outcomes) > OUTCOMES_AT_MOST:
            self.outcomes.popitem(last=False)

    def _unreached(self, known: Known, error: Exception) -> None:
        """That is no attempt, or a restart of the application would cost reminders."""
        actor_type = known.key[0]
        self.tell(logging.WARNING, "Reminders of %s wait for the application: %s", actor_type, error)
        away = self._away.setdefault(actor_type, _Away())
        away.until = self._waiting.monotonic() + UNREACHED_WAIT
        self.known.look_in(known, UNREACHED_WAIT)

    async def _keep(self, known: Known, kept: Kept, after: Reminder | None) -> None:
        """Return when it is written; if the store fails, the reminder waits for it."""
        before = kept.reminder
        again_at = self._clock.monotonic_ns() + round(before.retry_interval * SECOND)
        if after is before:
            self.known.retry_at(known, again_at)
            return
        while self.known.is_current(known):
            try:
                if not await self._change(known, kept, after, again_at):
                    self.known.look_in(known, 0)  # another sidecar has changed it
            except (StoreError, NoStoreError) as error:
                self.tell(logging.ERROR, "Reminders cannot be written%s: %s", "", error)
                await self._waiting.sleep_until(self._waiting.monotonic() + STORE_WAIT)
            else:
                return

    async def _change(self, known: Known, kept: Kept, after: Reminder | None, again_at: int) -> bool:
        """Whether it was still as it was before the trigger."""
        before = kept.reminder
        if known.renewing:
            await known.renewing
        # Redis counts versions, and begins again after a delete
        if known.is_renewed or kept.etag.isdecimal():
            found = await self._table.read(before.key)
            if found is None or not _is_same_tick(found.reminder, before):
                return False
            kept = found
        if not self.known.is_current(known):
            return False
        if after is None:
            return await self._table.write(Remove(before.key, kept.etag), is_patient=True)
        is_retry = after.due == before.due
        is_patient = is_retry or after.due > self._clock.nanoseconds() + round(PATIENCE * SECOND)
        return await self._table.write(
            Put(after, kept.etag, again_at=again_at if is_retry else None), is_patient=is_patient
        )

    def _begin_renewal(self, known: Known) -> None:
        known.renewal = self._renewals.add(self._waiting.monotonic_ns() + round(RENEWAL * SECOND), known)
        if not known.renewing:
            known.is_renewed = True
            known.renewing = asyncio.ensure_future(self._renew(known))
            self._renewing.add(known.renewing)
            known.renewing.add_done_callback(self._renewing.discard)

    async def _renew(self, known: Known) -> None:
        """Show other sidecars that the trigger is under way here."""
        try:
            kept = await self._table.read(known.key)
            if kept and self.known.is_mine(kept.reminder) and self.known.is_current(known):
                await self._table.write(Put(kept.reminder, kept.etag, is_renewal=True))
        except (StoreError, NoStoreError) as error:
            log.debug("A reminder is not renewed: %s", error)  # what becomes of the trigger is written or told
        finally:
            known.renewing = None


def _is_same_tick(one: Reminder, other: Reminder) -> bool:
    return (one.registration, one.owner, one.due) == (other.registration, other.owner, other.due)
