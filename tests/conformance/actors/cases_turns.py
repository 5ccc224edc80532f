"""Turns of one actor, reentrancy, deactivation, and an application that breaks off."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.conformance.actors.steps import (
    answers,
    finally_,
    grpc,
    holding,
    http,
    invoke,
    overlaps,
    release,
    rules,
    seen,
    start,
)
from tests.conformance.scenario import scenario

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conformance.actors.steps import Scene

HOLD = rules({"match": "/ID/", "hold": True})


def deep(**headers: str) -> Callable[[Scene], str]:
    """A call of an actor that may be entered twice by one caller."""
    return http("POST", "/v1.0/actors/deep/ID/method/m", b"", **headers)


def one_caller(name: str) -> dict[str, str]:
    return {"Dapr_Reentrancy_Id": name}


TURNS = [
    scenario(
        "one turn at a time",
        HOLD,
        *(start(invoke()) for _ in range(3)),
        *(step for _ in range(3) for step in (holding(1), release())),
        answers(),
        overlaps(),
    ),
    scenario(
        "a caller's name means nothing to a type that is not reentrant",
        HOLD,
        *(start(invoke(**one_caller("x"))) for _ in range(2)),
        *(step for _ in range(2) for step in (holding(1), release())),
        answers(),
        overlaps(),
    ),
    scenario(
        "a reentrant actor is entered again by the same caller",
        HOLD,
        *(start(deep(**one_caller("x"))) for _ in range(2)),
        holding(2),
        deep(**one_caller("x")),
        grpc("InvokeActor", actor_type="deep", method="m", metadata={"Dapr-Reentrancy-Id": "x"}),
        release(),
        answers(),
        overlaps(),
    ),
    scenario(
        "a reentrant actor is not entered by others",
        HOLD,
        *(start(deep(**one_caller(name))) for name in "xy"),
        start(deep()),
        *(step for _ in range(3) for step in (holding(1), release())),
        answers(),
        overlaps(),
    ),
    scenario("a call without a name is given one", deep(), seen()),
    scenario(
        "reminders and timers wait for their turn",
        HOLD,
        start(deep(**one_caller("x"))),
        holding(1),
        http("POST", "/v1.0/actors/deep/ID/timers/t", '{"dueTime":"0s"}'),
        release(),
        holding(1),
        http("POST", "/v1.0/actors/deep/ID/reminders/r", '{"dueTime":"0s"}'),
        release(),
        holding(1),
        release(),
        answers(),
        seen(times=3),
        overlaps(),
    ),
    scenario("an idle actor is deactivated", http("POST", "/v1.0/actors/brief/ID/method/m", b"x"), seen("DELETE")),
    scenario(
        "a deactivated actor takes no state",
        http("POST", "/v1.0/actors/brief/ID/method/m", b"x"),
        seen("DELETE"),
        finally_("400", http("POST", "/v1.0/actors/brief/ID/state", "[]")),
    ),
    scenario("the application closes the connection", rules({"match": "/ID/", "drop": True}), invoke()),
    scenario("the application answers half", rules({"match": "/ID/", "cut": 45}), invoke()),
]
