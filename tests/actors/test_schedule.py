"""What the texts of timers and reminders mean, as the real daprd takes or refuses them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors import schedule
from dapr_state.actors.schedule import Interval, Schedule, ScheduleError

if TYPE_CHECKING:
    from collections.abc import Callable

SECOND = 1_000_000_000
HOUR, DAY = 3600 * SECOND, 86_400 * SECOND


def _nanoseconds(when: datetime) -> int:
    return int(when.replace(microsecond=0).timestamp()) * SECOND + when.microsecond * 1000


NOW = _nanoseconds(datetime(2024, 1, 31, 12, 0, 0, tzinfo=UTC))

JOB = "rpc error: code = Unknown desc = job failed validation: "
NO_REPEATS = "repetitions are not allowed"

# nanoseconds that each text stands for
DURATIONS = {
    "1h": HOUR,
    "-1h": -HOUR,
    "+1s": SECOND,
    "1h30m": HOUR * 3 // 2,
    "1h0m0s0ms0\u03bcs": HOUR,
    "1h0m0s0ms0\u00b5s": HOUR,
    "0.5s": SECOND // 2,
    ".5s": SECOND // 2,
    "1.s": SECOND,
    "0.123456789s": 123_456_789,
    "9223372036854775807ns": (1 << 63) - 1,
    "0": 0,
    "PT1H": HOUR,
    "PT1M1H": HOUR + 60 * SECOND,
    "PT1M1M": 120 * SECOND,
    "P1D": DAY,
    "P1W": 7 * DAY,
    "P-1D": -DAY,
    "PT-1S": -SECOND,
    "P+1D": DAY,
    "P1DT1H": DAY + HOUR,
    "PTT1S": SECOND,
    "R-1/PT1S": SECOND,
    # what is behind the last unit does not count
    "PT": 0,
    "P1": 0,
    "PX": 0,
    "PR5": 0,
    "PT5": 0,
    "PT1S2": SECOND,
    "PT1s": 0,
    "R-1": 0,
    "R-1/": 0,
}
TIMES = {
    "2099-01-01T00:00:00Z": (2099, 1, 1, 0, 0, 0, 0),
    "2099-01-01T01:00:00.5+01:00": (2099, 1, 1, 0, 0, 0, 500_000),
    "2099-01-01T01:00:00,5Z": (2099, 1, 1, 1, 0, 0, 500_000),
    "2099-01-01T1:00:00Z": (2099, 1, 1, 1, 0, 0, 0),
    "2099-01-01T00:00:00+24:60": (2098, 12, 30, 23, 0, 0, 0),
    "2099-01-01T00:00:00-00:00": (2099, 1, 1, 0, 0, 0, 0),
    "2000-01-01T00:00:00Z": (2000, 1, 1, 0, 0, 0, 0),
}
NEITHER = (
    *("abc", "1", "1d", "-", " 1s", "1S", "@every 1s", "@daily", "* * * * * *", "999999999h"),
    *("P", "PD", "PTS", "PTM", "P1H", "P1S", "PT1W", "PT1.5S", "PT0.5H", "PX1D", "P1T1S", "P1D T1H", "p1d", "T1S"),
    *("PT99999999999999999999S", "P9223372036854775808D", "P\uff11D"),
    *("R", "RR", "RX/PT1S", "R/PT1S", "R5PT1S", "R5/1s", "R1/2/P1D"),
    *("2099-01-01", "2099-1-1T01:00:00Z", "2099-13-01T00:00:00Z", "2099-02-30T00:00:00Z", "2099-01-01T00:00:00"),
    *("2099-01-01T24:00:00Z", "2099-01-01T01:00:60Z", "2099-01-01t00:00:00z", "2099-01-01T00:00:00.Z"),
    *("2099-01-01T00:00:00+0200", "2099-01-01T00:00:00+25:00", "2099-01-01T00:00:00+24:61", "10000-01-01T00:00:00Z"),
)
REPEATED = ("R5", "R5/", "R5/PT1S", "R1/PT1S", "R+1/PT1S", "R3/P1D", "R3/PT0S")


def _refusal(make: Callable[..., Schedule], due_time: str = "", period: str = "", ttl: str = "") -> str:
    with pytest.raises(ScheduleError) as refused:
        make(due_time, period, ttl, NOW)
    return str(refused.value)


@pytest.mark.parametrize("make", [schedule.timer, schedule.reminder])
@pytest.mark.parametrize("text", DURATIONS)
def test_a_duration_is_counted_from_now(make: Callable[..., Schedule], text: str) -> None:
    """Go's durations and those of ISO 8601 are due times of timers and reminders alike."""
    assert make(text, "", "", NOW).first == NOW + DURATIONS[text]


@pytest.mark.parametrize("make", [schedule.timer, schedule.reminder])
@pytest.mark.parametrize("text", TIMES)
def test_a_time_is_taken_as_it_is(make: Callable[..., Schedule], text: str) -> None:
    """RFC 3339 with all that Go's parser lets pass."""
    assert make(text, "", "", NOW).first == _nanoseconds(datetime(*TIMES[text], tzinfo=UTC))
    assert schedule.is_time(text)


