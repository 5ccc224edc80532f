"""Breakers, alone and two together: whom they let through, and what they count."""

from __future__ import annotations

from dapr_state.actors.resilient import Both
from dapr_state.clock import ManualClock
from dapr_state.resiliency import trip
from dapr_state.resiliency.breaker import TOO_MANY_TEXT, Breaker, State
from dapr_state.resiliency.policies import BreakerRule

AT_ONCE = trip.parse("consecutiveFailures > 0")


def begin(breaker: Breaker) -> int:
    assert breaker.refuses() == ""
    return breaker.generation


def half_open(clock: ManualClock, **rule: int) -> Breaker:
    breaker = Breaker("b", BreakerRule(AT_ONCE, timeout=5.0, **rule), clock.monotonic)
    breaker.failed(begin(breaker), "down")
    clock.advance(5.0)
    return breaker


def test_a_place_is_given_back_once() -> None:
    """A probe whose place went to another because it lasts has none to give back when its caller leaves."""
    clock = ManualClock()
    breaker = half_open(clock)
    first = begin(breaker)
    clock.advance(5.0)
    second = begin(breaker)
    breaker.left(first)
    assert breaker.refuses() == TOO_MANY_TEXT
    breaker.left(second)
    begin(breaker)

    assert breaker.refuses() == TOO_MANY_TEXT


def test_a_probe_that_lasts_is_heard_in_the_end() -> None:
    """What is as slow as its breaker is patient would never be let through again."""
    clock = ManualClock()
    breaker = half_open(clock)
    first = begin(breaker)
    clock.advance(5.0)
    second = begin(breaker)
    breaker.succeeded(first)
    assert breaker.state is State.CLOSED
    breaker.failed(second, "it was of a time that is over")

    assert breaker.state is State.CLOSED


def test_who_left_is_not_counted_as_a_request() -> None:
    """A share of failures is one of those calls that came to an end."""
    rule = BreakerRule(trip.parse("requests >= 4 && totalFailures * 2 >= requests"))
    breaker = Breaker("b", rule, ManualClock().monotonic)
    for _ in range(10):
        breaker.left(begin(breaker))
    for _ in range(4):
        breaker.failed(begin(breaker), "down")

    assert breaker.state is State.OPEN


def test_what_one_of_two_refuses_the_other_has_not_counted() -> None:
    """The breaker of a type counts what it has let through, not what that of an actor has refused."""
    clock = ManualClock()
    rule = BreakerRule(trip.parse("requests >= 4 && totalFailures >= 1"))
    of_type = Breaker("type", rule, clock.monotonic)
    of_id = Breaker("id", BreakerRule(AT_ONCE), clock.monotonic)
    both = Both(of_type, of_id)
    of_id.failed(begin(of_id), "down")
    for _ in range(10):
        assert both.refuses() != ""
    of_type.failed(begin(of_type), "down")

    assert of_type.counts()["requests"] == 1
    assert of_type.state is State.CLOSED
