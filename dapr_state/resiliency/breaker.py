"""A circuit breaker: it counts how calls end, and lets none through for a while once its rule says so.

1. What ends is counted where it began: after a change of state, or once the counts were cleared, it is not.
2. A caller that has gone is neither a success nor a failure, and gives its place back.
3. Half-open, as many calls as the rule says are let through. One that lasts longer than the breaker would be open gives
   its place to another: the store may hang, and nobody else would ever find out that it is back. How it ends in the
   end still counts, but it has no place to give back.
"""

from __future__ import annotations

import logging
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.resiliency.policies import BreakerRule

log = logging.getLogger("dapr.runtime")

OPEN_TEXT: Final = "circuit breaker is open"
TOO_MANY_TEXT: Final = "too many requests"


class State(StrEnum):
    CLOSED = "closed"
    HALF_OPEN = "half-open"
    OPEN = "open"


class Breaker:
    """`admits` before each attempt, then one of `succeeded`, `failed`, `left` with the generation it had begun in."""

    __slots__ = (
        "_clock",
        "_expires",
        "_failures_in_a_row",
        "_on_change",
        "_probes",
        "_since",
        "_state",
        "_successes_before",
        "failures",
        "generation",
        "is_plain",
        "name",
        "requests",
        "rule",
        "successes",
    )

    def __init__(
        self, name: str, rule: BreakerRule, clock: Callable[[], float], on_change: Callable[[State], None] | None = None
    ) -> None:
        """`on_change` is told each new state."""
        self.name = name
        self.rule = rule
        self._clock = clock
        self._on_change = on_change
        self._state = State.CLOSED
        self.generation = self._successes_before = 0
        self._since = 0  # the generation in which the state began, or the counts: half-open, each call has its own
        self._probes: dict[int, float] = {}  # of the calls under way half-open, by generation: when they began
        self._begin(State.CLOSED)

    def __repr__(self) -> str:
        return f"<Breaker {self.name} {self._state}>"

    @property
    def state(self) -> State:
        """What it would be to a call that comes now."""
        if self._state is State.OPEN and self._clock() >= self._expires:
            return State.HALF_OPEN
        return self._state

    def refuses(self) -> str:
        """Let an attempt through and return "", or say why not."""
        if self._state is State.CLOSED:
            if self.rule.interval and self._clock() >= self._expires:
                self._begin(State.CLOSED)
        elif text := self._refuses_unless_probe():
            return text
        self.requests += 1
        return ""

    def _refuses_unless_probe(self) -> str:
        now = self._clock()
        if self._state is State.OPEN:
            if now < self._expires:
                return OPEN_TEXT
            self._change(State.HALF_OPEN)
        if self.successes + len(self._probes) >= self.rule.max_requests:
            oldest = next(iter(self._probes))  # as many successes alone would have closed it
            if now - self._probes[oldest] < self.rule.timeout:
                return TOO_MANY_TEXT
            del self._probes[oldest]
        self.generation += 1
        self._probes[self.generation] = now
        return ""

    def succeeded(self, generation: int) -> None:
        if generation < self._since:
            return
        self.successes += 1
        if self._state is State.HALF_OPEN:
            self._probes.pop(generation, None)
            if self.successes >= self.rule.max_requests:
                self._change(State.CLOSED)

    def failed(self, generation: int, reason: object) -> None:
        if generation < self._since:
            return
        if self.successes != self._successes_before:
            self._successes_before = self.successes
            self._failures_in_a_row = 0
        self.failures += 1
        self._failures_in_a_row += 1
        if self._state is State.HALF_OPEN or self.rule.trip.is_reached(self.counts()):
            self._trip(reason)

    def left(self, generation: int) -> None:
        """It is as if it had not come: its caller has gone, and nobody knows how it would have ended."""
        if generation >= self._since:
            self.requests -= 1
            self._probes.pop(generation, None)

    def counts(self) -> dict[str, int]:
        """By the names that rules have for them; right after a failure."""
        return {
            "requests": self.requests,
            "totalSuccesses": self.successes,
            "totalFailures": self.failures,
            "consecutiveSuccesses": 0,
            "consecutiveFailures": self._failures_in_a_row,
        }

    def _trip(self, reason: object) -> None:
        counts = ", ".join(f"{name} {count}" for name, count in self.counts().items() if count)
        log.warning(
            'Circuit breaker "%s" opens for %gs: %s; the last failure: %s', self.name, self.rule.timeout, counts, reason
        )
        self._change(State.OPEN)

    def _change(self, state: State) -> None:
        log.info('Circuit breaker "%s" changed state from %s to %s', self.name, self._state, state)
        self._begin(state)
        if self._on_change:
            self._on_change(state)

    def _begin(self, state: State) -> None:
        """Count from zero."""
        self._state = state
        self.generation += 1
        self._since = self.generation
        self.requests = self.successes = self.failures = 0
        self._successes_before = self._failures_in_a_row = 0
        self._probes.clear()
        seconds = self.rule.timeout if state is State.OPEN else self.rule.interval
        self._expires = self._clock() + seconds
        # so that a call need not ask for the time, nor for the state
        self.is_plain = state is State.CLOSED and not self.rule.interval
