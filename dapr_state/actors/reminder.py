"""One reminder: what is kept of it, and what becomes of it after each trigger (actors.md 4.3 and 4.4)."""

from __future__ import annotations

import os
from itertools import count
from typing import TYPE_CHECKING, Final

from msgspec import Raw, Struct, structs

from dapr_state.actors import schedule
from dapr_state.actors.reminders import ReminderView
from dapr_state.app.model import ActorId, Trigger
from dapr_state.golang import json

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.actors.reminders import ReminderRequest

Key = tuple[str, str, str]  # type, id, name

_NO_DATA: Final = Raw(b"")  # one object: by that it is left out when a reminder is written
# Levels that data may be nested beside those that its row and a call stack take of msgspec's 1,000 or so
_LEVELS: Final = 500


class Reminder(Struct, frozen=True, omit_defaults=True):
    """What is kept, as JSON with these names; times are in nanoseconds. Never changed: each trigger makes a new one."""

    type: str
    id: str
    name: str
    registration: str  # tells it from others of the same name, before and after it
    owner: str  # the sidecar that fires it
    due: int  # the trigger that comes next, or that is not finished yet
    due_time: str = ""  # these three as the caller gave them
    period: str = ""
    ttl: str = ""
    data: Raw = _NO_DATA  # JSON text, as it stands
    coded: bytes = b""  # or JSON text, in base64
    every: int = 0  # between triggers; 0: there is one only
    left: int | None = None  # triggers to come; None: without end
    expires_at: int | None = None  # a trigger at this very moment still comes
    max_retries: int | None = 3
    retry_interval: float = 1.0  # seconds
    attempts: int = 0  # failed ones, at this trigger

    @property
    def key(self) -> Key:
        return (self.type, self.id, self.name)

    @property
    def is_over(self) -> bool:
        return self.left == 0 or (self.expires_at is not None and self.due > self.expires_at)

    @property
    def view(self) -> ReminderView:
        """What is shown of it; the ttl, as daprd, only if it was given as a time."""
        return ReminderView(
            self.type,
            self.id,
            self.name,
            due_time=self.due_time,
            period=schedule.every_text(self.period) if self.period else "",
            ttl=self.ttl if schedule.is_time(self.ttl) else "",
            data=self.text,
        )

    @property
    def text(self) -> Raw:
        """Its data, as JSON text."""
        return Raw(self.coded) if self.coded else self.data

    def trigger(self) -> Trigger:
        """What the application is told; due time and period are left empty, as daprd does."""
        return Trigger(ActorId(self.type, self.id), self.name, bytes(self.text) or None)

    def finished(self) -> Reminder | None:
        """After the trigger has succeeded, or was given up; None: this was the last one."""
        left = None if self.left is None else self.left - 1
        if not self.every or left == 0:
            return None
        following = structs.replace(self, due=self.due + self.every, left=left, attempts=0)
        return None if following.is_over else following

    def failed(self) -> Reminder | None:
        """After the application has refused the trigger; with the same due time if it is tried again."""
        if self.max_retries is None:
            return self
        if self.attempts >= self.max_retries:
            return self.finished()
        return structs.replace(self, attempts=self.attempts + 1)


def register(request: ReminderRequest, now: int, owner: str) -> Reminder:
    """What is kept of a registration; it may be over already. Raises ScheduleError."""
    times = schedule.reminder(request.due_time, request.period, request.ttl, now)
    data, is_readable = request.data or b"", _is_readable(request.data or b"")
    return Reminder(
        type=request.actor.type,
        id=request.actor.id,
        name=request.name,
        registration=next(_registrations),
        owner=owner,
        due=times.first,
        due_time=request.due_time,
        period=request.period,
        ttl=request.ttl,
        data=Raw(data) if data and is_readable else _NO_DATA,
        coded=b"" if is_readable else data,
        every=times.every.nanoseconds if times.every else 0,
        left=times.fires,
        expires_at=times.expires_at,
        max_retries=request.policy.max_retries,
        retry_interval=max(request.policy.interval, 0.0),
    )


def _is_readable(data: bytes) -> bool:
    """Whether msgspec reads it as a part of a row: unlike Go, it wants surrogates in pairs, and no deep nesting."""
    if not json.HALF_A_PAIR.search(data) and data.count(b"[") + data.count(b"{") < _LEVELS:
        return True
    return len(data) <= json.LONG and json.verdict(b"[" * _LEVELS + data + b"]" * _LEVELS) is True


def _numbers() -> Iterator[str]:
    process = os.urandom(8).hex()
    return (f"{process}-{number}" for number in count(1))


_registrations: Final = _numbers()
