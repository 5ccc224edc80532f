"""Reminders as Dapr's scheduler knows them: jobs on the way out, triggers and views on the way in (scheduler.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from dapr_state_proto.common.v1.common_pb2 import (
    JobFailurePolicy,
    JobFailurePolicyConstant,
    JobFailurePolicyDrop,
)
from dapr_state_proto.scheduler.v1.scheduler_pb2 import (
    Job,
    JobMetadata,
    JobTargetMetadata,
    ScheduleJobRequest,
    TargetActorReminder,
)
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from msgspec import Raw, Struct

from dapr_state.actors import schedule
from dapr_state.actors.reminders import Policy, ReminderView
from dapr_state.actors.schedule import SECOND, ScheduleError
from dapr_state.app.model import ActorId, Trigger
from dapr_state.golang import json
from dapr_state.golang.duration import format_nanoseconds

if TYPE_CHECKING:
    from typing import Any

    from dapr_state_proto.scheduler.v1.scheduler_pb2 import WatchJobsResponse

    from dapr_state.actors.reminders import ReminderRequest

BYTES_VALUE: Final = "type.googleapis.com/google.protobuf.BytesValue"
STRING_VALUE: Final = "type.googleapis.com/google.protobuf.StringValue"
SEPARATOR: Final = "||"  # between the parts of a job's key
_REPEATS_AT_MOST: Final = (1 << 32) - 1  # what the field holds
_INTERVAL_AT_MOST: Final = 315_576_000_000.0  # seconds: a Duration's, 10,000 years


class Identity(Struct, frozen=True):
    """Whose reminders they are: all sidecars of a namespace share those of a type."""

    app_id: str
    namespace: str

    def metadata(self, actor_type: str, actor_id: str = "") -> JobMetadata:
        """Without an id: all reminders of the type."""
        target = JobTargetMetadata(actor=TargetActorReminder(type=actor_type, id=actor_id))
        return JobMetadata(app_id=self.app_id, namespace=self.namespace, target=target)


def registration(request: ReminderRequest, me: Identity) -> ScheduleJobRequest:
    """Due time and ttl go as they are: the scheduler judges them. Raises ScheduleError."""
    actor, every, repeats = request.actor, None, None
    due_time, ttl = request.due_time, request.ttl
    for text in (actor.type, actor.id, request.name):
        if SEPARATOR in text:
            raise ScheduleError(f'"{SEPARATOR}" in a type, id or name: the scheduler could not list its reminders')
    if request.period:
        interval, repeats = schedule.reminder_period(request.period)
        if interval.is_forward:
            every = f"@every {format_nanoseconds(interval.nanoseconds)}"
        else:  # it would fire without a pause
            due_time, ttl, repeats = due_time or "0s", "", None
    try:
        job = Job(
            schedule=every,
            repeats=None if repeats is None else min(repeats, _REPEATS_AT_MOST),
            due_time=due_time or None,
            ttl=ttl or None,
            data=packed(request.data),
            failure_policy=None if request.policy == Policy() else _failure_policy(request.policy),
        )
        metadata = me.metadata(actor.type, actor.id)
        return ScheduleJobRequest(name=request.name, job=job, metadata=metadata, overwrite=request.overwrite)
    except UnicodeEncodeError as error:
        raise ScheduleError(f"the reminder is not valid Unicode: {error.reason}") from None


def packed(data: bytes | None) -> Any:
    """A dict, for the Any of our messages is not the class of the protobuf package: generated/ has its own pool."""
    return {"type_url": BYTES_VALUE, "value": BytesValue(value=data).SerializeToString()} if data else None


def _failure_policy(policy: Policy) -> JobFailurePolicy:
    if policy.max_retries == 0:
        return JobFailurePolicy(drop=JobFailurePolicyDrop())
    seconds, fraction = divmod(min(max(policy.interval, 0.0), _INTERVAL_AT_MOST), 1)
    interval: Any = {"seconds": int(seconds), "nanos": int(fraction * SECOND)}
    return JobFailurePolicy(constant=JobFailurePolicyConstant(interval=interval, max_retries=policy.max_retries))


def view(actor: ActorId, name: str, job: Job) -> ReminderView:
    """Raises ValueError if its data cannot be shown."""
    return ReminderView(
        actor.type,
        actor.id,
        name,
        due_time=job.due_time,
        period=job.schedule,
        ttl=job.ttl if schedule.is_time(job.ttl) else "",
        data=Raw(_unpacked(job.data)),
    )


def trigger(message: WatchJobsResponse) -> Trigger:
    """Raises ValueError if it is for no actor, or its data is nothing that JSON can hold."""
    target = message.metadata.target
    if target.WhichOneof("type") != "actor":
        raise ValueError("it is for no actor")
    actor = ActorId(target.actor.type, target.actor.id)
    return Trigger(actor, message.name, _unpacked(message.data) or None)


def _unpacked(data: Any) -> bytes:
    """JSON text; empty if there is none."""
    if data.type_url == BYTES_VALUE:
        text = BytesValue.FromString(data.value).value
        if text and json.verdict(text) is False:
            raise ValueError("its data is no JSON")
        return text
    if data.type_url == STRING_VALUE:
        return msgspec.json.encode(StringValue.FromString(data.value).value)
    if data.type_url or data.value:
        raise ValueError(f"its data is of the unknown type {data.type_url}")
    return b""
