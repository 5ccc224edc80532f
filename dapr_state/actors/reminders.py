"""Reminders: what the API asks of them, and the embedded ones, which this sidecar keeps and fires itself.

One alarm is set, for the earliest of all. A reminder fires again only when its last tick is finished and what became of
it is written; ticks that were missed follow one another. While the application does not host a type, or cannot be
reached, the ticks of that type wait.
"""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from heapq import heapify, heappop, heappush
from typing import TYPE_CHECKING, Final, Protocol

import msgspec

from dapr_state.actors import reminder
from dapr_state.actors.reminder_pages import Change
from dapr_state.actors.reminder_store import PATIENCE, ReminderStore
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.app.model import UnreachableError
from dapr_state.clock import SYSTEM
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Coroutine

    from dapr_state.actors.reminder import Key, Reminder, Request
    from dapr_state.app.model import ActorId, AppAnswer, Tick
    from dapr_state.clock import Alarm, Clock
    from dapr_state.stores.base import StateStore

log = logging.getLogger("dapr.runtime.actor.reminders")

AT_ONCE: Final = 100  # fires that begin before others have their turn on the event loop
LONGEST_WAIT: Final = 60.0  # wall time may be set, or pass while the machine sleeps: look at it again after so long
STORE_WAIT: Final = 1.0  # until a store that failed is asked again
_ROUNDING: Final = 1e-6  # wall time as a float is exact to a quarter of it
_SPARE: Final = 64


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


