"""The policies of one target, ready for its calls: what they share (the breaker, the counts), and one call's attempts.

An attempt passes the breaker and has its own time; the waits between them are the retry's. Whoever makes attempts says
what of them is a failure, and what may be asked again.
"""

from __future__ import annotations

import logging
from collections import Counter
from random import Random
from typing import TYPE_CHECKING, Any, Final, Protocol

from dapr_state.clock import WAITING
from dapr_state.golang.duration import format_duration
from dapr_state.resiliency import trip
from dapr_state.resiliency.begun import Pauses
from dapr_state.resiliency.breaker import Breaker, State
from dapr_state.resiliency.policies import BreakerRule

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.clock import WaitingClock
    from dapr_state.resiliency.policies import Chosen


_NEVER: Final = BreakerRule(trip.parse("false"))

log = logging.getLogger("dapr.runtime")


class Counts:
    """What happened to the calls of one target since it was last looked at, as daprd counts it."""

    __slots__ = ("calls", "changes", "in_state", "late", "retried", "timed")

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        self.calls = 0
        self.in_state: Counter[State] = Counter()  # calls that found their breaker so; the others, closed
        self.retried = 0  # calls that were asked again
        self.timed = 0  # attempts at an actor that had their time; of a store each call has
        self.late = 0  # that were not answered in time: calls of a store, attempts at an actor
        self.changes: Counter[State] = Counter()  # states that a breaker came into

    def changed(self, state: State) -> None:
        self.changes[state] += 1


class Guard:
    """`what` names the operation in the log; without a breaker there is one that never opens, which costs less."""

    def __init__(
        self,
        what: str,
        chosen: Chosen,
        breaker: Breaker | None = None,
        *,
        counts: Counts | None = None,
        clock: WaitingClock = WAITING,
        random: Random | None = None,
        pauses: Pauses | None = None,
    ) -> None:
        self.what = what
        self.chosen = chosen
        self.breaker = breaker or Breaker("", _NEVER, clock.monotonic)
        self.counts = counts or Counts()
        self.clock = clock
        self.pauses = pauses or Pauses()
        self._random = random or Random()  # noqa: S311 - it spreads waits
        timeout = chosen.timeout.policy if chosen.timeout else 0.0
        self.seconds: float | None = timeout if timeout > 0 else None

    def __repr__(self) -> str:
        return f"<Guard of {self.what}: {self.chosen}>"

    def waits(self) -> Iterator[float]:
        """Before each retry that there may be."""
        if self.chosen.retry is None:
            return iter(())
        return self.chosen.retry.policy.waits(self.clock.monotonic, self._random)


class Passed(Protocol):
    """A breaker, or several that are passed together; a generation is for them alone to understand."""

    @property
    def generation(self) -> Any: ...

    def refuses(self) -> str: ...

    def succeeded(self, generation: Any, /) -> None: ...

    def failed(self, generation: Any, reason: object, /) -> None: ...

    def left(self, generation: Any, /) -> None: ...


class Attempts:
    """Of one call: `refused` or not, then how each has ended; `wait` tells when there may be another."""

    def __init__(self, guard: Guard, breaker: Passed, what: str = "") -> None:
        self._guard = guard
        self._breaker = breaker
        self._what = what or guard.what
        self._waits: Iterator[float] | None = None
        self._generation: Any = None
        self._number = 0

    def refused(self) -> str:
        """Begin an attempt, or say why there is none."""
        refusal = self._breaker.refuses()
        self.begun(self._breaker.generation)
        return refusal

    def begun(self, generation: Any) -> None:
        """One was begun, in this generation of the breaker."""
        self._number += 1
        self._generation = generation

    def succeeded(self) -> None:
        if self._number > 1:
            log.debug("Recovered processing operation %s after %d attempts", self._what, self._number)
        self._breaker.succeeded(self._generation)

    def failed(self, error: object) -> None:
        self._breaker.failed(self._generation, error)

    def left(self) -> None:
        """The caller has gone in the midst of it."""
        self._breaker.left(self._generation)

    def wait(self, error: object) -> float | None:
        """How long to wait for the next attempt after this failure; None if there is none."""
        if self._waits is None:
            self._waits = self._guard.waits()
        seconds = None if self._guard.pauses.is_over else next(self._waits, None)
        if seconds is None:
            if self._number > 1:
                log.debug("Error for operation %s after %d attempts was: %s", self._what, self._number, error)
        elif self._number == 1:
            self._guard.counts.retried += 1
            if log.isEnabledFor(logging.DEBUG):
                told = format_duration(seconds)
                log.debug("Error processing operation %s. Retrying in %s…: %s", self._what, told, error)
        return seconds
