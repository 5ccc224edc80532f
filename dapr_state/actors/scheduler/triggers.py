"""Triggers that schedulers have sent, on their way to the actors: an actor takes one at a time, and all are bounded."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final, Protocol

from dapr_state.actors.firing import Firing, Place
from dapr_state.actors.gate import AwayError
from dapr_state.actors.runtime import ClosingError
from dapr_state.app.model import UnreachableError
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state_proto.scheduler.v1.scheduler_pb2 import WatchJobsResponse

    from dapr_state.actors.reminder_triggers import TriggerTarget
    from dapr_state.app.model import Trigger
    from dapr_state.clock import WaitingClock

OCTETS_AT_MOST: Final = 8 << 20  # of all triggers that have come and are not answered: as what callers bring who wait
LEAST: Final = 1024  # what one is counted with at least: its objects
AWAY_WAIT: Final = 1.0  # seconds until an application that could not be reached is tried again
TOLD_AGAIN: Final = 60.0  # what may happen with each trigger, and each second, is told once a minute

log = logging.getLogger("dapr.runtime.actor.reminders")


class Origin(Protocol):
    """The stream that a trigger came on."""

    def begin(self, due: Due, /) -> bool: ...

    def end(self, due: Due, /, *, is_taken: bool | None) -> None: ...


class Due:
    """A trigger that has come and is not answered."""

    __slots__ = ("id", "octets", "origin", "task", "trigger")

    def __init__(self, origin: Origin, id_: int, trigger: Trigger, octets: int) -> None:
        self.origin = origin
        self.id = id_
        self.trigger = trigger
        self.octets = max(octets, LEAST)
        self.task: asyncio.Task[Any] | None = None  # while it runs

    def __repr__(self) -> str:
        return f"<Due {self.trigger.actor}||{self.trigger.name}{' running' if self.task else ''}>"


class Triggers:
    """`stop` it, and `close` it at the end."""

    def __init__(
        self, target: TriggerTarget, waiting: WaitingClock = WAITING, *, fired: Callable[[str, bool], None]
    ) -> None:
        """`fired` is told the type, and whether the application took the trigger."""
        self._target = target
        self._waiting = waiting
        self._fired = fired
        self._firing = Firing(self._fire)
        self._octets = 0
        self._room = asyncio.Event()
        self._room.set()
        self._told: dict[str, float] = {}  # types, and until when it is not told again that they wait; "": odd ones

    def __repr__(self) -> str:
        return f"<Triggers {len(self._firing)} under way, {self._octets} octets>"

    async def room(self) -> None:
        """Return when another one may come."""
        await self._room.wait()

    def take(self, due: Due) -> None:
        """Run it, and tell its origin the end."""
        self._octets += due.octets
        if self._octets >= OCTETS_AT_MOST:
            self._room.clear()
        self._offer(due)

    def forget(self, due: Due) -> None:
        """It is answered, or will never be; one that waits for its turn does so no more."""
        self._octets -= due.octets
        if self._octets < OCTETS_AT_MOST:
            self._room.set()
        if due.task:
            due.task.cancel()

    def stop(self) -> None:
        """Begin none any more."""
        self._firing.clear()

    async def close(self) -> None:
        await self._firing.close()

    def _offer(self, due: Due) -> None:
        self._firing.offer(due.trigger.actor, due)

    async def _fire(self, due: Due, place: Place) -> None:
        if not due.origin.begin(due):
            return
        is_taken: bool | None = None
        try:
            is_taken = await self._run(due)
        finally:
            place.leave()
            due.task = None
            due.origin.end(due, is_taken=is_taken)

    async def _run(self, due: Due) -> bool | None:
        """Whether the application took it; None: it is not answered now."""
        trigger = due.trigger
        try:
            await self._target.deliver_reminder(trigger)
            is_taken = True
        except ClosingError:
            return None  # another sidecar, or the next start, is sent it
        except (UnreachableError, AwayError) as error:
            # no attempt, or a restart of the application would cost reminders
            self._tell(trigger.actor.type, error)
            self._waiting.call_later(AWAY_WAIT, self._offer, due)
            return None
        except Exception as error:  # noqa: BLE001  whatever went wrong, the policy says what follows
            log.error("Error executing reminder %.200s||%.200s: %s", trigger.actor, trigger.name, error)  # noqa: TRY400  as daprd
            is_taken = False
        self._fired(trigger.actor.type, is_taken)
        return is_taken

    def tell_odd(self, message: WatchJobsResponse, error: ValueError) -> None:
        """It is no trigger that could be run."""
        if self._is_news(""):
            log.error("Trigger %.100s of the scheduler cannot be run: %s", message.name, error)

    def _tell(self, actor_type: str, error: Exception) -> None:
        if self._is_news(actor_type):
            log.warning("Reminders of %s wait for the application: %s", actor_type, error)

    def _is_news(self, what: str) -> bool:
        now = self._waiting.monotonic()
        if now < self._told.get(what, 0.0):
            return False
        self._told[what] = now + TOLD_AGAIN
        return True