class EmbeddedReminders(ReminderBackend):
    """`begin` it once the store is open; tell it with `hosted` whenever types come to be hosted."""

    def __init__(
        self,
        host: Host,
        app_id: str,
        store: Callable[[], StateStore | None],
        clock: Clock = SYSTEM,
        fired: Callable[[str, bool], None] = lambda *_: None,
    ) -> None:
        """`fired` is told the type, and whether the application took the tick."""
        self._host = host
        self._clock = clock
        self._fired = fired
        self._store = ReminderStore(app_id, store, self._changed, clock)
        self._queue: list[tuple[float, Key, str]] = []  # entries whose reminder has changed since are passed over
        self._firing: set[Key] = set()
        self._parked: set[Key] = set()  # due, of types that are not hosted
        self._tasks: set[asyncio.Task[None]] = set()
        self._alarm: Alarm | None = None
        self._alarm_at = 0.0  # wall time
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<EmbeddedReminders {len(self._store)}, {len(self._firing)} firing, {len(self._parked)} parked>"

    def counts(self) -> dict[str, int]:
        """The number of reminders of each type."""
        counts: dict[str, int] = {}
        for each in self._store.all():
            counts[each.type] = counts.get(each.type, 0) + 1
        return counts

    # What the API asks

    async def create(self, request: Request) -> None:
        new = reminder.register(request, self._clock.now())
        try:
            msgspec.json.encode(new)
        except UnicodeEncodeError as error:
            raise ScheduleError(f"the reminder is not valid Unicode: {error.reason}") from None
        await self._store.load()
        change = Change(new.key, None if new.is_over else new, only_new=not request.overwrite)
        if not request.overwrite and self._store.get(new.key):
            raise ExistsError
        (is_changed,) = await self._store.apply((change,))
        if not (is_changed or request.overwrite or new.is_over):
            raise ExistsError

    async def get(self, actor: ActorId, name: str) -> Reminder | None:
        await self._store.load()
        return self._store.get((actor.type, actor.id, name))

    async def delete(self, actor: ActorId, name: str) -> None:
        await self._store.apply((Change((actor.type, actor.id, name), None),))

    async def list(self, actor_type: str, actor_id: str | None = None) -> list[Reminder]:
        await self._store.load()
        found = (each for each in self._store.all() if each.type == actor_type and actor_id in {None, each.id})
        return sorted(found, key=lambda each: each.key)

    async def delete_all(self, actor_type: str, actor_id: str | None = None) -> None:
        found = await self.list(actor_type, actor_id)
        if found:
            await self._store.apply([Change(each.key, None) for each in found])

    # Life

    def begin(self) -> None:
        """Fire from now on what is kept, what fell due while nobody was there included."""
        self._spawn(self._load())

    def hosted(self, kinds: Collection[str]) -> None:
        """These types are hosted now: what waited for them is due."""
        due = {key for key in self._parked if key[0] in kinds}
        self._parked -= due
        for key in due:
            self._enqueue(key)
        self._set_alarm()

    def stop(self) -> None:
        """Begin no tick any more."""
        self._is_closed = True
        if self._alarm:
            self._alarm.cancel()

    async def close(self) -> None:
        """Stop; a tick that is still under way is given up, and comes again after the next start."""
        self.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        await self._store.close()

    async def _load(self) -> None:
        while True:
            try:
                await self._store.load()
            except NoStoreError:
                return  # there are none then; the API says so to whoever asks
            except StoreError as error:
                log.error("Reminders cannot be read yet: %s", error)  # noqa: TRY400  the reason says it all
                await self._clock.sleep_until(self._clock.monotonic() + STORE_WAIT)
            else:
                return

    # The queue

    def _changed(self, key: Key) -> None:
        if key not in self._firing:  # else it is looked at when the tick is finished
            self._enqueue(key)
            self._set_alarm()

    def _enqueue(self, key: Key) -> None:
        current = self._store.get(key)
        if current is None:
            return
        heappush(self._queue, (current.wakes_at, key, current.registration))
        if len(self._queue) > 2 * len(self._store) + _SPARE:
            self._queue = [entry for entry in set(self._queue) if self._is_live(entry)]
            heapify(self._queue)

    def _is_live(self, entry: tuple[float, Key, str]) -> bool:
        wakes_at, key, registration = entry
        current = self._store.get(key)
        return current is not None and current.registration == registration and current.wakes_at == wakes_at

    def _set_alarm(self) -> None:
        if self._is_closed or not self._queue:
            return
        now = self._clock.now()
        when = min(self._queue[0][0], now + LONGEST_WAIT)
        if self._alarm:
            if self._alarm_at <= when:
                return
            self._alarm.cancel()
        self._alarm_at = when
        self._alarm = self._clock.call_at(self._clock.monotonic() + when - now, self._ring)

    def _ring(self) -> None:
        self._alarm = None
        now, begun = self._clock.now() + _ROUNDING, 0
        while self._queue and self._queue[0][0] <= now and begun < AT_ONCE:
            entry = heappop(self._queue)
            key = entry[1]
            current = self._store.get(key)
            if current is None or key in self._firing or not self._is_live(entry):
                continue
            if not self._host.is_hosted(key[0]):
                self._parked.add(key)
                continue
            self._firing.add(key)
            self._spawn(self._fire(current))
            begun += 1
        self._set_alarm()

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # A tick

    async def _fire(self, current: Reminder) -> None:
        try:
            await self._keep(current, await self._deliver(current))
        finally:
            self._firing.discard(current.key)
        self._enqueue(current.key)  # as it is now: it may have been registered anew
        self._set_alarm()

    async def _deliver(self, current: Reminder) -> Reminder | None:
        """The reminder as it is to be after this tick."""
        try:
            answer = await self._host.deliver_reminder(current.tick())
        except ClosingError:
            self.stop()
            return current
        except UnreachableError as error:
            log.warning("Reminder %s||%s||%s waits for the application: %s", *current.key, error)
            return current.unreached(self._clock.now())
        except Exception as error:  # noqa: BLE001  whatever went wrong, the policy says what follows
            if not self._host.is_hosted(current.type):
                return current
            self._fired(current.type, False)
            log.error("Error executing reminder %s||%s||%s: %s", *current.key, error)  # noqa: TRY400  as daprd
            return current.failed(self._clock.now())
        self._fired(current.type, True)
        return None if answer.cancels_reminder else current.finished()

    async def _keep(self, before: Reminder, after: Reminder | None) -> None:
        """Return when it is written; if the store fails, the reminder waits for it."""
        current = self._store.get(before.key)
        if after is before or current is None or current.registration != before.registration:
            return  # not given, or deleted or registered anew meanwhile
        change = Change(before.key, after, before.registration)
        is_patient = after is None or after.wakes_at > self._clock.now() + PATIENCE
        while True:
            try:
                await self._store.apply((change,), is_patient=is_patient)
            except (StoreError, NoStoreError) as error:
                log.error("Reminder %s||%s||%s cannot be written: %s", *before.key, error)  # noqa: TRY400
                is_patient = False
                await self._clock.sleep_until(self._clock.monotonic() + STORE_WAIT)
            else:
                return
