"""Reminders and timers over HTTP: path and body in, one call into api/reminders, an answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dapr_state import errors
from dapr_state.api.actors import check_type
from dapr_state.api.reminders import ActorId, ReminderRequest, Reminders, ReminderView, Trigger
from dapr_state.golang.unmarshal import MalformedError
from dapr_state.serving.http.response import JSON, Response, no_content
from dapr_state.transports.http import reminder_bodies

if TYPE_CHECKING:
    from dapr_state.transports.http.bodies import Shape, T
    from dapr_state.transports.http.route import Answer, Call

_encode = msgspec.json.Encoder().encode


class ReminderRoutes:
    def __init__(self, reminders: Reminders) -> None:
        self._reminders = reminders

    def table(self) -> dict[str, Answer]:
        return {
            "RegisterActorReminder": self._create_reminder,
            "GetActorReminder": self._get_reminder,
            "UnregisterActorReminder": self._delete_reminder,
            "RegisterActorTimer": self._create_timer,
            "UnregisterActorTimer": self._delete_timer,
        }

    async def _create_reminder(self, call: Call) -> Response:
        actor = _actor(call)
        body = await _read(call, reminder_bodies.REMINDER)
        await self._reminders.create_reminder(
            ReminderRequest(
                actor,
                call.params["name"],
                body.due_time,
                body.period,
                body.ttl,
                body.data,
                body.overwrite,
                body.policy,
            )
        )
        return no_content()

    async def _get_reminder(self, call: Call) -> Response:
        found = await self._reminders.get_reminder(_actor(call), call.params["name"])
        return Response(200, [JSON], _encode(_shown(found)) + b"\n")

    async def _delete_reminder(self, call: Call) -> Response:
        actor = _actor(call)
        await _check_body(call)
        await self._reminders.delete_reminder(actor, call.params["name"])
        return no_content()

    async def _create_timer(self, call: Call) -> Response:
        actor = _actor(call)
        body = await _read(call, reminder_bodies.TIMER)
        trigger = Trigger(actor, call.params["name"], body.data, body.due_time, body.period, body.callback)
        await self._reminders.create_timer(trigger, body.ttl)
        return no_content()

    async def _delete_timer(self, call: Call) -> Response:
        actor = _actor(call)
        await _check_body(call)
        await self._reminders.delete_timer(actor, call.params["name"])
        return no_content()


def _actor(call: Call) -> ActorId:
    check_type(call.params["type"])
    return ActorId(call.params["type"], call.params["id"])


async def _read(call: Call, shape: Shape[T]) -> T:
    try:
        return await shape.read(call.request)
    except MalformedError as error:
        raise errors.MALFORMED_BODY(cause=error) from error


async def _check_body(call: Call) -> None:
    try:
        await reminder_bodies.check_nothing_asked(call.request.body)
    except MalformedError as error:
        raise errors.MALFORMED_BODY(cause=error) from error


def _shown(found: ReminderView) -> dict[str, str | msgspec.Raw]:
    """In the order of Go's marshalling; what there is not is left out."""
    members: dict[str, str | msgspec.Raw] = {
        "actorID": found.id,
        "actorType": found.type,
        "data": found.data,
        "dueTime": found.due_time,
        "period": found.period,
        "ttl": found.ttl,
    }
    return {name: value for name, value in members.items() if (value if isinstance(value, str) else bytes(value))}
