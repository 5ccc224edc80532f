"""Applications of the official Python SDK, unmodified, that host actors: over HTTP, and on the stream of gRPC."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.actors.side import Hosting
from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.actors.side import ControlPlane

PROGRAM = Path(__file__).with_name("python_app.py")
TYPES = ("Tally", "Brief")
FLAGS = {"http": (), "grpc": ("--app-protocol", "grpc")}


@pytest.fixture(scope="module", params=FLAGS)
def hosting(
    request: pytest.FixtureRequest,
    plane: ControlPlane | None,
    hosting_python: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Hosting]:
    way: str = request.param
    command = (hosting_python, PROGRAM, way)
    with Hosting(tmp_path_factory.mktemp(way), plane, command, *TYPES, flags=FLAGS[way]) as running:
        yield running


class Failure(str):
    """What went wrong."""

    __slots__ = ()


def call(hosting: Hosting, actor: str, method: str, argument: Any = None, *, kind: str = "Tally") -> Any:
    """The result of the call, or the text of its failure."""
    body = "" if argument is None else json.dumps(argument)
    answer = ask(hosting.sidecar.http_port, "POST", f"/v1.0/actors/{kind}/{actor}/method/{method}", body)
    # on the stream, a failure in the application is an answer that says so in a header
    is_failed = answer.code != 200 or answer.header("X-Daprerrorresponseheader") == "true"
    return Failure(answer.json["message"]) if is_failed else answer.json


def test_state_is_kept(hosting: Hosting) -> None:
    """What a turn saves, the next one reads; what it removes is gone."""
    call(hosting, "state", "Store", {"a": [1, {"b": "é"}], "c": None, "d": "x"})
    call(hosting, "state", "Drop", "d")
    loaded = call(hosting, "state", "Load", ["a", "c", "d", "e"])

    assert loaded == [[1, {"b": "é"}], None, None, None]


def test_calls_return_what_they_return(hosting: Hosting) -> None:
    """A value, nothing, an error and an unknown method reach the caller."""
    results = [
        call(hosting, "calls", method, argument) for method, argument in (("Add", 2), ("Add", 3), ("Nothing", None))
    ]
    failed = call(hosting, "calls", "Fail")
    unknown = call(hosting, "calls", "Unknown")

    assert results == [2, 5, None]
    assert isinstance(failed, Failure)
    assert "on purpose" in failed
    assert isinstance(unknown, Failure)


def test_updates_are_not_lost(hosting: Hosting) -> None:
    """Many callers add to one actor at once, and each sum is seen by one of them."""
    with ThreadPoolExecutor(8) as callers:
        sums = list(callers.map(lambda _: call(hosting, "busy", "Add", 1, kind="Brief"), range(40)))

    assert sorted(sums) == list(range(1, 41))


def test_an_actor_may_call_itself(hosting: Hosting) -> None:
    """A reentrant actor is let in again by its own turn, up to the depth that its type allows."""
    inside = call(hosting, "self", "ThroughSelf", 3)
    beyond = call(hosting, "self", "ThroughSelf", 4)
    after = call(hosting, "other", "ThroughSelf", 3)

    assert (inside, after) == (3, 3)
    assert isinstance(beyond, Failure)


def test_a_reminder_comes_with_its_data(hosting: Hosting) -> None:
    """A reminder reaches the actor that registered it, with the bytes that were given."""
    call(hosting, "reminded", "Remind", "tea")

    fired = until(lambda: call(hosting, "reminded", "Fired"), what="the reminder has fired")

    assert fired == [["tea", "of tea"]]


def test_a_reminder_comes_again_until_it_is_deleted(hosting: Hosting) -> None:
    """A reminder with a period fires again, and an actor may end it from within."""
    call(hosting, "repeated", "Repeat", "again")
    until(lambda: len(call(hosting, "repeated", "Fired")) == 2, what="the reminder has fired twice")
    target = "/v1.0/actors/Tally/repeated/reminders/again"
    gone = until(
        lambda: ask(hosting.sidecar.http_port, "GET", target).code == 404, what="the reminder has been deleted"
    )

    assert gone


def test_a_timer_comes_with_its_data(hosting: Hosting) -> None:
    """A timer calls the method that it names, with the value that was given."""
    call(hosting, "timed", "Time", {"a": [1, None]})

    fired = until(lambda: call(hosting, "timed", "Fired"), what="the timer has fired")

    assert fired == [["timer", {"a": [1, None]}]]


def test_an_idle_actor_is_deactivated_and_keeps_its_state(hosting: Hosting) -> None:
    """The application is told, and the actor begins anew with what it saved."""
    call(hosting, "idle", "Add", 7, kind="Brief")
    until(lambda: "idle" in call(hosting, "watch", "Ended"), what="the actor is deactivated")
    again = call(hosting, "idle", "Value", kind="Brief")

    assert again == 7
