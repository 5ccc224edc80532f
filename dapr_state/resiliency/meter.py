"""What metrics tell of policies: under daprd's names, from counts that cost a call no more than an addition."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state.resiliency.breaker import State

if TYPE_CHECKING:
    from collections.abc import Iterable

    from dapr_state.observability.metrics import Metrics
    from dapr_state.resiliency.breaker import Breaker
    from dapr_state.resiliency.guard import Guard

OUTBOUND: Final = "outbound"  # what daprd calls the direction: there is no other for state and actors
RETRY, TIMEOUT, BREAKER = "retry", "timeout", "circuitbreaker"
STATES: Final = (*State, "unknown")  # daprd's gauge has one more than a breaker

# of several breakers of one target, the one that is told
_WORST: Final = (State.OPEN, State.HALF_OPEN, State.CLOSED)


class Meter:
    """`begin`, hand in the counts of each target, and they are forgotten there."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._begun: tuple[str, ...] = ()

    def begin(self, label: tuple[str, str]) -> None:
        """`label`: name and namespace that all is told under from now on."""
        self._begun = (OUTBOUND, *label)
        for _, series in self._metrics.resiliency_breaker_state.all():
            series.value = 0  # also of breakers that are gone

    def hand_in(self, target: str, guard: Guard, breakers: Iterable[Breaker], timed: int) -> None:
        """`timed`: how many had their time, which are calls of a store, and attempts of an actor."""
        counts, chosen = guard.counts, guard.chosen
        if chosen.retry:
            self._add(RETRY, "", target, counts.calls, counts.retried)
        if chosen.timeout:
            self._add(TIMEOUT, "", target, timed, counts.late)
        if chosen.breaker:
            found = counts.in_state
            found[State.CLOSED] += counts.calls - found.total()
            for state in State:
                # as daprd, which does not count that one is half-open
                changes = 0 if state is State.HALF_OPEN else counts.changes[state]
                self._add(BREAKER, state, target, found[state], changes)
            self._show(target, {breaker.state for breaker in breakers})
        counts.clear()

    def _add(self, policy: str, status: str, target: str, calls: int, activations: int) -> None:
        labels = (*self._begun, policy, status, target)
        if calls:
            self._metrics.resiliency_count.series(*labels).value += calls
        if activations:
            self._metrics.resiliency_activations.series(*labels).value += activations

    def _show(self, target: str, states: set[State]) -> None:
        shown = next((state for state in _WORST if state in states), State.CLOSED)
        for state in STATES:
            series = self._metrics.resiliency_breaker_state.series(*self._begun, BREAKER, state, target)
            series.value = int(state == shown)
