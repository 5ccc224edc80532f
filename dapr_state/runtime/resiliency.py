"""The policies of one sidecar: taken from its files, put before its stores and its actors, and what is told of them."""

from __future__ import annotations

import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Final, NamedTuple

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dapr_state.actors.overdue import Patience
    from dapr_state.actors.resilient import ActorGuard
    from dapr_state.clock import WaitingClock
    from dapr_state.observability.metrics import Metrics
    from dapr_state.resiliency.begun import Pauses
    from dapr_state.resiliency.guard import Guard
    from dapr_state.resiliency.meter import Meter
    from dapr_state.resiliency.policies import Policies
    from dapr_state.resources.resiliency import Reading

# Of actors that no file names and no application has answered for: callers make up any number. The one called least
# recently is forgotten. All are told in one turn of the event loop when the metrics are read: 20 us each.
TYPES_AT_MOST: Final = 200

log = logging.getLogger("dapr.runtime")


class Change(NamedTuple):
    """Other policies than those that there were."""

    readings: Sequence[Reading]
    policies: Policies


class Resiliency:
    """`load` it, again for each change; who puts guards before something is told then (`on_change`)."""

    def __init__(self, app_id: str, metrics: Metrics | None = None, clock: WaitingClock = WAITING) -> None:
        self._app_id = app_id
        self._metrics = metrics
        self._clock = clock
        self._readings: Sequence[Reading] = ()
        self.policies: Policies | None = None  # while there are none, what they are made of is not imported either
        self.on_change: list[Callable[[], object]] = []
        self._stores: dict[str, Guard] = {}  # by component
        self._actors: dict[str, ActorGuard | None] = {}  # by type: those that there are
        self._guests: OrderedDict[str, ActorGuard | None] = OrderedDict()  # and those of which nobody knows that
        self._meter: Meter | None = None
        self._pauses: Pauses | None = None

    def __repr__(self) -> str:
        return f"<Resiliency {self.policies!r}>"

    @property
    def names(self) -> list[str]:
        """Of all resources that were read, each once."""
        return list(dict.fromkeys(each.name for each in self.policies.resources)) if self.policies else []

    def load(self, readings: Iterable[Reading]) -> None:
        """Take these in the place of those before. What is wrong with them is logged, and left out."""
        self.take(self.prepared(readings))

    def prepared(self, readings: Iterable[Reading]) -> Change | None:
        """What `take` is to take; None: nothing has changed. In a thread: of 100,000 targets it takes half a second."""
        wanted = [each for each in readings if each.applies_to(self._app_id)]
        if _meaning(wanted) == _meaning(self._readings):
            return None
        from dapr_state.resiliency.policies import Policies  # noqa: PLC0415

        return Change(wanted, Policies(each.resource for each in wanted))

    def take(self, change: Change | None) -> None:
        if change is None:
            return
        from dapr_state.resiliency.begun import Pauses  # noqa: PLC0415

        self._pauses = self._pauses or Pauses()
        self._settle()  # by the names that it was counted under
        self._readings, self.policies = change
        for each in change.readings:
            self._tell(each)
        for remark in self.policies.remarks:
            log.warning("%s", remark)
        self._stores = {name: guard for name in self._stores if (guard := self._guard(name))}
        before = self._actors | self._guests
        self._actors = {}
        self._guests.clear()
        for actor_type, guard in before.items():
            self._keep(actor_type, self._actor_guard(actor_type, guard))
        self._settle()
        for changed in self.on_change:
            changed()

    def end_pauses(self) -> None:
        """Nothing is asked again from now on: whoever waits for that is told how the last attempt has ended."""
        if self._pauses:
            self._pauses.end()

    def of_store(self, component: str) -> Guard | None:
        """What the calls of a state store pass; None: there are no policies for them."""
        if component not in self._stores and (guard := self._guard(component)):
            self._stores[component] = guard
        return self._stores.get(component)

    @property
    def has_actors(self) -> bool:
        """Whether calls of any type of actors pass policies."""
        return self.policies is not None and self.policies.has_actors

    def of_actor(self, actor_type: str) -> ActorGuard | None:
        """What the calls of a type of actors pass."""
        if actor_type in self._actors:
            return self._actors[actor_type]
        guests = self._guests
        if actor_type in guests:
            guests.move_to_end(actor_type)
            return guests[actor_type]
        guard = self._actor_guard(actor_type, None)
        self._keep(actor_type, guard)
        return guard

    def _keep(self, actor_type: str, guard: ActorGuard | None) -> None:
        if self.policies is not None and self.policies.lists_actors(actor_type):
            self._actors[actor_type] = guard
            return
        self._guests[actor_type] = guard
        while len(self._guests) > TYPES_AT_MOST:
            self._see_off(*self._guests.popitem(last=False))

    def _see_off(self, actor_type: str, guard: ActorGuard | None) -> None:
        """One that somebody has answered for stays: who makes up types must not close its breaker."""
        if guard and guard.is_answered:
            self._actors[actor_type] = guard
        else:
            self._hand_in(actor_type, guard)  # what is forgotten was counted

    def patience(self, actor_type: str) -> Patience | None:
        """How long calls of a type are waited for here."""
        guard = self.of_actor(actor_type)
        return guard.patience if guard else None

    def _actor_guard(self, actor_type: str, before: ActorGuard | None) -> ActorGuard | None:
        chosen = self.policies.of_actor(actor_type) if self.policies else None
        if before and chosen == before.chosen:
            return before
        if not chosen:
            return None
        from dapr_state.actors.resilient import ActorGuard  # noqa: PLC0415
        from dapr_state.resiliency.guard import Counts  # noqa: PLC0415

        return ActorGuard(
            actor_type, chosen, before.counts if before else Counts(), self._clock, before=before, pauses=self._pauses
        )

    def _tell(self, reading: Reading) -> None:
        resource = reading.resource
        log.info("Loading Resiliency configuration: %s", resource.name)
        tell_faults(reading)
        for warning in reading.warnings:
            log.warning("Resiliency %s: %s (%s)", resource.name, warning, reading.source)
        if self._metrics and not reading.faults:
            self._metrics.resiliency_loaded.series(resource.name, resource.namespace).value += 1

    def _guard(self, component: str) -> Guard | None:
        chosen = self.policies.of_store(component) if self.policies else None
        if not chosen:
            return None
        from dapr_state.resiliency.breaker import Breaker  # noqa: PLC0415
        from dapr_state.resiliency.guard import Counts, Guard  # noqa: PLC0415

        before = self._stores.get(component)
        counts = before.counts if before else Counts()
        breaker = None
        if chosen.breaker and before and before.chosen.breaker == chosen.breaker:
            breaker = before.breaker  # in the state that it is in
        elif chosen.breaker:
            name, rule = chosen.breaker
            breaker = Breaker(f"{name}-{component}", rule, self._clock.monotonic, counts.changed)
        return Guard(
            f"component[{component}] output", chosen, breaker, counts=counts, clock=self._clock, pauses=self._pauses
        )

    def _settle(self) -> None:
        """Hand in what was counted since the last time."""
        if self.policies is None or self._metrics is None:
            return
        if self._meter is None:
            from dapr_state.resiliency.meter import Meter  # noqa: PLC0415

            self._meter = Meter(self._metrics)
            self._metrics.before_reading.append(self._settle)
        self._meter.begin(self.policies.label)
        for component, guard in self._stores.items():
            self._meter.hand_in(f"Statestore_{component}", guard, [guard.breaker], guard.counts.calls)
        for known in (self._actors, self._guests):
            for actor_type, of_type in known.items():
                self._hand_in(actor_type, of_type)

    def _hand_in(self, actor_type: str, guard: ActorGuard | None) -> None:
        if guard and self._meter:
            self._meter.hand_in(f"actor_{actor_type}", guard, guard.breakers(), guard.counts.timed)


def tell_faults(reading: Reading) -> None:
    for fault in reading.faults:
        log.error("Could not read resiliency policy %s: %s (%s)", reading.resource.name, fault, reading.source)


def _meaning(readings: Iterable[Reading]) -> list[object]:
    """What is the same as long as nothing but comments, places and labels has changed."""
    return [(each.resource, each.faults) for each in readings]
