"""Reminders as Dapr's scheduler knows them: jobs on the way out, triggers and views on the way in (scheduler.md 2)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

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

    from dapr_state.actors.reminder import Reminder
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


class _Asked(NamedTuple):
    """What a job is made of; it comes `every` so many nanoseconds, 0: once."""

    due_time: str
    ttl: str
    every: int
    repeats: int | None
    data: bytes | None
    policy: Policy


def registration(request: ReminderRequest, me: Identity) -> ScheduleJobRequest:
    """Due time and ttl go as they are: the scheduler judges them. Raises ScheduleError."""
    every, repeats, due_time, ttl = 0, None, request.due_time, request.ttl
    if request.period:
        interval, repeats = schedule.reminder_period(request.period)
        if interval.is_forward:
            every = interval.nanoseconds
        else:  # it would fire without a pause
            due_time, ttl, repeats = due_time or "0s", "", None
    asked = _Asked(due_time, ttl, every, repeats, request.data, request.policy)
    return _request(request.actor, request.name, asked, me, overwrite=request.overwrite)


def moved(kept: Reminder, me: Identity) -> ScheduleJobRequest:
    """One that a sidecar has kept, with what is still to come of it. Raises ScheduleError."""
    due_time, ttl, repeats = schedule.rfc3339(kept.due), "", None
    if kept.every:
        repeats = kept.left
        ttl = "" if kept.expires_at is None else schedule.rfc3339(kept.expires_at)
    policy = Policy(kept.max_retries, kept.retry_interval)
    asked = _Asked(due_time, ttl, kept.every, repeats, bytes(kept.text), policy)
    return _request(ActorId(kept.type, kept.id), kept.name, asked, me, overwrite=False)


def _request(actor: ActorId, name: str, asked: _Asked, me: Identity, *, overwrite: bool) -> ScheduleJobRequest:
    if any(SEPARATOR in text for text in (actor.type, actor.id, name)):
        raise ScheduleError(f'"{SEPARATOR}" in a type, id or name: the scheduler could not list its reminders')
    try:
        job = Job(
            schedule=f"@every {format_nanoseconds(asked.every)}" if asked.every else None,
            repeats=None if asked.repeats is None else min(asked.repeats, _REPEATS_AT_MOST),
            due_time=asked.due_time or None,
            ttl=asked.ttl or None,
            data=packed(asked.data),
            failure_policy=None if asked.policy == Policy() else _failure_policy(asked.policy),
        )
        metadata = me.metadata(actor.type, actor.id)
        return ScheduleJobRequest(name=name, job=job, metadata=metadata, overwrite=overwrite)
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
