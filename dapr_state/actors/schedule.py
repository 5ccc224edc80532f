"""When timers and reminders fire: the texts of due time, period and ttl, and what follows from them (actors.md 4.1).

No time is read here: *now* is given. Times are whole nanoseconds since 1970 UTC, and stay within the years 1 to 9999:
no fraction is ever rounded, so that even the shortest period gets ahead.
"""

from __future__ import annotations

import re
from datetime import date
from typing import Final

from msgspec import Struct

from dapr_state.golang.duration import LONGEST_DURATION, format_nanoseconds, parse_nanoseconds

LONGEST: Final = LONGEST_DURATION  # of a text, in characters; of a longer one no error quotes more

SECOND: Final = 1_000_000_000
DAY: Final = 86_400 * SECOND
_EPOCH: Final = date(1970, 1, 1).toordinal()
_MIN: Final = (date.min.toordinal() - _EPOCH) * DAY
_MAX: Final = (date.max.toordinal() - _EPOCH) * DAY + DAY - SECOND
_INT_MAX: Final = 1 << 63  # Go's

# A number belongs to the unit behind it. What follows the last unit is passed over, and so is a second `T`.
_ISO: Final = re.compile(
    r"P(?P<date>(?:[+-]?[0-9]+[YMWD])*)(?P<time>(?:T(?:[+-]?[0-9]+[HMS])*)*)[^YMWDHST]*", re.DOTALL
)
_REPETITION: Final = re.compile(r"R([+-]?[0-9]+)(?:/|\Z)")
_PART: Final = re.compile(r"([+-]?[0-9]+)([YMWDHS])")
_ENDLESS: Final = -1  # repetitions, where none are given

_RFC3339: Final = re.compile(
    r"(?P<year>[0-9]{4})-(?P<month>[0-9]{2})-(?P<day>[0-9]{2})"
    r"T(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2}):(?P<second>[0-9]{2})(?:[.,](?P<fraction>[0-9]+))?"
    r"(?:Z|(?P<sign>[+-])(?P<hours>[0-9]{2}):(?P<minutes>[0-9]{2}))"
)

_JOB: Final = "rpc error: code = Unknown desc = job failed validation: "  # daprd's scheduler says the rest


class ScheduleError(ValueError):
    """A text that cannot be used; the message is daprd's."""


class Interval(Struct, frozen=True):
    """A stretch of time. Months and days are added by the calendar (UTC), as Go's `AddDate` does."""

    months: int = 0
    days: int = 0
    nanoseconds: int = 0

    def after(self, when: int) -> int:
        days, rest = divmod(when, DAY)
        moved = _moved(days, self.months, self.days) if self.months else days + self.days
        return _bounded(moved * DAY + rest + self.nanoseconds)

    @property
    def is_forward(self) -> bool:
        """Whether a schedule gets anywhere with it."""
        return self.after(0) > 0


class Schedule(Struct, frozen=True):
    """What the three texts say."""

    first: int
    every: Interval | None = None  # None: it fires once
    fires: int | None = None  # None: without end
    expires_at: int | None = None


def timer(due_time: str, period: str, ttl: str, now: int) -> Schedule:
    """For a timer. Raises ScheduleError."""
    first = _timer_time(due_time, now, "error parsing timer due time") if due_time else now
    every, fires = _timer_period(period) if period else (None, None)
    expires_at = _timer_time(ttl, first, "error parsing timer TTL") if ttl else None
    return Schedule(first, every, fires, expires_at)


def reminder(due_time: str, period: str, ttl: str, now: int) -> Schedule:
    """For a reminder. Raises ScheduleError."""
    every, fires = reminder_period(period) if period else (None, None)
    if every is None and not due_time:
        raise ScheduleError(f"{_JOB}job must have either a due time or a schedule")
    if every is None and ttl:
        raise ScheduleError(f"{_JOB}job must have a schedule to have a ttl")
    due = _reminder_time(due_time, now, "due time", "repeats not supported for due time") if due_time else None
    expires_at = _reminder_time(ttl, now if due is None else due, "ttl") if ttl else None
    if due is not None and expires_at is not None and expires_at < due:
        raise ScheduleError(f"{_JOB}ttl must be greater than due time")
    if every and not every.is_forward:
        every, fires = None, None  # daprd fires without a pause: for ever, or so many times
        return Schedule(now if due is None else due, every, fires, expires_at)
    if due is None:
        due = every.after(now) if every else now
    return Schedule(due, every, fires, expires_at)


def is_time(text: str) -> bool:
    """Whether it names a moment, not a stretch of time."""
    return _parse_time(text) is not None


def reminder_period(text: str) -> tuple[Interval, int | None]:
    """What is between two triggers, and how many come; None: without end. Raises ScheduleError."""
    found = _parse_interval(text)
    if found is None or found[0].months or found[0].days > 0:
        raise ScheduleError(f"unsupported period format: {text[:LONGEST]}")
    every, repetitions = found
    return Interval(nanoseconds=every.nanoseconds), repetitions if repetitions > 0 else None


def every_text(period: str) -> str:
    """How a reminder's period is shown: `@every 1h0m0s`, without the number of repetitions."""
    every, _ = reminder_period(period)
    return f"@every {format_nanoseconds(every.nanoseconds)}"


