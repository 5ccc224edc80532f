"""Reminders and timers of actors: what each call does, for gRPC and HTTP alike."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from dapr_state import errors
from dapr_state.actors.gate import AwayError
from dapr_state.actors.reminders import DROP, ExistsError, Policy, RefusedError, ReminderRequest, ReminderView
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.api.actors import ActorId, Actors, check_length, check_name, check_type
from dapr_state.app.model import Trigger
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.actors.reminders import ReminderBackend
    from dapr_state.actors.timers import Timers

__all__ = ["DROP", "ActorId", "Policy", "ReminderRequest", "ReminderView", "Reminders", "Trigger"]


class Reminders:
    """Where there are no actors there is neither of the two, and every call is refused before it asks for them."""

    def __init__(self, actors: Actors, backend: ReminderBackend | None = None, timers: Timers | None = None) -> None:
        self._actors = actors
        self._backend = backend
        self._timers = timers

    async def create_reminder(self, request: ReminderRequest) -> None:
        """Return when it is kept for good."""
        check_name(request.name)
        check_length(request.actor.id)
        backend = await self._of(request.actor.type, _octets(request) + len(request.ttl))
        with _refused_as(errors.ACTOR_REMINDER_CREATE):
            try:
                await backend.create(request)
            except ExistsError as error:
                raise errors.ACTOR_REMINDER_ALREADY_EXISTS(name=request.name) from error

    async def get_reminder(self, actor: ActorId, name: str) -> ReminderView:
        """The reminder, as it is shown."""
        check_type(actor.type)
        backend = await self._of(actor.type, len(name))
        with _refused_as(errors.ACTOR_REMINDER_GET):
            found = await backend.get(actor, name)
        if found is None:
            raise errors.ACTOR_REMINDER_NOT_FOUND(name=name)
        return found

    async def delete_reminder(self, actor: ActorId, name: str) -> None:
        """That there is none is a success."""
        backend = await self._of(actor.type, len(name))
        with _refused_as(errors.ACTOR_REMINDER_DELETE):
            await backend.delete(actor, name)

    async def list_reminders(self, actor_type: str, actor_id: str | None) -> list[ReminderView]:
        """All of a type, or of one actor."""
        check_type(actor_type)
        backend = await self._of(actor_type)
        with _refused_as(errors.ACTOR_REMINDER_GET):
            return await backend.list(actor_type, actor_id)

    async def delete_reminders(self, actor_type: str, actor_id: str | None) -> None:
        """All of a type, or of one actor."""
        check_type(actor_type)
        backend = await self._of(actor_type)
        with _refused_as(errors.ACTOR_REMINDER_DELETE):
            await backend.delete_all(actor_type, actor_id)

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
        await self._actors.ready(octets)
        if self._timers is None:
            raise errors.ACTOR_NO_PLACEMENT()  # noqa: RSE102  a row is called to make its error
        return self._timers

    async def _of(self, actor_type: str, octets: int = 0) -> ReminderBackend:
        router = await self._actors.ready(octets + len(actor_type))
        if self._backend is None:
            raise errors.ACTOR_NO_PLACEMENT()  # noqa: RSE102  a row is called to make its error
        if not router.local.is_hosted(actor_type):
            raise errors.ACTOR_REMINDER_NON_HOSTED()  # noqa: RSE102  a row is called to make its error
        return self._backend


def _octets(what: ReminderRequest | Trigger) -> int:
    """Of its parts that may be long."""
    return len(what.data or b"") + len(what.due_time) + len(what.period)


@contextmanager
def _refused_as(row: errors.ErrorRow) -> Iterator[None]:
    try:
        yield
    except (RefusedError, ScheduleError, StoreError) as error:
        raise row(cause=error) from error
    except AwayError as error:
        raise errors.ACTOR_APP_AWAY(cause=error) from error
    except NoStoreError as error:
        raise errors.ACTOR_NO_STATE_STORE() from error  # noqa: RSE102  a row is called to make its error
