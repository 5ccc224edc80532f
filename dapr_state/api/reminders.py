"""Reminders and timers of actors: what each call does, for gRPC and HTTP alike."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dapr_state import errors
from dapr_state.actors.reminders import DROP, ExistsError, Policy, ReminderView, Request
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.api.actors import ActorId, Actors, check_length, check_name, check_type
from dapr_state.app.model import Trigger
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.actors.reminders import ReminderBackend
    from dapr_state.actors.timers import Timers

__all__ = ["DROP", "ActorId", "Policy", "ReminderView", "Request", "Schedules", "Trigger"]


class Schedules:
    """Where there are no actors there is neither of the two, and every call is refused before it asks for them."""

    def __init__(self, actors: Actors, reminders: ReminderBackend | None = None, timers: Timers | None = None) -> None:
        self._actors = actors
        self._reminders = reminders
        self._timers = timers

    async def create_reminder(self, request: Request) -> None:
        """Return when it is kept for good."""
        check_name(request.name)
        check_length(request.actor.id)
        reminders = await self._of(request.actor.type, _octets(request) + len(request.ttl))
        with _told_by(errors.ACTOR_REMINDER_CREATE):
            try:
                await reminders.create(request)
            except ExistsError as error:
                raise errors.ACTOR_REMINDER_ALREADY_EXISTS(name=request.name) from error

    async def get_reminder(self, actor: ActorId, name: str) -> ReminderView:
        """The reminder, as it is shown."""
        check_type(actor.type)
        reminders = await self._of(actor.type, len(name))
        with _told_by(errors.ACTOR_REMINDER_GET):
            found = await reminders.get(actor, name)
        if found is None:
            raise errors.ACTOR_REMINDER_NOT_FOUND(name=name)
        return found

    async def delete_reminder(self, actor: ActorId, name: str) -> None:
        """That there is none is a success."""
        reminders = await self._of(actor.type, len(name))
        with _told_by(errors.ACTOR_REMINDER_DELETE):
            await reminders.delete(actor, name)

    async def list_reminders(self, kind: str, identity: str | None) -> list[ReminderView]:
        """All of a type, or of one actor."""
        check_type(kind)
        reminders = await self._of(kind)
        with _told_by(errors.ACTOR_REMINDER_GET):
            return await reminders.list(kind, identity)

    async def delete_reminders(self, kind: str, identity: str | None) -> None:
        """All of a type, or of one actor."""
        check_type(kind)
        reminders = await self._of(kind)
        with _told_by(errors.ACTOR_REMINDER_DELETE):
            await reminders.delete_all(kind, identity)

    async def create_timer(self, trigger: Trigger, ttl: str) -> None:
        """Start a timer as its trigger says."""
        check_name(trigger.name)
        check_length(trigger.actor.id)
        timers = await self._running(_octets(trigger) + len(ttl))
        try:
            timers.create(trigger, ttl)
        except ScheduleError as error:
            raise errors.ACTOR_TIMER_CREATE(cause=error) from error

    async def delete_timer(self, actor: ActorId, name: str) -> None:
        """That there is none is a success."""
        (await self._running()).delete(actor, name)

    async def _running(self, octets: int = 0) -> Timers:
        await self._actors.gate(octets)
        if self._timers is None:
            raise errors.ACTOR_NO_PLACEMENT()  # noqa: RSE102  a row is called to make its error
        return self._timers

    async def _of(self, kind: str, octets: int = 0) -> ReminderBackend:
        router = await self._actors.gate(octets + len(kind))
        if self._reminders is None:
            raise errors.ACTOR_NO_PLACEMENT()  # noqa: RSE102  a row is called to make its error
        if not router.local.is_hosted(kind):
            raise errors.ACTOR_REMINDER_NON_HOSTED()  # noqa: RSE102  a row is called to make its error
        return self._reminders


def _octets(what: Request | Trigger) -> int:
    """Of its parts that may be long."""
    return len(what.data or b"") + len(what.due_time) + len(what.period)


@contextmanager
def _told_by(row: errors.ErrorRow) -> Iterator[None]:
    try:
        yield
    except (ScheduleError, StoreError) as error:
        raise row(cause=error) from error
    except NoStoreError as error:
        raise errors.ACTOR_NO_STATE_STORE() from error  # noqa: RSE102  a row is called to make its error
