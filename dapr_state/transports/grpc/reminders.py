"""Reminders and timers over gRPC: messages in, one call into api/reminders, messages out."""

from __future__ import annotations

from base64 import b64encode
from typing import TYPE_CHECKING, Any

from dapr_state_proto.runtime.v1 import actors_pb2, dapr_pb2_grpc
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue

from dapr_state.api.actors import check_type
from dapr_state.api.reminders import DROP, ActorId, Policy, ReminderRequest, Reminders, ReminderView, Trigger
from dapr_state.serving.pieces import Pieces
from dapr_state.slices import STEPS, Work
from dapr_state.stores.slices import slices

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state_proto.common.v1.common_pb2 import JobFailurePolicy
    from grpc.aio import ServicerContext

    Context = ServicerContext[Any, Any]

_BYTES_VALUE = "type.googleapis.com/google.protobuf.BytesValue"
_NANOSECONDS = 1e9


class RemindersServicer(dapr_pb2_grpc.DaprServicer):
    def __init__(self, reminders: Reminders) -> None:
        self._reminders = reminders

    async def RegisterActorReminder(self, request: actors_pb2.RegisterActorReminderRequest, _: Context) -> Empty:
        check_type(request.actor_type)
        await self._reminders.create_reminder(
            ReminderRequest(
                ActorId(request.actor_type, request.actor_id),
                request.name,
                request.due_time,
                request.period,
                request.ttl,
                _json(request.data),
                request.overwrite if request.HasField("overwrite") else True,
                _policy(request.failure_policy) if request.HasField("failure_policy") else Policy(),
            )
        )
        return Empty()

    async def GetActorReminder(
        self, request: actors_pb2.GetActorReminderRequest, _: Context
    ) -> actors_pb2.GetActorReminderResponse:
        found = await self._reminders.get_reminder(ActorId(request.actor_type, request.actor_id), request.name)
        return actors_pb2.GetActorReminderResponse(**_fields(found), ttl=found.ttl or None)

    async def UnregisterActorReminder(self, request: actors_pb2.UnregisterActorReminderRequest, _: Context) -> Empty:
        check_type(request.actor_type)
        await self._reminders.delete_reminder(ActorId(request.actor_type, request.actor_id), request.name)
        return Empty()

    async def ListActorReminders(  # type: ignore[override]  # Pieces is the same message, encoded
        self, request: actors_pb2.ListActorRemindersRequest, _: Context
    ) -> Pieces:
        actor_id = request.actor_id if request.HasField("actor_id") else None
        found = await self._reminders.list_reminders(request.actor_type, actor_id)
        answer, work = Pieces(), Work()
        for some in slices(found, STEPS):
            answer.add(_listed(some).SerializeToString())  # messages that follow one another are one with all lists
            if work.is_over():
                await work.pause()
        return answer

    async def UnregisterActorRemindersByType(
        self, request: actors_pb2.UnregisterActorRemindersByTypeRequest, _: Context
    ) -> actors_pb2.UnregisterActorRemindersByTypeResponse:
        actor_id = request.actor_id if request.HasField("actor_id") else None
        await self._reminders.delete_reminders(request.actor_type, actor_id)
        return actors_pb2.UnregisterActorRemindersByTypeResponse()

    async def RegisterActorTimer(self, request: actors_pb2.RegisterActorTimerRequest, _: Context) -> Empty:
        check_type(request.actor_type)
        actor, data = ActorId(request.actor_type, request.actor_id), _json(request.data)
        trigger = Trigger(actor, request.name, data, request.due_time, request.period, request.callback)
        await self._reminders.create_timer(trigger, request.ttl)
        return Empty()

    async def UnregisterActorTimer(self, request: actors_pb2.UnregisterActorTimerRequest, _: Context) -> Empty:
        check_type(request.actor_type)
        await self._reminders.delete_timer(ActorId(request.actor_type, request.actor_id), request.name)
        return Empty()


def _json(data: bytes) -> bytes | None:
    """Bytes as a JSON text: that is how daprd hands them to the application, and gives them back."""
    return b'"%b"' % b64encode(data) if data else None


def _policy(given: JobFailurePolicy) -> Policy:
    which = given.WhichOneof("policy")
    if which == "drop":
        return DROP
    if which is None:
        return Policy()
    constant = given.constant
    interval = constant.interval.seconds + constant.interval.nanos / _NANOSECONDS
    return Policy(
        constant.max_retries if constant.HasField("max_retries") else None,
        interval if constant.HasField("interval") else Policy().interval,
    )


def _listed(some: Sequence[ReminderView]) -> actors_pb2.ListActorRemindersResponse:
    answer = actors_pb2.ListActorRemindersResponse()
    for found in some:
        answer.reminders.add(name=found.name, reminder=actors_pb2.ActorReminder(**_fields(found)))
    return answer


def _fields(found: ReminderView) -> dict[str, Any]:
    data = bytes(found.data)
    # a dict, for the Any of our messages is not the class of the protobuf package: generated/ has a pool of its own
    wrapped = {"type_url": _BYTES_VALUE, "value": BytesValue(value=data).SerializeToString()} if data else None
    return {
        "actor_type": found.type,
        "actor_id": found.id,
        "due_time": found.due_time or None,
        "period": found.period or None,
        "data": wrapped,
    }
