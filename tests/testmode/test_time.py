"""Time that is moved on goes from one due moment to the next, and says what came of it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from dapr_state.pytest.client import DaprError
from tests.support.waiting import until
from tests.testmode.asking import invoke, remind, save, time

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.pytest.sidecar import Dapr
    from tests.support.rawapp import RawApp

DAY = timedelta(days=1)


def test_a_week_of_daily_reminders(dapr: Dapr, app: RawApp) -> None:
    """Seven come, and the clock is exactly a week further."""
    remind(dapr, "7", "daily", dueTime="24h", period="24h")
    dapr.clock.freeze()
    began = dapr.clock.now()
    moved = dapr.clock.advance("7d")

    assert (moved.reminders, moved.failures) == (7, ())
    assert moved.now == dapr.clock.now() == began + 7 * DAY
    assert len(app.seen("/method/remind/daily")) == 7


def test_what_is_due_at_one_moment_has_an_order(dapr: Dapr, app: RawApp) -> None:
    """Actors that have rested end first, then timers fire, then reminders by actor and name."""
    dapr.clock.freeze()
    invoke(dapr, "resting")
    for actor, name in (("b", "second"), ("b", "first"), ("a", "third")):
        remind(dapr, actor, name, dueTime="1h")
    time(dapr, "c", "tick", dueTime="1h")
    app.forget()
    moved = dapr.clock.advance("1h")

    assert [(each.method, each.target.rpartition("Cart/")[2]) for each in app.seen()] == [
        ("DELETE", "resting"),
        ("PUT", "c/method/timer/tick"),
        ("PUT", "a/method/remind/third"),
        ("PUT", "b/method/remind/first"),
        ("PUT", "b/method/remind/second"),
    ]
    assert (moved.deactivations, moved.timers, moved.reminders) == (1, 1, 3)


def test_ticks_of_different_moments_come_in_their_order(dapr: Dapr, app: RawApp) -> None:
    """A timer each half hour and a reminder each hour take turns, though the whole day is moved at once."""
    dapr.clock.freeze()
    time(dapr, "1", "half", dueTime="30m", period="1h")
    remind(dapr, "1", "whole", dueTime="1h", period="1h")
    app.forget()
    dapr.clock.advance("3h")

    assert [each.target.rpartition("/")[2] for each in app.seen("/method/")] == ["half", "whole"] * 3


def test_actors_end_when_they_have_rested(dapr: Dapr, app: RawApp) -> None:
    """An hour after their last call, to the moment."""
    dapr.clock.freeze()
    invoke(dapr, "1")
    before = dapr.clock.advance("59m59.999s")

    assert (before.deactivations, app.seen("Cart/1")[-1].method) == (0, "PUT")
    assert dapr.clock.advance("1ms").deactivations == 1
    assert app.seen("Cart/1")[-1].method == "DELETE"


def test_a_tick_that_fails_is_told_and_tried_again(dapr: Dapr, app: RawApp) -> None:
    """It is no error of the move; each attempt is in the failures, and the next comes when its policy says."""
    remind(dapr, "1", "daily", dueTime="1h")
    app.obey({"match": "remind/daily", "times": 2, "status": 500, "body": "not today"})
    dapr.expect_error("Error executing reminder")
    moved = dapr.clock.advance("2h")

    assert moved.reminders == 1
    assert [each.partition(": ")[0] for each in moved.failures] == ["Cart/1 reminder daily"] * 2
    assert all("not today" in each for each in moved.failures)


def test_what_does_not_end_is_named(dapr: Dapr, app: RawApp) -> None:
    """After the patience that was given the move fails, and the clock is at the moment of what is still busy."""
    app.obey({"match": "remind/stuck", "hold": True})
    dapr.clock.freeze()
    began = dapr.clock.now()
    remind(dapr, "7", "stuck", dueTime="1h")

    with pytest.raises(DaprError, match=r"still busy: Cart/7 reminder stuck for 0\.[0-9] s") as caught:
        dapr.clock.advance("2h", patience=0.3)

    assert caught.value.code == "ERR_TEST_NOT_QUIET"
    assert dapr.clock.now() == began + timedelta(hours=1)
    app.release()
    dapr.wait_idle()


def test_calls_under_way_are_waited_for(dapr: Dapr, app: RawApp) -> None:
    """Time does not move under a method that runs."""
    app.obey({"match": "method/Add", "hold": True})
    caller = threading.Thread(target=invoke, args=(dapr, "7"))
    caller.start()
    app.holding()
    began = dapr.clock.now()

    with pytest.raises(DaprError, match="still busy: Cart/7 method Add"):
        dapr.clock.advance("1d", patience=0.2)

    assert dapr.clock.now() - began < timedelta(hours=1)
    app.release()
    caller.join()


def test_a_runaway_ends_with_its_name(dapr: Dapr) -> None:
    """A timer of a millisecond over a day is not fired to the end."""
    time(dapr, "7", "spin", dueTime="1ms", period="1ms")

    with pytest.raises(DaprError, match="more than 50 ticks: the last was Cart/7 timer spin"):
        dapr.clock.advance("1d", max_ticks=50)


def test_only_one_moves_the_clock(dapr: Dapr, app: RawApp) -> None:
    """Who comes while it is moved is refused."""
    app.obey({"match": "remind/stuck", "hold": True})
    remind(dapr, "7", "stuck", dueTime="1h")
    mover = threading.Thread(target=dapr.clock.advance, args=("2h",))
    mover.start()
    app.holding()

    with pytest.raises(DaprError, match="time is being moved already"):
        dapr.clock.advance("1h")

    app.release()
    mover.join()


def test_time_goes_back_on_an_empty_sidecar_alone(dapr: Dapr) -> None:
    """With keys, reminders, timers or actors it says which; without, any moment from 1970 on can be set."""
    past = datetime(2001, 2, 3, tzinfo=UTC)
    reasons: dict[str, Callable[[], object]] = {
        "keys in statestore": lambda: save(dapr, "statestore", "k"),
        "timers": lambda: time(dapr, "1", "t", dueTime="9h"),
        "reminders": lambda: remind(dapr, "1", "r", dueTime="9h"),
        "active actors": lambda: invoke(dapr, "1"),
    }
    for reason, arrange in reasons.items():
        arrange()
        with pytest.raises(DaprError, match=f"there are {reason}"):
            dapr.clock.set(past)
        dapr.end()
    dapr.clock.set(past)

    assert timedelta(0) <= dapr.clock.now() - past < timedelta(minutes=1)
    assert dapr.clock.set(past + DAY).now == past + DAY


@pytest.mark.parametrize("by", ["-1s", "300000000000s"])
def test_times_that_are_none_are_refused(dapr: Dapr, by: str) -> None:
    """Backwards, or beyond what a date can say."""
    with pytest.raises(DaprError) as caught:
        dapr._client.ask("POST", "test/advance", {"by": by})

    assert (caught.value.status, caught.value.code) == (400, "ERR_TEST_TIME")


def test_the_clock_goes_on_by_itself(dapr: Dapr, app: RawApp) -> None:
    """Between two moves time passes as it does, and what falls due comes."""
    dapr.clock.advance("1d")
    remind(dapr, "1", "soon", dueTime="50ms")

    until(lambda: app.seen("remind/soon"))
    assert abs(dapr.clock.moved - DAY) < timedelta(seconds=30)


def test_a_timer_and_a_reminder_are_fired_by_hand(dapr: Dapr, app: RawApp) -> None:
    """The timer's actor is told now; one that there is not is refused."""
    time(dapr, "1", "later", dueTime="9h")
    dapr.actor("Cart", "1").fire_timer("later")

    assert len(app.seen("timer/later")) == 1
    with pytest.raises(DaprError, match="there is no timer other of Cart/1"):
        dapr.actor("Cart", "1").fire_timer("other")


