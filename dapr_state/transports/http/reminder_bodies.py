"""The JSON bodies of reminders and timers: first by the strict and fast way, the unusual ones by Go's rules."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from dapr_state.api.reminders import DROP, Policy
from dapr_state.golang import unmarshal
from dapr_state.golang.duration import parse_duration
from dapr_state.golang.unmarshal import MalformedError, Place
from dapr_state.slices import Work
from dapr_state.transports.http.bodies import Shape

LONGEST_INTERVAL: Final = 1e9  # seconds, 30 years: times beyond it are no nanoseconds of 64 bits

_NONE: Final = msgspec.Raw(b"")
_REMINDER: Final = ".createReminderAlias"
_TIMER: Final = ".createTimerAlias"
_REMINDER_TYPE: Final = (
    r'struct { Data json.RawMessage "json:\"data\""; '
    r'FailurePolicy *common.JobFailurePolicy "json:\"failure_policy,omitempty\""; *api.createReminderAlias }'
)
_TIMER_TYPE: Final = r'struct { Data json.RawMessage "json:\"data\""; *api.createTimerAlias }'


class ReminderBody(msgspec.Struct, frozen=True):
    due_time: str
    period: str
    ttl: str
    data: bytes | None
    overwrite: bool
    policy: Policy


class TimerBody(msgspec.Struct, frozen=True):
    due_time: str
    period: str
    ttl: str
    data: bytes | None
    callback: str


class _Strict(msgspec.Struct, forbid_unknown_fields=True, rename="camel"):
    """A field under another name may be one of ours in other letters: that is for the slow way to say."""

    due_time: str | None = None
    period: str | None = None
    ttl: str | None = None
    data: msgspec.Raw = _NONE
    name: str | None = None  # this and the next four are in the path too, which counts
    actor_type: str | None = None
    actor_id: str | None = None
    reminder_name: str | None = None
    timer_name: str | None = None


class _Reminder(_Strict):
    overwrite: bool | None = None
    failure_policy: msgspec.Raw = _NONE


class _Timer(_Strict):
    callback: str | None = None


def _reminder(given: _Reminder) -> ReminderBody:
    return ReminderBody(
        given.due_time or "",
        given.period or "",
        given.ttl or "",
        bytes(given.data) or None,
        given.overwrite is not False,
        _policy(bytes(given.failure_policy)),
    )


def _timer(given: _Timer) -> TimerBody:
    return TimerBody(
        given.due_time or "", given.period or "", given.ttl or "", bytes(given.data) or None, given.callback or ""
    )


async def _reminder_slowly(raw: bytes, work: Work) -> ReminderBody:
    names = ("name", "dueTime", "period", "ttl", "data", "overwrite", "failurePolicy", "failure_policy")
    found = await unmarshal.fields(raw, Place(), _REMINDER_TYPE, names, work)
    due_time, period, ttl = _texts(found, _REMINDER, ("dueTime", "period", "ttl"))
    overwrite = found.get("overwrite", unmarshal.NULL)
    if unmarshal.kind(overwrite) not in {"bool", "null"}:
        Place().field(_REMINDER, "overwrite").refuse(unmarshal.kind(overwrite), "bool")
    snake = found.get("failure_policy", unmarshal.NULL)
    if unmarshal.kind(snake) not in {"object", "null"}:
        Place().field("", "failure_policy").refuse(unmarshal.kind(snake), "common.JobFailurePolicy")
    policy = _policy(found.get("failurePolicy") or snake)
    return ReminderBody(due_time, period, ttl, found.get("data"), overwrite != b"false", policy)


async def _timer_slowly(raw: bytes, work: Work) -> TimerBody:
    names = ("name", "dueTime", "period", "ttl", "data", "callback")
    found = await unmarshal.fields(raw, Place(), _TIMER_TYPE, names, work)
    due_time, period, ttl, callback = _texts(found, _TIMER, ("dueTime", "period", "ttl", "callback"))
    return TimerBody(due_time, period, ttl, found.get("data"), callback)


def _texts(found: dict[str, bytes], struct: str, names: tuple[str, ...]) -> list[str]:
    unmarshal.text(found.get("name", unmarshal.NULL), Place().field(struct, "Name"))
    return [unmarshal.text(found.get(name, unmarshal.NULL), Place().field(struct, name)) for name in names]


def _policy(raw: bytes) -> Policy:
    """What is not a policy is passed over, as daprd passes over every one that comes over HTTP."""
    if not raw:
        return Policy()
    try:
        given = msgspec.json.decode(raw)
        if "drop" in given:
            return DROP
        return _constant(given["constant"] or {})
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return Policy()


def _constant(given: dict[str, Any]) -> Policy:
    retries = given.get("maxRetries", given.get("max_retries"))
    interval = given.get("interval")
    if isinstance(interval, str):
        interval = parse_duration(interval)
    seconds = Policy().interval if interval is None else float(interval)
    if seconds > LONGEST_INTERVAL:
        raise ValueError("no such time will come")
    return Policy(None if retries is None else int(retries), seconds)


async def check_nothing_asked(body: bytes) -> None:
    """A delete may have a body, which means nothing but must be an object. Raises MalformedError."""
    if not body.strip():
        return
    try:
        value = await unmarshal.first_value(body, Work())
    except MalformedError:
        shown = body.split(maxsplit=1)[0].decode(errors="replace")
        raise MalformedError(f"proto: syntax error (line 1:1): invalid value {shown}") from None
    if unmarshal.kind(value) != "object":
        raise MalformedError(f"proto: syntax error (line 1:1): unexpected token {value.decode(errors='replace')}")


REMINDER: Final[Shape[ReminderBody]] = Shape(_Reminder, _reminder, _reminder_slowly)
TIMER: Final[Shape[TimerBody]] = Shape(_Timer, _timer, _timer_slowly)
