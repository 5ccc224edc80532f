"""A reset leaves a sidecar as it was at its start, and says what it found."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import TYPE_CHECKING

from tests.testmode.asking import ask, get, invoke, remind, save, time

if TYPE_CHECKING:
    from dapr_state.pytest.sidecar import Dapr
    from tests.support.rawapp import RawApp


def test_nothing_is_left(dapr: Dapr, app: RawApp) -> None:
    """Neither keys, reminders, timers, actors, faults, calls, notes nor moved time; each is counted."""
    save(dapr, "statestore", "k")
    remind(dapr, "1", "daily", dueTime="24h", period="24h")
    time(dapr, "2", "tick", dueTime="24h")
    invoke(dapr, "1")
    ask(dapr, "PUT", "metadata/note", "x")
    dapr.fail("write", times=0, unused="ignore")
    dapr.clock.advance("30m")
    told = dapr._client.ask("POST", "test/reset", {})
    dapr.clock.advance("7d")

    assert (told["keys"], told["reminders"], told["actors"], told["busy"]) == (1, 1, 1, [])
    assert [each["hits"] for each in told["faults"]] == [0]
    assert app.seen("/method/remind/") == app.seen("/method/timer/") == []
    assert get(dapr, "statestore", "k") is None
    assert "note" not in dapr.metadata()["extended"]
    assert [call.operation for call in dapr.calls] == ["GetState"]
    assert save(dapr, "statestore", "k")[0] == 204


def test_actors_end_through_the_application(dapr: Dapr, app: RawApp) -> None:
    """An SDK would keep the instance, with what it remembers, for the next test."""
    invoke(dapr, "1")
    invoke(dapr, "2")
    app.forget()
    dapr._client.ask("POST", "test/reset", {"keepState": True})

    assert sorted((each.method, each.target) for each in app.seen()) == [
        ("DELETE", "/actors/Cart/1"),
        ("DELETE", "/actors/Cart/2"),
    ]


def test_a_call_that_goes_on_is_named_and_given_up(dapr: Dapr, app: RawApp) -> None:
    """After two seconds; its caller gets an error, and the actor is free for the next test."""
    app.obey({"match": "method/Add", "hold": True, "times": 1})
    answers = []
    caller = threading.Thread(target=lambda: answers.append(invoke(dapr, "7")))
    caller.start()
    app.holding()
    told = dapr._client.ask("POST", "test/reset", {})
    caller.join(20)
    again = invoke(dapr, "7")

    assert [each.partition(" for ")[0] for each in told["busy"]] == ["Cart/7 method Add", "InvokeActor Cart/7/Add"]
    assert (answers[0][0], again[0]) == (500, 200)
    assert "the test has ended" in answers[0][1]["message"]


def test_what_is_to_be_kept_is_kept(dapr: Dapr) -> None:
    """State keeps its clock, as its ends are told by it."""
    save(dapr, "statestore", "k", ttlInSeconds="7200")
    dapr.clock.advance("1h")
    dapr._client.ask("POST", "test/reset", {"keepState": True})

    assert get(dapr, "statestore", "k") == 1
    assert dapr.clock.moved > timedelta(minutes=59)
