"""Turns under a policy that bounds how long a caller waits, and turns that go on though theirs waits no longer.

Rules that a change must keep:
1. A turn ends when the application has answered, or its connection has: never because somebody has waited long enough.
   The next one would run beside it.
2. Who is told that it took too long is told so once, and the answer that comes after all is kept for him (`LateError`).
3. Who waits behind such a turn waits for it no longer than for an answer of his own.
4. Bounds are those of now: when policies change, turns that run are measured by the new ones from their begin on. Who
   waits for an answer already waits as long as he was to.
5. What such turns hold is bounded, in calls and octets: their callers have gone and wait for nothing. Where an
   application owes as much, no other turn begins under a policy.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from dapr_state.actors.shielded import RunToCompletion
from dapr_state.app.model import ActorCall, AppError
from dapr_state.golang.duration import format_duration
from dapr_state.resiliency.begun import DEADLINE_TEXT, Begun

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dapr_state.actors.turns import Turn, TurnQueue
    from dapr_state.app.model import ActorId, AppAnswer, Trigger
    from dapr_state.clock import Alarm, WaitingClock
    from dapr_state.resiliency.guard import Counts

    Leave = Callable[[RunToCompletion[Any] | None], None]  # the turn, with what ran in it

QUIET: Final = 1.0  # seconds between two lines of the log on one type: an application may hang in a thousand actors

# Calls that an application may owe an answer to callers who have been told that it took too long: twice the connections
# that there are to it. Each keeps 5 kB beside its body.
HELD: Final = 2048
HELD_OCTETS: Final = 32 << 20  # of their bodies, as of all large requests (--max-request-memory)
CUTS: Final = 20  # turns that are ended in one turn of the event loop, 0.1 ms each

log = logging.getLogger("dapr.runtime.actor")


class LateError(AppError):
    """There was no answer in time. `begun` is what goes on, None where it was only waited for a turn."""

    def __init__(self, begun: Begun | None = None) -> None:
        super().__init__(DEADLINE_TEXT)
        self.begun = begun


class Patience(NamedTuple):
    """Of a type: how long its callers wait for an answer, and how long a turn may take; in seconds, 0 is any time."""

    seconds: float
    longest_turn: float
    counts: Counts


class Held(NamedTuple):
    """A turn that is taken by a call whose caller has had his answer."""

    actor: ActorId
    method: str
    began: float  # by the clock that waits
    overdue_since: float
    octets: int


class Overdue:
    """`run` a call in its turn; `held` are those that the application owes an answer."""

    def __init__(self, clock: WaitingClock) -> None:
        self._clock = clock
        self.patience: Callable[[str], Patience | None] | None = None  # of types
        self._held: dict[RunToCompletion[Any], Held] = {}
        self._alarms: dict[RunToCompletion[Any], list[Alarm]] = {}  # when it is too long
        self._held_octets = 0
        self._to_cut: deque[tuple[RunToCompletion[Any], ActorCall | Trigger, Patience]] = deque()
        self._quiet_late, self._quiet_cut = _Quiet(), _Quiet()

    def __repr__(self) -> str:
        return f"<Overdue {len(self._held)}>"

    @property
    def held(self) -> list[Held]:
        return list(self._held.values())

    async def run(
        self,
        turns: TurnQueue,
        turn: Turn,
        answer: Coroutine[Any, Any, AppAnswer],
        what: ActorCall | Trigger,
        *,
        patience: Patience,
        leave: Leave,
    ) -> AppAnswer:
        """What `answer` comes to in the turn, which `leave` is to end. Raises as that, LateError or ClosedError."""
        try:
            if not turn.work:  # else one that runs may wait for this one
                self._check_room()
            if not turn.has_begun:
                await self._begin(turns, turn, patience)
                patience = (self.patience(what.actor.type) if self.patience else None) or _endless(patience)
        except BaseException:
            answer.close()
            leave(None)
            raise
        began = self._clock.monotonic()
        work = RunToCompletion(answer)
        turn.work.append(work)
        patience.counts.timed += 1
        begun = Begun(self._finish(work, leave))
        if patience.longest_turn and not begun.ended.done():
            self._alarms[work] = [self._cut_at(began, work, what, patience)]
        if not await self._is_answered(begun, patience):
            patience.counts.late += 1
            self._hold(work, _held(what, began, self._clock.monotonic()), patience)
            raise LateError(begun)
        answered: AppAnswer = begun.ended.result()
        return answered

    @property
    def is_watching(self) -> bool:
        return bool(self._alarms or self._held)

    def watch(self, work: RunToCompletion[Any], turn: Turn) -> None:
        """Measure by the bounds of now what runs in the turn; `release` it when that has ended."""
        what, began = turn.what, turn.since
        for alarm in self._alarms.pop(work, ()):
            alarm.cancel()
        patience = self.patience(what.actor.type) if self.patience else None
        if patience is None:
            return
        alarms = self._alarms[work] = []
        if patience.longest_turn:
            alarms.append(self._cut_at(began, work, what, patience))
        if patience.seconds:
            due = began + patience.seconds
            held = _held(what, began, max(due, self._clock.monotonic()))
            alarms.append(self._clock.call_at(due, lambda: self._hold(work, held, patience)))

    def release(self, work: RunToCompletion[Any]) -> None:
        """It has ended."""
        if held := self._held.pop(work, None):
            self._held_octets -= held.octets
        for alarm in self._alarms.pop(work, ()):
            alarm.cancel()

    def _check_room(self) -> None:
        """Raise AppError if the application owes as many answers as there may be."""
        if len(self._held) >= HELD or self._held_octets >= HELD_OCTETS:
            told = f"{len(self._held)}, with {self._held_octets} octets"
            raise AppError(f"too many calls wait for an answer of the application after their time: {told}")

    async def _begin(self, turns: TurnQueue, turn: Turn, patience: Patience) -> None:
        """Return when the turn has begun. Raises LateError behind one that is overdue, and ClosedError."""
        if not patience.seconds:
            await turn.begun()
            return
        clock, waiting = self._clock, Begun(turn.begun())
        came = clock.monotonic()
        until = came + patience.seconds
        try:
            while not await waiting.ends_within(until - clock.monotonic(), clock):
                since = self._overdue_since(turns)
                # those before are in time: each has its own
                until = (clock.monotonic() if since is None else max(since, came)) + patience.seconds
                if since is not None and until <= clock.monotonic():
                    patience.counts.late += 1
                    raise LateError
        finally:
            if not waiting.ended.done():
                waiting.let_go()
        waiting.ended.result()

    def _overdue_since(self, turns: TurnQueue) -> float | None:
        running = turns.running.work if turns.running else ()
        return next((self._held[work].overdue_since for work in running if work in self._held), None)

    async def _is_answered(self, begun: Begun, patience: Patience) -> bool:
        """Whether it was in time. One who is cancelled leaves the turn to itself."""
        is_heard = False
        try:
            if patience.seconds:
                is_heard = await begun.ends_within(patience.seconds, self._clock)
            else:
                await asyncio.wait([begun.ended])
                is_heard = True
        finally:
            if not is_heard:
                begun.forget()
        return is_heard

    async def _finish(self, work: RunToCompletion[AppAnswer], leave: Leave) -> AppAnswer:
        try:
            return await work
        finally:
            self.release(work)
            leave(work)

    def _hold(self, work: RunToCompletion[Any], held: Held, patience: Patience) -> None:
        if work in self._held:
            return
        self._held[work] = held
        self._held_octets += held.octets
        if (more := self._quiet_late.ends(held.actor.type, held.overdue_since)) is not None:
            log.warning(
                "Actor '%s' has not answered %s within %s: its turn stays taken until it has, or its connection ends%s",
                held.actor,
                held.method,
                format_duration(patience.seconds),
                more,
            )

    def _cut_at(self, began: float, work: RunToCompletion[Any], what: ActorCall | Trigger, patience: Patience) -> Alarm:
        return self._clock.call_at(began + patience.longest_turn, lambda: self._cut_soon(work, what, patience))

    def _cut_soon(self, work: RunToCompletion[Any], what: ActorCall | Trigger, patience: Patience) -> None:
        """Thousands may be due at one time: when the file first bounds them."""
        self._to_cut.append((work, what, patience))
        if len(self._to_cut) == 1:
            asyncio.get_running_loop().call_soon(self._cut_some)

    def _cut_some(self) -> None:
        for _ in range(min(CUTS, len(self._to_cut))):
            self._cut(*self._to_cut.popleft())
        if self._to_cut:
            asyncio.get_running_loop().call_soon(self._cut_some)

    def _cut(self, work: RunToCompletion[Any], what: ActorCall | Trigger, patience: Patience) -> None:
        if work not in self._alarms:  # it has ended meanwhile
            return
        longest = format_duration(patience.longest_turn)
        if (more := self._quiet_cut.ends(what.actor.type, self._clock.monotonic())) is not None:
            log.error(
                "Actor '%s' has not answered %s within %s, its longest turn: the connection is closed, and the turn"
                " ends; the method may still run%s",
                what.actor,
                _method(what),
                longest,
                more,
            )
        work.stop(AppError(f"the application did not answer within {longest}, the longest turn of the actor's type"))


class _Quiet:
    """Between two lines of the log on one type."""

    def __init__(self) -> None:
        self._told: dict[str, float] = {}  # by type, when something was last said of it
        self._untold: dict[str, int] = {}  # and how much was not said since

    def ends(self, kind: str, now: float) -> str | None:
        """What is to be said of those that were passed over; None while nothing is."""
        if now - self._told.get(kind, -QUIET) < QUIET:
            self._untold[kind] = self._untold.get(kind, 0) + 1
            return None
        self._told[kind] = now
        more = self._untold.pop(kind, 0)
        return f" ({more} more calls of its type since the last such line)" if more else ""


def _held(what: ActorCall | Trigger, began: float, overdue_since: float) -> Held:
    body = what.body if isinstance(what, ActorCall) else what.data or b""
    return Held(what.actor, _method(what), began, overdue_since, len(body))


def _endless(patience: Patience) -> Patience:
    return patience._replace(seconds=0.0, longest_turn=0.0)


def _method(what: ActorCall | Trigger) -> str:
    if isinstance(what, ActorCall):
        return what.method
    return f"{'timer' if what.callback else 'remind'}/{what.name}"