@pytest.mark.parametrize("text", NEITHER)
def test_other_texts_are_refused(text: str) -> None:
    """What is neither a duration nor a time is refused in daprd's words, which name the field."""
    seen = [
        _refusal(schedule.timer, due_time=text),
        _refusal(schedule.timer, ttl=text),
        _refusal(schedule.timer, period=text),
        _refusal(schedule.reminder, due_time=text),
        _refusal(schedule.reminder, period="1h", ttl=text),
        _refusal(schedule.reminder, period=text),
    ]

    assert seen == [
        f"error parsing timer due time: unsupported time/duration format: {text}",
        f"error parsing timer TTL: unsupported time/duration format: {text}",
        f"invalid timer period: parse error: unsupported duration format: {text}",
        f"{JOB}due time format not recognized",
        f"{JOB}ttl format not recognized",
        f"unsupported period format: {text}",
    ]


@pytest.mark.parametrize("text", ["1h" * 600, "1" * 2000, "P" + "1D" * 600, "PT" + "T" * 2000, "0." + "1" * 2000 + "s"])
def test_a_text_without_measure_is_refused(text: str) -> None:
    """It is as good as an unreadable one, and no error quotes more than its beginning."""
    seen = [
        _refusal(schedule.timer, due_time=text),
        _refusal(schedule.timer, ttl=text),
        _refusal(schedule.timer, period=text),
        _refusal(schedule.reminder, due_time=text),
        _refusal(schedule.reminder, period="1h", ttl=text),
        _refusal(schedule.reminder, period=text),
        _refusal(schedule.timer, due_time="2099-01-01T00:00:00." + text + "Z"),
    ]

    assert [sentence.partition("format")[2][:8] for sentence in seen] == [
        *(f": {text[:6]}",) * 3,
        *(" not rec",) * 2,
        f": {text[:6]}",
        ": 2099-0",
    ]
    assert max(map(len, seen)) < schedule.LONGEST + 100


def test_no_period_is_too_short_to_get_ahead() -> None:
    """Times are exact to the nanosecond, whatever the year."""
    every = schedule.timer("", "100ns", "", NOW).every
    assert every
    assert every.after(NOW) == NOW + 100


@pytest.mark.parametrize("text", REPEATED)
def test_only_a_period_has_repetitions(text: str) -> None:
    """A number of repetitions before a due time or a ttl is refused."""
    seen = [
        _refusal(schedule.timer, due_time=text),
        _refusal(schedule.timer, ttl=text),
        _refusal(schedule.reminder, due_time=text),
        _refusal(schedule.reminder, period="1h", ttl=text),
    ]

    assert seen == [
        f"error parsing timer due time: {NO_REPEATS}",
        f"error parsing timer TTL: {NO_REPEATS}",
        f"{JOB}repeats not supported for due time",
        f"{JOB}ttl format not recognized",
    ]


@pytest.mark.parametrize("text", ["R0/PT1S", "R-2/PT1S"])
def test_less_than_one_repetition(text: str) -> None:
    """In due times and ttls timers refuse any number but -1, reminders only those above 0."""
    assert _refusal(schedule.timer, due_time=text).endswith(NO_REPEATS)
    assert schedule.reminder(text, "", "", NOW).first == NOW + SECOND


@pytest.mark.parametrize(
    ("text", "every", "fires"),
    [
        ("2s", 2, None),
        ("PT2S", 2, None),
        ("R3/PT2S", 2, 3),
        ("R-1/PT2S", 2, None),
        ("R-2/PT2S", 2, None),
    ],
)
def test_a_period(text: str, every: int, fires: int | None) -> None:
    """Its repetitions are the number of fires in all; none, or less than one, is without end."""
    for make in (schedule.timer, schedule.reminder):
        assert make("1s", text, "", NOW) == Schedule(NOW + SECOND, Interval(nanoseconds=every * SECOND), fires)


def test_no_repetition_at_all() -> None:
    """A timer with R0 is refused, a reminder with R0 never ends."""
    assert _refusal(schedule.timer, period="R0/PT1S") == "invalid timer period: has zero repetitions"
    assert schedule.reminder("", "R0/PT1S", "", NOW).fires is None


@pytest.mark.parametrize("text", ["0s", "0", "PT0S", "R5", "R5/", "R3/PT0S", "-1s", "PT-1S", "R4/PT-1S"])
def test_a_period_that_gets_nowhere(text: str) -> None:
    """It fires once, at the due time or now; where daprd does not rest any more."""
    for make in (schedule.timer, schedule.reminder):
        assert make("1s", text, "", NOW) == Schedule(NOW + SECOND)
        assert make("", text, "", NOW) == Schedule(NOW)


@pytest.mark.parametrize("text", ["P1D", "P1W", "P1M", "P1Y", "P1Y2M3D", "R3/P1D", "P1DT1S"])
def test_the_calendar_is_for_timers(text: str) -> None:
    """Days, weeks, months and years are periods of timers only."""
    assert schedule.timer("", text, "", NOW).every is not None
    assert _refusal(schedule.reminder, period=text) == f"unsupported period format: {text}"


