"""A few rounds of what scripts/soak-cluster does a hundred of, and what its checks see."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.cluster.soak import checks
from tests.conformance.cluster.soak.checks import FOR_EVER, Call, Outage, Record, Registered, Turn, turns_of
from tests.conformance.cluster.soak.run import run
from tests.conformance.cluster.soak.scenarios import Scenario

if TYPE_CHECKING:
    from pathlib import Path

QUICK = ("kill -9 a host", "SIGTERM a host", "join")


@pytest.mark.oracle
def test_hosts_come_and_go_under_load(tmp_path: Path) -> None:
    """No two turns at a time, no acknowledged write lost, each reminder in time, and everybody is answered."""
    outcome = run(tmp_path, Scenario(("ours", "ours"), actions=QUICK), len(QUICK), seed=1)

    assert outcome.faults == []
    assert len(outcome.record.turns) > 50
    assert len(outcome.record.reminders) > 5
    assert {call.status for call in outcome.record.calls} >= {200}


def turn(began: float, ended: float, host: str = "one") -> Turn:
    return Turn(host, "1", "add", began, ended)


def end(began: float) -> Turn:
    return Turn("one", "1", checks.END, began, began + 0.1)


def call(answer: str, began: float = 0.0, ended: float = 1.0, status: int = 200) -> Call:
    return Call("one", "1", began, ended, status, answer)


@pytest.mark.parametrize(
    ("turns", "outages", "found"),
    [
        ([turn(0, 1), turn(1, 2, "two")], [], 0),
        ([turn(0, 2), turn(1, 3, "two")], [], 1),
        ([turn(0, 9), turn(1, 2, "two"), turn(3, 4, "two")], [], 2),
        ([turn(0, FOR_EVER), turn(5, 6, "two")], [], 1),
        ([turn(0, FOR_EVER), turn(5, 6, "two")], [Outage("one", 4)], 0),
        ([turn(0, FOR_EVER), turn(3, 6, "two")], [Outage("one", 4)], 1),
        ([turn(0, 9), turn(5, 6, "two")], [Outage("one", 1, 8)], 0),
        ([turn(2, 9), turn(5, 6, "two")], [Outage("one", 1, 8)], 0),
        ([turn(8.5, 9), turn(8, 10, "two")], [Outage("one", 1, 8)], 1),
        ([turn(0, 9), turn(5, 6, "two")], [Outage("one", 1, 8, is_sudden=False)], 1),
        ([turn(0, 1), turn(5, 9, "two"), end(8)], [], 1),
        ([turn(0, 1), turn(5, 9, "two"), end(8)], [Outage("one", 2, 7)], 0),
        ([turn(0, 1), turn(7.1, 7.2), turn(7.5, 9, "two"), end(8)], [Outage("one", 2, 7)], 1),
    ],
)
def test_two_turns_at_a_time_are_seen(turns: list[Turn], outages: list[Outage], found: int) -> None:
    """But one that was under way when its host froze or died is over by then; one that begins after that is not.

    Of its actors' end the application is told late then.
    """
    assert len(checks.overlaps(Record(turns, outages))) == found


@pytest.mark.parametrize(
    ("answers", "count", "found"),
    [(["1", "2"], 2, 0), (["1", "3"], 4, 0), (["1", "1"], 1, 1), (["1", "2"], 1, 1), (["2", "2"], 1, 2)],
)
def test_a_lost_write_is_seen(answers: list[str], count: int, found: int) -> None:
    """By a count that two calls were answered, or one that the store does not have."""
    record = Record(calls=[call(each) for each in answers], counts={"1": count})

    assert len(checks.lost_writes(record)) == found


@pytest.mark.parametrize(
    ("made", "outages", "found"),
    [
        (call("", 0, 5), [], 0),
        (call("", 0, 50), [], 1),
        (call("", 0, 1, status=500), [], 0),
        (call("", 0, 1, status=0), [], 1),
        (call("", 0, 1, status=0), [Outage("one", 0.5)], 0),
        (call("", 0, 1, status=0), [Outage("two", 0.5)], 1),
        (call("", 3, 4, status=0), [Outage("one", 0.5, 2)], 1),
    ],
)
def test_a_caller_without_an_answer_is_seen(made: Call, outages: list[Outage], found: int) -> None:
    """Unless its host was away meanwhile."""
    assert len(checks.unanswered(Record(calls=[made], outages=outages))) == found


def test_a_reminder_that_is_late_or_lost_is_seen() -> None:
    """Its first turn counts."""
    record = Record(
        turns=[Turn("one", "1", "remind/a", began, began) for began in (9.0, 7.0)],
        reminders=[Registered("a", "1", 5.0), Registered("b", "1", 5.0)],
    )

    assert [seconds for _, seconds in checks.lateness(record)] == [2.0, FOR_EVER]


def test_a_record_is_read_to_its_last_line() -> None:
    """A turn whose end is missing has not ended."""
    lines: list[list[Any]] = [[1.0, 1, "a", "add"], [2.0, 2, "b", "remind/r"], [3.0, 1, "a", ""]]

    assert [*turns_of("one", lines)] == [
        Turn("one", "a", "add", 1.0, 3.0),
        Turn("one", "b", "remind/r", 2.0, FOR_EVER),
    ]
