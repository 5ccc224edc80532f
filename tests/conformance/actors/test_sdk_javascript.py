"""An application of the official JavaScript SDK, unmodified, that hosts actors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.conformance.actors.side import Hosting
from tests.support import cache
from tests.support.http import ask
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.actors.side import ControlPlane

pytestmark = pytest.mark.timeout(600)  # the first run fetches the libraries

SOURCE = Path(__file__).parent / "javascript"


@pytest.fixture(scope="module")
def hosting(plane: ControlPlane | None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosting]:
    command = ("node", cache.javascript(SOURCE) / "app.mjs")
    with Hosting(tmp_path_factory.mktemp("javascript"), plane, command, "Basket") as running:
        yield running


def call(hosting: Hosting, actor: str, method: str, *arguments: Any) -> Any:
    """The result of the call, or its status and text when it fails."""
    target = f"/v1.0/actors/Basket/{actor}/method/{method}"
    body = json.dumps(arguments) if arguments else ""
    answer = ask(hosting.sidecar.http_port, "POST", target, body, Content_Type="application/json")
    if answer.code != 200:
        return answer.code, answer.json["message"]
    return None if answer.body == b"undefined" else answer.json  # what the SDK answers for nothing


def test_state_is_kept(hosting: Hosting) -> None:
    """What a turn changes is saved at its end, and what it removes is gone."""
    sums = [call(hosting, "state", "add", number) for number in (2, 3)]
    call(hosting, "state", "forget")
    forgotten = call(hosting, "state", "value")

    assert sums == [2, 5]
    assert forgotten == 0


def test_actors_call_each_other(hosting: Hosting) -> None:
    """The SDK's own client reaches another actor."""
    through = call(hosting, "one", "addTo", "other", 4)
    after = call(hosting, "other", "value")

    assert (through, after) == (4, 4)


def test_a_failure_reaches_the_caller(hosting: Hosting) -> None:
    """An error in a method is a failed call."""
    failed = call(hosting, "failing", "fail")

    assert failed[0] == 500
    assert failed[1].startswith("error invoke actor method: error from actor service: (500)")


def test_reminders_and_timers_fire(hosting: Hosting) -> None:
    """Both reach the actor that set them, with their data."""
    call(hosting, "fired", "remind", "r")
    call(hosting, "fired", "time", "coffee")

    fired = until(
        lambda: found if len(found := call(hosting, "fired", "fired")) == 2 else [], what="the reminder and the timer"
    )
    call(hosting, "fired", "stopReminding", "r")
    gone = ask(hosting.sidecar.http_port, "GET", "/v1.0/actors/Basket/fired/reminders/r")

    assert sorted(fired) == [["reminder", "tea"], ["timer", "coffee"]]
    assert gone.code == 404