@pytest.mark.parametrize(
    ("interval", "start", "end"),
    [
        (Interval(months=1), "2024-01-31T12:00:00", "2024-03-02T12:00:00"),  # as Go: there is no 31 February
        (Interval(months=1), "2023-01-31T12:00:00", "2023-03-03T12:00:00"),
        (Interval(months=12), "2024-02-29T00:00:00", "2025-03-01T00:00:00"),
        (Interval(months=-1), "2024-01-15T01:02:03", "2023-12-15T01:02:03"),
        (Interval(months=14, days=3, nanoseconds=4 * SECOND), "2024-11-30T00:00:00", "2026-02-02T00:00:04"),
        (Interval(days=-1), "2024-03-01T00:00:00", "2024-02-29T00:00:00"),
        (Interval(months=1), "1969-12-31T23:59:59", "1970-01-31T23:59:59"),
    ],
)
def test_calendar_arithmetic(interval: Interval, start: str, end: str) -> None:
    """Months are added as Go's AddDate does: a day that is not there runs into the next month."""
    start_time, end_time = (_nanoseconds(datetime.fromisoformat(text).replace(tzinfo=UTC)) for text in (start, end))

    assert interval.after(start_time) == end_time


@pytest.mark.parametrize("text", ["P99999999999D", "P9999Y", "PT9223372036854775807H"])
def test_time_ends_with_the_year_9999(text: str) -> None:
    """What lies beyond is due then, and no error."""
    assert schedule.timer(text, "", "", NOW).first == _nanoseconds(datetime(9999, 12, 31, 23, 59, 59, tzinfo=UTC))


def test_without_due_time() -> None:
    """A timer fires now, a reminder after one period."""
    assert schedule.timer("", "2s", "", NOW).first == NOW
    assert schedule.reminder("", "2s", "", NOW).first == NOW + 2 * SECOND


def test_a_ttl_is_counted_from_the_first_fire() -> None:
    """Only that of a reminder without a due time counts from now."""
    seen = [
        schedule.timer("1h", "2s", "4s", NOW).expires_at,
        schedule.timer("", "2s", "4s", NOW).expires_at,
        schedule.reminder("1h", "2s", "4s", NOW).expires_at,
        schedule.reminder("", "2s", "4s", NOW).expires_at,
    ]

    assert seen == [NOW + HOUR + 4 * SECOND, NOW + 4 * SECOND, NOW + HOUR + 4 * SECOND, NOW + 4 * SECOND]


@pytest.mark.parametrize(
    ("texts", "sentence"),
    [
        (("", "", ""), f"{JOB}job must have either a due time or a schedule"),
        (("", "", "1h"), f"{JOB}job must have either a due time or a schedule"),
        (("1h", "", "1h"), f"{JOB}job must have a schedule to have a ttl"),
        (("abc", "", "abc"), f"{JOB}job must have a schedule to have a ttl"),
        (("abc", "abc", "abc"), "unsupported period format: abc"),
        (("abc", "1h", "abc"), f"{JOB}due time format not recognized"),
        (("1h", "1h", "-1s"), f"{JOB}ttl must be greater than due time"),
        (("1h", "1h", "2000-01-01T00:00:00Z"), f"{JOB}ttl must be greater than due time"),
    ],
)
def test_what_is_wrong_first(texts: tuple[str, str, str], sentence: str) -> None:
    """Several faults of a reminder are told in daprd's order."""
    assert _refusal(schedule.reminder, *texts) == sentence


def test_a_reminder_may_be_over_before_it_begins() -> None:
    """Without a due time a ttl in the past is no error, as with daprd."""
    plan = schedule.reminder("", "1s", "-1h", NOW)

    assert (plan.first, plan.expires_at) == (NOW + SECOND, NOW - HOUR)


@pytest.mark.parametrize(
    ("period", "shown"),
    [
        ("1h", "@every 1h0m0s"),
        ("PT1M1H", "@every 1h1m0s"),
        ("R5/PT1S", "@every 1s"),
        ("0.5s", "@every 500ms"),
        ("1ns", "@every 1ns"),
        ("PT0S", "@every 0s"),
        ("-1h", "@every -1h0m0s"),
    ],
)
def test_a_period_as_it_is_shown(period: str, shown: str) -> None:
    """In the scheduler's form, without repetitions."""
    assert schedule.every_text(period) == shown


@pytest.mark.parametrize(
    ("when", "shown"),
    [
        (NOW, "2024-01-31 12:00:00 +0000 UTC"),
        (NOW + SECOND * 3 // 2, "2024-01-31 12:00:01.5 +0000 UTC"),
        (-SECOND, "1969-12-31 23:59:59 +0000 UTC"),
    ],
)
def test_a_time_as_go_prints_it(when: int, shown: str) -> None:
    """Fractions without zeros at the end."""
    assert schedule.time_text(when) == shown