def time_text(when: int) -> str:
    """As Go prints a time."""
    return f"{_day(when)} {_hour(when)} +0000 UTC"


def rfc3339(when: int) -> str:
    return f"{_day(when)}T{_hour(when)}Z"


def _day(when: int) -> date:
    return date.fromordinal(_EPOCH + when // DAY)


def _hour(when: int) -> str:
    seconds, fraction = divmod(when % DAY, SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    shown = f".{fraction:09d}".rstrip("0") if fraction else ""
    return f"{hour:02d}:{minute:02d}:{second:02d}{shown}"


def _timer_time(text: str, start: int, what: str) -> int:
    if found := _parse_interval(text):
        every, repetitions = found
        if repetitions != _ENDLESS:
            raise ScheduleError(f"{what}: repetitions are not allowed")
        return every.after(start)
    when = _parse_time(text)
    if when is None:
        raise ScheduleError(f"{what}: unsupported time/duration format: {text[:LONGEST]}")
    return when


def _timer_period(text: str) -> tuple[Interval | None, int | None]:
    found = _parse_interval(text)
    if found is None:
        raise ScheduleError(f"invalid timer period: parse error: unsupported duration format: {text[:LONGEST]}")
    every, repetitions = found
    if repetitions == 0:
        raise ScheduleError("invalid timer period: has zero repetitions")
    if not every.is_forward:
        return None, None  # as daprd for 0; below 0 its timers never rest
    return every, repetitions if repetitions > 0 else None


def _reminder_time(text: str, start: int, what: str, repeated: str = "ttl format not recognized") -> int:
    if found := _parse_interval(text):
        every, repetitions = found
        if repetitions > 0:
            raise ScheduleError(f"{_JOB}{repeated}")
        return every.after(start)
    when = _parse_time(text)
    if when is None:
        raise ScheduleError(f"{_JOB}{what} format not recognized")
    return when


def _parse_interval(text: str) -> tuple[Interval, int] | None:
    """ISO 8601 or Go, with the number of repetitions; None for any other text."""
    if len(text) > LONGEST:
        return None
    if text[:1] in {"P", "R"}:
        return _parse_iso(text)
    try:
        return Interval(nanoseconds=parse_nanoseconds(text)), _ENDLESS
    except ValueError:
        return None


def _parse_iso(text: str) -> tuple[Interval, int] | None:
    repetitions = _ENDLESS
    if repeated := _REPETITION.match(text):
        repetitions = _number(repeated[1])
        text = text[repeated.end() :]
        if not text:
            return (Interval(), repetitions) if _fits(repetitions) else None
    elif len(text) == 1:
        return None
    match = _ISO.fullmatch(text)
    if match is None:
        return None
    sums = _sums(match["date"]) | _sums(match["time"], "T")
    if not _fits(repetitions, *sums.values()):
        return None
    months = sums.get("Y", 0) * 12 + sums.get("M", 0)
    days = sums.get("W", 0) * 7 + sums.get("D", 0)
    seconds = sums.get("TH", 0) * 3600 + sums.get("TM", 0) * 60 + sums.get("TS", 0)
    return Interval(months, days, seconds * SECOND), repetitions


def _sums(parts: str, prefix: str = "") -> dict[str, int]:
    sums: dict[str, int] = {}
    for number, unit in _PART.findall(parts):
        sums[prefix + unit] = sums.get(prefix + unit, 0) + _number(number)
    return sums


def _number(digits: str) -> int:
    return int(digits[:30])  # from 20 digits on it fits no more


def _fits(*numbers: int) -> bool:
    return all(-_INT_MAX <= number < _INT_MAX for number in numbers)


def _parse_time(text: str) -> int | None:
    match = _RFC3339.fullmatch(text) if len(text) <= LONGEST else None
    if match is None:
        return None
    hour, minute, second = int(match["hour"]), int(match["minute"]), int(match["second"])
    offset_hours, offset_minutes = int(match["hours"] or 0), int(match["minutes"] or 0)
    # Go takes an offset of 24:60
    if hour > 23 or minute > 59 or second > 59 or offset_hours > 24 or offset_minutes > 60:  # noqa: PLR2004
        return None
    year = int(match["year"])
    try:  # 2000 has each day that 0, the year that Python lacks, has
        days = date(year or 2000, int(match["month"]), int(match["day"])).toordinal() - _EPOCH
    except ValueError:
        return None
    if year == 0:
        return _MIN
    offset = (offset_hours * 3600 + offset_minutes * 60) * (-1 if match["sign"] == "-" else 1)
    fraction = int((match["fraction"] or "0")[:9].ljust(9, "0"))
    return _bounded(days * DAY + (hour * 3600 + minute * 60 + second - offset) * SECOND + fraction)


def _moved(days: int, months: int, more: int) -> int:
    """Go's AddDate, in days since 1970: a day that the month does not have runs into the next one."""
    start = date.fromordinal(_EPOCH + days)
    year, month = divmod(start.year * 12 + start.month - 1 + months, 12)
    if not date.min.year <= year <= date.max.year:
        return _MAX if months > 0 else _MIN  # as days: out of all bounds
    return date(year, month + 1, 1).toordinal() - _EPOCH + start.day - 1 + more


def _bounded(when: int) -> int:
    return min(max(when, _MIN), _MAX)