def test_an_application_that_is_away_is_named(dapr: Dapr, hosting: RawApp) -> None:
    """It is asked again and again in real time, which gets nowhere: the patience ends, and the tick is not lost."""
    remind(dapr, "1", "daily", dueTime="1h")
    hosting.stop()
    with pytest.raises(DaprError, match="still busy: a reminder that waits for its application or its store"):
        dapr.clock.advance("2h", patience=1.5)
    hosting.start()

    until(lambda: hosting.seen("remind/daily"), what="the tick comes once it is there")


def test_a_type_that_nobody_hosts_is_passed_over(dapr: Dapr, hosting: RawApp) -> None:
    """Its reminders wait for it, and time is moved all the same; they come when it is hosted again."""
    remind(dapr, "1", "daily", dueTime="1h")
    hosting.stop()
    dapr.reload_app()
    away = dapr.clock.advance("1d")
    hosting.start()
    dapr.reload_app()
    dapr.wait_idle()

    assert away.reminders == 0
    assert len(hosting.seen("remind/daily")) == 1


def test_a_reset_ends_a_move(dapr: Dapr, app: RawApp) -> None:
    """Of a test that was broken off while it moved the clock nothing is left for the next."""
    app.obey({"match": "remind/stuck", "hold": True})
    remind(dapr, "7", "stuck", dueTime="1h")
    told: list[str] = []

    def move() -> None:
        with pytest.raises(DaprError) as caught:
            dapr.clock.advance("2h", patience=60)
        told.append(str(caught.value))

    mover = threading.Thread(target=move)
    mover.start()
    app.holding()
    dapr._client.ask("POST", "test/reset", {})
    mover.join()

    assert told == ["still busy: the sidecar was reset meanwhile"]
    assert abs(dapr.clock.moved) < timedelta(seconds=1)
    assert dapr.clock.advance("1d").reminders == 0
