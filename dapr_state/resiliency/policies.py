"""What resiliency policies say: their kinds, those that are built in, and which of them a target's calls are under."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

from msgspec import Struct, structs

from dapr_state.resiliency import trip

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from random import Random

    from dapr_state.resiliency.trip import Trip

T = TypeVar("T")

LEAST_WAIT: Final = 0.001  # seconds between attempts without end: with none, 3,900 of them a second are no help
MISSING: Final = 50  # names that are not there of which a line is told: as many as of a resource's faults
LEAST_RETRIES: Final = 3  # of what takes the place of a built-in policy, as daprd has it

# Breakers that actors of one type may have, the one least recently used is forgotten: 1 MB. daprd's number; under a
# default policy it keeps 100, against its documentation.
BREAKERS: Final = 5000

TYPE, ID, BOTH = SCOPES = ("type", "id", "both")  # whose calls a circuit breaker of actors counts together


class Retry(Struct, frozen=True):
    """How often, and after which waits. All times are in seconds."""

    is_exponential: bool = False
    duration: float = 5.0  # of each wait, when it is constant: daprd's
    max_interval: float = 60.0  # which waits grow to, before the jitter: daprd's
    max_retries: int = -1  # negative: no limit, as daprd
    initial_interval: float = 0.5  # the first wait, before the jitter: this and what follows daprd lets no file say
    multiplier: float = 1.5  # of each wait, to the next
    randomization: float = 0.5  # a wait is as much longer or shorter
    max_elapsed: float = 900.0  # seconds after which it is given up, even without a limit

    @property
    def never_rests(self) -> bool:
        """Whether it asks without end and without a pause."""
        longest = min(self.initial_interval, self.max_interval) if self.is_exponential else self.duration
        return self.max_retries < 0 and longest <= 0

    def waits(self, clock: Callable[[], float], random: Random) -> Iterator[float]:
        """Before each retry there may be; asked for when an attempt has failed."""
        waits = self._growing(clock, random) if self.is_exponential else self._constant()
        for count, wait in enumerate(waits):
            if count == self.max_retries:
                return
            yield wait if self.max_retries >= 0 else max(wait, LEAST_WAIT)

    def _constant(self) -> Iterator[float]:
        while True:
            yield max(self.duration, 0.0)

    def _growing(self, clock: Callable[[], float], random: Random) -> Iterator[float]:
        began, current = clock(), self.initial_interval
        while True:
            wait = current * random.uniform(1 - self.randomization, 1 + self.randomization)
            if self.max_elapsed and clock() - began + wait > self.max_elapsed:
                return
            yield wait
            current = min(current * self.multiplier, self.max_interval)  # before the jitter: waits may be longer


USUAL_TRIP: Final = trip.parse(trip.DEFAULT)


class BreakerRule(Struct, frozen=True):
    """When a circuit breaker opens, for how long, and what closes it again."""

    trip: Trip = USUAL_TRIP
    max_requests: int = 1  # that are let through half-open, and have to succeed: daprd's
    interval: float = 0.0  # seconds after which a closed one forgets its counts; 0: never, as daprd
    timeout: float = 60.0  # seconds for which it is open: daprd's


class Override(NamedTuple):
    """A built-in policy: what it is for, and whether a file may say it otherwise."""

    retry: Retry
    reason: str
    is_protected: bool = False


# daprd's. Files may name them like their own; for state and actors only the first is used by itself.
BUILT_IN: Final[Mapping[str, Override]] = {
    "DaprBuiltInActorNotFoundRetries": Override(
        Retry(duration=1.0, max_retries=5),
        "an actor moves, or its host restarts: 5 s are enough for placement to say where it is (here the first looks"
        " come sooner, `AGAIN_AFTER` of the router; with embedded placement there is nobody to wait for)",
        is_protected=True,
    ),
    "DaprBuiltInServiceRetries": Override(
        Retry(duration=1.0, max_retries=3), "service invocation, which is not served here"
    ),
    "DaprBuiltInActorRetries": Override(Retry(duration=1.0, max_retries=3), "workflows, which are not served here"),
    "DaprBuiltInActorReminderRetries": Override(
        Retry(is_exponential=True, max_retries=0),
        "nothing any more: a reminder has a failure policy of its own",
    ),
    "DaprBuiltInInitializationRetries": Override(
        Retry(is_exponential=True, max_interval=1.0, max_retries=3, max_elapsed=10.0),
        "subscriptions, which are not served here",
    ),
}


class Names(Struct, frozen=True):
    """What a target names: a policy of each kind, or none ("")."""

    timeout: str = ""
    retry: str = ""
    breaker: str = ""
    scope: str = TYPE
    cache_size: int = BREAKERS
    longest_turn: float = 0.0  # seconds that a call may hold an actor, 0: any time; daprd has no such bound


class Resource(Struct):
    """One `kind: Resiliency`, as far as it can be understood. Targets of components: what is outbound."""

    name: str = ""
    namespace: str = ""
    timeouts: dict[str, float] = {}
    retries: dict[str, Retry] = {}
    breakers: dict[str, BreakerRule] = {}
    components: dict[str, Names] = {}
    actors: dict[str, Names] = {}
    # each reference with its path and kind: what names nothing is told once all resources are known
    references: list[tuple[str, str, str]] = []


class Named(NamedTuple, Generic[T]):
    name: str
    policy: T


class Chosen(Struct, frozen=True):
    """The policies of one target; None where there is none of a kind."""

    timeout: Named[float] | None = None
    retry: Named[Retry] | None = None
    breaker: Named[BreakerRule] | None = None
    scope: str = TYPE
    cache_size: int = BREAKERS
    longest_turn: float = 0.0  # seconds, 0: any time

    def __bool__(self) -> bool:
        return any((self.timeout, self.retry, self.breaker, self.longest_turn))


NOTHING: Final = Chosen()

_TIMEOUT, _RETRY, _BREAKER = "Timeout", "Retry", "CircuitBreaker"
# which default policies are looked for, by the text that takes the kind's name
_OF_STORES: Final = (
    "DefaultStatestoreComponentOutbound{}Policy",
    "DefaultComponentOutbound{}Policy",
    "DefaultComponent{}Policy",
    "Default{}Policy",
)
_OF_ACTORS: Final = ("DefaultActor{}Policy", "Default{}Policy")
DEFAULTS: Final = frozenset(
    text.format(kind) for text in (*_OF_STORES, *_OF_ACTORS) for kind in (_TIMEOUT, _RETRY, _BREAKER)
)


class Remark(NamedTuple):
    """What is odd about a resource among the others."""

    resource: Resource
    path: str
    text: str
    is_missing: bool = False  # a policy is named that is not there

    def __str__(self) -> str:
        return f"Resiliency {self.resource.name}: {self.path} {self.text}"


class Policies:
    """Those of all resources together, in one space of names: of two with one name the later counts."""

    def __init__(self, resources: Iterable[Resource] = ()) -> None:
        self.resources = tuple(resources)
        self.remarks: list[Remark] = []
        self._timeouts: dict[str, float] = {}
        self._retries = {name: built_in.retry for name, built_in in BUILT_IN.items()}
        self._breakers: dict[str, BreakerRule] = {}
        self._components: dict[str, Names] = {}
        self._actors: dict[str, Names] = {}
        names: set[str] = set()
        for each in self.resources:
            self._add(each, is_second=each.name in names)
            names.add(each.name)
        for each in self.resources:
            self._note_unknown(each)

    def __repr__(self) -> str:
        return f"<Policies of {', '.join(each.name for each in self.resources) or 'nobody'}>"

    @property
    def label(self) -> tuple[str, str]:
        """Name and namespace in the metrics: of the resource that was read last, as daprd."""
        last = self.resources[-1] if self.resources else Resource()
        return last.name, last.namespace

    def of_store(self, component: str) -> Chosen:
        """The policies of calls to a state store."""
        return self._chosen(self._components.get(component), _OF_STORES)

    def of_actor(self, actor_type: str) -> Chosen:
        """The policies of calls to actors of this type."""
        return self._chosen(self._actors.get(actor_type), _OF_ACTORS)

    def lists_actors(self, actor_type: str) -> bool:
        """Whether a file names the type."""
        return actor_type in self._actors

    @property
    def has_actors(self) -> bool:
        """Whether there is any type of actors that has policies."""
        return bool(self._actors) or bool(self._chosen(None, _OF_ACTORS))

    def _chosen(self, names: Names | None, defaults: tuple[str, ...]) -> Chosen:
        if names is not None:  # listed: what it does not name does not exist for it
            return Chosen(
                _named(self._timeouts, (names.timeout,)),
                _named(self._retries, (names.retry,)),
                _named(self._breakers, (names.breaker,)),
                names.scope,
                names.cache_size,
                names.longest_turn,
            )
        return Chosen(
            _named(self._timeouts, [text.format(_TIMEOUT) for text in defaults]),
            _named(self._retries, [text.format(_RETRY) for text in defaults]),
            _named(self._breakers, [text.format(_BREAKER) for text in defaults]),
        )

    def _add(self, resource: Resource, *, is_second: bool) -> None:
        if is_second:
            text = "is the name of another one too: of policies and targets that both have, those of the last count"
            self.remarks.append(Remark(resource, "metadata.name", f'"{resource.name}" {text}'))
        self._timeouts |= resource.timeouts
        self._breakers |= resource.breakers
        self._components |= resource.components
        self._actors |= resource.actors
        for name, retry in resource.retries.items():
            self._retries[name] = self._overriding(resource, name, retry)

    def _overriding(self, resource: Resource, name: str, retry: Retry) -> Retry:
        built_in = BUILT_IN.get(name)
        path = f"spec.policies.retries.{name}"
        if built_in is None:
            return retry
        if built_in.is_protected:
            text = (
                f"Attempted to override protected policy {name} which is not allowed. Ignoring provided policy and"
                " using default."
            )
            self.remarks.append(Remark(resource, path, text))
            return built_in.retry
        if 0 <= retry.max_retries < LEAST_RETRIES:
            text = f"Attempted override of {name} did not meet minimum retry count, resetting to {LEAST_RETRIES}."
            self.remarks.append(Remark(resource, path, text))
            return structs.replace(retry, max_retries=LEAST_RETRIES)
        return retry

    def _note_unknown(self, resource: Resource) -> None:
        known: Mapping[str, Mapping[str, object]] = {
            "timeout": self._timeouts,
            "retry": self._retries,
            "circuitBreaker": self._breakers,
        }
        missing = (each for each in resource.references if each[2] not in known[each[1]])
        for path, _, name in islice(missing, MISSING):
            self.remarks.append(Remark(resource, path, f'"{name}" is not defined', is_missing=True))
        if next(missing, None):
            text = f"names more that is not defined than these {MISSING}"
            self.remarks.append(Remark(resource, "spec.targets", text, is_missing=True))


def _named(policies: Mapping[str, T], names: Iterable[str]) -> Named[T] | None:
    return next((Named(name, policies[name]) for name in names if name in policies), None)
