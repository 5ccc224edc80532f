"""The reminders of the table, as far as this sidecar remembers them: when it has to look at each of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.actors.agenda import Agenda, Date
from dapr_state.actors.schedule import SECOND

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from dapr_state.actors.reminder import Key, Reminder
    from dapr_state.actors.reminder_table import Kept
    from dapr_state.clock import VisibleClock, WaitingClock

LOOK_AGAIN: Final = 1.0  # wall time may be set, or pass while the machine sleeps: so late is it noticed
TAKEOVER: Final = 5.0  # an owner that has not moved a due reminder for so long is gone: law 2 of embedded_reminders


class Known(Struct, eq=False, gc=False):
    """One reminder, as far as it is remembered. After each change that is written here it is another one."""

    key: Key
    seen: int  # the last reading of the table that has met it
    etag: str = ""  # if another sidecar is the owner: the version that was seen last
    date: Date[Known] | None = None  # when it is looked at
    has_come: int | None = None  # the due time of the trigger that is tried: wall time may be set back meanwhile
    is_firing: bool = False
    renewal: Date[Known] | None = None  # while a trigger lasts: when its row is written again
    renewing: asyncio.Task[None] | None = None
    is_renewed: bool = False


class KnownReminders:
    """`ring` is called with each of them when it has to be looked at."""

    def __init__(self, me: str, clock: VisibleClock, waiting: WaitingClock, ring: Callable[[Known], None]) -> None:
        self._me = me
        self._clock = clock
        self._waiting = waiting
        self._known: dict[Key, Known] = {}
        self._counts: dict[str, int] = {}
        self.reading = 0  # of the table: the number of the latest
        self._due = Agenda(clock, clock.nanoseconds, ring, LOOK_AGAIN)  # in wall time
        self._retries = Agenda(clock, clock.monotonic_ns, ring)  # as the policy says, however wall time is set
        self._waits = Agenda(waiting, waiting.monotonic_ns, ring)
        self._parked: dict[str, set[Known]] = {}  # due, of types that are not hosted, or are paused

    def __repr__(self) -> str:
        return f"<KnownReminders {len(self._known)}, {self.parked} parked>"

    def __len__(self) -> int:
        return len(self._known)

    @property
    def parked(self) -> int:
        return sum(map(len, self._parked.values()))

    def parked_of(self, actor_type: str) -> int:
        return len(self._parked.get(actor_type, ()))

    def counts(self) -> dict[str, int]:
        return dict(self._counts)

    def find(self, key: Key) -> Known | None:
        return self._known.get(key)

    def all(self) -> tuple[Known, ...]:
        return tuple(self._known.values())

    @property
    def next_due(self) -> int | None:
        """When the next one falls due, or is tried again, in nanoseconds since 1970."""
        ahead = self._clock.nanoseconds() - self._clock.monotonic_ns()
        again = self._retries.next
        return min((when for when in (self._due.next, again and again + ahead) if when is not None), default=None)

    @property
    def waits(self) -> bool:
        """Whether one waits for what no clock of users tells: for the application, the store, or another sidecar."""
        return self._waits.next is not None

    def ring(self) -> None:
        """Look at those that are due now, by type, id and name."""
        for agenda in (self._due, self._retries):
            agenda.ring(lambda known: known.key)

    def close(self) -> None:
        """None is looked at any more."""
        self._due.close()
        self._retries.close()
        self._waits.close()

    def remember(self, key: Key) -> Known:
        actor_type = sys.intern(key[0])
        self._counts[actor_type] = self._counts.get(actor_type, 0) + 1
        known = self._known[key] = Known((actor_type, key[1], key[2]), self.reading)
        return known

    def forget(self, known: Known) -> None:
        actor_type = known.key[0]
        del self._known[known.key]
        self._counts[actor_type] -= 1
        if not self._counts[actor_type]:
            del self._counts[actor_type]
        if actor_type in self._parked:
            self._parked[actor_type].discard(known)
        if known.date:
            known.date.cancel()

    def is_current(self, known: Known) -> bool:
        return self._known.get(known.key) is known

    def is_mine(self, current: Reminder) -> bool:
        return current.owner == self._me

    # When each is looked at

    def look_at(self, known: Known, when: int) -> None:
        self._set_date(known, self._due, when)

    def look_in(self, known: Known, seconds: float) -> None:
        self._set_date(known, self._waits, self._waiting.monotonic_ns() + round(seconds * SECOND))

    def retry_at(self, known: Known, when: int) -> None:
        """`when` is monotonic."""
        self._set_date(known, self._retries, when)

    def _set_date(self, known: Known, agenda: Agenda[Known], when: int) -> None:
        if known.date:
            known.date.cancel()
        if self.is_current(known):
            known.date = agenda.add(when, known)

    def expect(self, known: Known, kept: Kept) -> None:
        """Look at it when it is due; at one of another sidecar, when it should have changed."""
        due = kept.reminder.due
        if self.is_mine(kept.reminder):
            self.look_at(known, due)
            return
        known.etag = kept.etag
        if due > self._clock.nanoseconds():
            self.look_at(known, due + round(TAKEOVER * SECOND))
        else:
            self.look_in(known, TAKEOVER)

    def is_parked(self, known: Known) -> bool:
        return known in self._parked.get(known.key[0], ())

    def park(self, known: Known) -> None:
        if self.is_current(known):
            self._parked.setdefault(known.key[0], set()).add(known)

    def unpark(self, actor_type: str) -> None:
        """The type is hosted now."""
        for known in self._parked.pop(actor_type, ()):
            self.look_in(known, 0)
