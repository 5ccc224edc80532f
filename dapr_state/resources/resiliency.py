"""Resiliency files as they are written: what can be understood becomes policies and targets, the rest is told.

What is wrong is named with its path and left out alone; what stands beside it counts.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field

from dapr_state.golang import strconv, yaml
from dapr_state.golang.duration import parse_duration
from dapr_state.golang.quoting import quote
from dapr_state.resiliency import trip
from dapr_state.resiliency.policies import BREAKERS, SCOPES, TYPE, BreakerRule, Names, Resource, Retry
from dapr_state.resiliency.trip import TripError
from dapr_state.resources.manifest import ManifestError, Map

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dapr_state.resources.component import Source

LONGEST: Final = 1e9  # seconds, which are 31 years: the event loop's timers know no more than some centuries
LARGEST_CACHE: Final = 1_000_000  # breakers of one type of actors: 200 MB; who asks for more has slipped

# Lines that are told of one kind about one resource: each costs 60 us of the event loop, and what is wrong in more
# places than these is wrong in all of them for one reason.
TOLD: Final = 50
LONGEST_LINE: Final = 3000  # characters of one such line: a `trip` of the longest with its mark fits
LONGEST_NAME: Final = 253  # characters, as in Kubernetes: they are in lines of the log, and in metrics

# Of a retry whose waits grow. daprd knows the first two alone, and says nothing of the others.
_GROWING: Final = ("maxInterval", "initialInterval", "multiplier", "randomizationFactor", "maxElapsedTime")
_RETRY: Final = ("policy", "duration", "maxRetries", "matching", *_GROWING)
_BREAKER: Final = ("maxRequests", "interval", "timeout", "trip")
_NAMES: Final = ("timeout", "retry", "circuitBreaker")
_NAMES_OF_ACTORS: Final = (*_NAMES, "circuitBreakerScope", "circuitBreakerCacheSize", "maxTurnDuration")
_KINDS_OF_POLICIES: Final = {"linear": "constant", "fixed": "constant"}  # what people write, and mean

# Status codes that a retry of service invocation may name
_HTTP: Final = range(100, 600)
_GRPC: Final = range(17)


class Fault(Struct, frozen=True):
    """What is wrong at one place of a file, and how it is mended."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path}: {self.text}"


class Reading(Struct):
    """One Resiliency resource: its meaning, what was left out of it, and what has no effect."""

    source: Source
    resource: Resource = field(default_factory=Resource)
    scopes: tuple[str, ...] = ()
    faults: list[Fault] = []
    warnings: list[Fault] = []
    unused: list[Fault] = []

    def applies_to(self, app_id: str) -> bool:
        return not self.scopes or app_id in self.scopes


def read(document: Any, source: Source) -> Reading:
    """The resource that a parsed document of this kind is."""
    reader = _Reader(source)
    reader.whole(Map(document, ""))
    return reader.reading


class _Reader:
    def __init__(self, source: Source) -> None:
        self.reading = Reading(source)

    def whole(self, document: Map) -> None:
        reading, resource = self.reading, self.reading.resource
        with self._each():
            metadata = document.map("metadata")
            resource.name = _name(metadata, "name")
            resource.namespace = _name(metadata, "namespace")
        try:
            reading.scopes = document.texts("scopes")
        except ManifestError as error:  # for whom it is meant is not known: it is for nobody
            _note_fault(reading, error)
            return
        with self._each():
            spec = document.map("spec")
            self._unknown(spec, ("policies", "targets"))
            with self._each():
                self._policies(spec.map("policies"))
            with self._each():
                self._targets(spec.map("targets"))

    def _each(self) -> _Leaving:
        return _Leaving(self.reading)

    def _unknown(self, fields: Map, known: tuple[str, ...]) -> None:
        """Note the fields that nothing here reads."""
        lowered = {name.lower() for name in known}
        for name in fields.names():
            if name.lower() not in lowered:
                _note(self.reading.unused, fields.at(name), f"{name} is not known; known are {', '.join(known)}")

    def _warn(self, path: str, text: str) -> None:
        _note(self.reading.warnings, path, text)

    # Policies

    def _policies(self, policies: Map) -> None:
        resource = self.reading.resource
        self._unknown(policies, ("timeouts", "retries", "circuitBreakers"))
        with self._each():
            timeouts = policies.map("timeouts")
            for name in timeouts.names():
                with self._each():
                    _check_length(timeouts, name, name)
                    resource.timeouts[name] = self._timeout(timeouts, name)
        with self._each():
            for name, fields in _maps(policies.map("retries"), self._each):
                with self._each():
                    resource.retries[name] = self._retry(name, fields)
        with self._each():
            for name, fields in _maps(policies.map("circuitBreakers"), self._each):
                with self._each():
                    resource.breakers[name] = self._breaker(name, fields)

    def _timeout(self, timeouts: Map, name: str) -> float:
        text = timeouts.text(name)
        try:
            return _duration(text)
        except ValueError as error:
            raise timeouts.error(name, f"invalid duration {quote(name)}, {text}: {error}", _HOW_LONG) from None

    def _retry(self, name: str, fields: Map) -> Retry:
        self._unknown(fields, _RETRY)
        what = f"invalid retry configuration {quote(name)}"
        policy = fields.text("policy") or "constant"
        if policy.lower() not in {"constant", "exponential"}:
            meant = _KINDS_OF_POLICIES.get(policy.lower(), "constant or exponential")
            problem = f"{what}: error decoding 'policy': invalid PolicyType {quote(policy)}: unexpected back off policy"
            raise fields.error("policy", f"{problem} type: {policy.lower()}", f"write {meant}")
        self._matching(fields.map("matching"))
        plain = Retry()
        retry = Retry(
            policy.lower() == "exponential",
            _seconds(fields, "duration", what, plain.duration),
            _seconds(fields, "maxInterval", what, plain.max_interval),
            _whole(fields, "maxRetries", what, plain.max_retries),
            _seconds(fields, "initialInterval", what, plain.initial_interval),
            _number(fields, "multiplier", what, plain.multiplier, least=1.0),
            _number(fields, "randomizationFactor", what, plain.randomization, least=0.0, most=1.0),
            _seconds(fields, "maxElapsedTime", what, plain.max_elapsed),
        )
        if retry.never_rests:
            self._warn(fields.at(""), "retries without a limit and without a wait: at least 1 ms is waited each time")
        return retry

    def _matching(self, fields: Map) -> None:
        """Which answers of other applications are retried: it means nothing for state and actors, and is checked."""
        for name, codes in (("httpStatusCodes", _HTTP), ("gRPCStatusCodes", _GRPC)):
            for pattern in fields.text(name).split(","):
                if problem := _bad_pattern(pattern, codes):
                    raise fields.error(name, problem, "write codes and ranges, as in 429,500-599")

    def _breaker(self, name: str, fields: Map) -> BreakerRule:
        self._unknown(fields, _BREAKER)
        what = f"invalid circuit breaker configuration {quote(name)}"
        plain = BreakerRule()
        max_requests = _whole(fields, "maxRequests", what, 0)
        if max_requests < 0:
            problem = f"{what}: cannot parse 'maxRequests', {max_requests:f} overflows uint"
            raise fields.error("maxRequests", problem, "write a number from 0 on")
        interval = _seconds(fields, "interval", what, 0.0)
        timeout = _seconds(fields, "timeout", what, 0.0)
        text = fields.text("trip")
        try:
            rule = trip.parse(text)
        except TripError as error:
            problem = f"{what}: error decoding 'trip': invalid Expr {quote(text)}: {error}"
            raise fields.error("trip", problem, f"compare {', '.join(trip.NAMES)} with numbers") from None
        if rule.unknown:
            unknown, known = ", ".join(rule.unknown), ", ".join(trip.NAMES)
            self._warn(fields.at("trip"), f"{unknown} is no count, what asks for it never trips; counts are {known}")
        return BreakerRule(rule, max_requests or plain.max_requests, max(interval, 0.0), _above(timeout, plain.timeout))

    # Targets

    def _targets(self, targets: Map) -> None:
        resource = self.reading.resource
        self._unknown(targets, ("apps", "actors", "components"))
        with self._each():
            for _, fields in _maps(targets.map("apps"), self._each):
                with self._each():
                    self._app(fields)
        with self._each():
            for name, fields in _maps(targets.map("actors"), self._each):
                with self._each():
                    resource.actors[name] = self._actors(fields)
        with self._each():
            for name, fields in _maps(targets.map("components"), self._each):
                with self._each():
                    resource.components[name] = self._component(fields)

    def _app(self, fields: Map) -> None:
        self._unknown(fields, (*_NAMES, "circuitBreakerCacheSize"))
        self._named(fields)
        self._cache_size(fields)

    def _component(self, fields: Map) -> Names:
        """What is inbound means nothing to a state store; that it is there makes the store a listed one."""
        self._unknown(fields, ("outbound", "inbound"))
        for direction in ("inbound", "outbound"):
            self._unknown(fields.map(direction), _NAMES)
        self._named(fields.map("inbound"))
        return self._named(fields.map("outbound"))

    def _actors(self, fields: Map) -> Names:
        self._unknown(fields, _NAMES_OF_ACTORS)
        names = self._named(fields)
        # ours: daprd has no turn that could last, it lets the next one begin beside
        longest = max(_seconds(fields, "maxTurnDuration", "invalid target", 0.0), 0.0)
        without = Names(names.timeout, names.retry, longest_turn=longest)
        if not names.breaker:
            return without
        with self._each():
            scope = fields.text("circuitBreakerScope")
            if not scope:
                raise fields.error("circuitBreakerScope", "actor circuit breakers must include scope", _WHICH_SCOPE)
            if scope not in SCOPES:
                raise fields.error("circuitBreakerScope", f"unknown circuit breaker scope {quote(scope)}", _WHICH_SCOPE)
            size = self._cache_size(fields)
            return Names(names.timeout, names.retry, names.breaker, scope, size, longest)
        return without

    def _cache_size(self, fields: Map) -> int:
        size = _whole(fields, "circuitBreakerCacheSize", "invalid target", 0)
        if not 0 <= size <= LARGEST_CACHE:
            raise fields.error(
                "circuitBreakerCacheSize", "must provide a positive size", f"write a number up to {LARGEST_CACHE}"
            )
        return size or BREAKERS

    def _named(self, fields: Map) -> Names:
        found = {}
        for kind in _NAMES:
            if name := _name(fields, kind):
                found[kind] = name
                self.reading.resource.references.append((fields.at(kind), kind, name))
        return Names(found.get("timeout", ""), found.get("retry", ""), found.get("circuitBreaker", ""), TYPE)


class _Leaving:
    """What is found wrong inside is noted, and left out."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading

    def __enter__(self) -> None:
        pass

    def __exit__(self, _: object, error: BaseException | None, __: object) -> bool:
        if isinstance(error, ManifestError):
            _note_fault(self._reading, error)
            return True
        return False


_HOW_LONG: Final = 'write milliseconds, or a duration such as "5s"'
_WHICH_SCOPE: Final = f"write one of {', '.join(SCOPES)}"


def _note(noted: list[Fault], path: str, text: str) -> None:
    if len(noted) < TOLD:
        noted.append(Fault(_short(path), _short(text)))
    elif len(noted) == TOLD:
        noted.append(Fault("document", f"there is more like these {TOLD}"))


def _short(text: str) -> str:
    """With its beginning and its end, which says how it is mended."""
    half = LONGEST_LINE // 2
    return text if len(text) <= LONGEST_LINE else f"{text[:half]}…{text[-half:]}"


def _note_fault(reading: Reading, error: ManifestError) -> None:
    _note(reading.faults, error.path or "document", str(error).removeprefix(f"{error.path}: "))


def _maps(fields: Map, each: Callable[[], _Leaving]) -> Iterator[tuple[str, Map]]:
    for name in fields.names():
        with each():
            _check_length(fields, name, name)
            yield name, fields.map(name)


def _name(fields: Map, field: str) -> str:
    name = fields.text(field)
    _check_length(fields, field, name)
    return name


def _check_length(fields: Map, field: str, name: str) -> None:
    if len(name) > LONGEST_NAME:
        raise fields.error(field, f"is a name of {len(name)} characters", f"write {LONGEST_NAME} at most")


def _duration(text: str) -> float:
    """Seconds; a bare integer is milliseconds. Raises ValueError in Go's words."""
    try:
        return min(strconv.atoi(text) / 1000, LONGEST)
    except ValueError:
        return min(parse_duration(text), LONGEST)


def _seconds(fields: Map, name: str, what: str, default: float) -> float:
    if fields.get(name) is None and not fields.has(name):
        return default
    text = fields.text(name)
    try:
        return _duration(text)
    except ValueError:
        problem = f"{what}: error decoding '{name}': invalid duration {quote(text)}"
        raise fields.error(name, problem, _HOW_LONG) from None


def _above(seconds: float, default: float) -> float:
    return seconds if seconds > 0 else default


def _whole(fields: Map, name: str, what: str, default: int) -> int:
    value = fields.get(name)
    if value is None:
        return default
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise fields.error(name, f"{what}: '{name}' is {_shown(value)}, no whole number", "write one, without quotes")


def _number(fields: Map, name: str, what: str, default: float, *, least: float, most: float = math.inf) -> float:
    text = fields.text(name)
    if not text:
        return default
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not least <= value <= most or math.isinf(value):
        upto = "" if math.isinf(most) else f" to {most:g}"
        raise fields.error(name, f"{what}: '{name}' is {quote(text)}", f"write a number from {least:g}{upto}")
    return value


def _shown(value: Any) -> str:
    return quote(value) if isinstance(value, str) else str(yaml.scalar_text(value) or "a list or mapping")


def _bad_pattern(pattern: str, codes: range) -> str:
    """What is wrong with "500" or "500-599", in daprd's words."""
    if not pattern:
        return ""
    bounds = pattern.split("-")
    if len(bounds) > 2:  # noqa: PLR2004 - a start and an end
        return f"invalid pattern {pattern}, more than one '-' exists"
    numbers = []
    for which, text in zip(("start", "end"), bounds, strict=False):
        if not re.fullmatch(r"[+-]?[0-9]{1,9}", text):
            return (
                f"failed to parse {which} code {text} from pattern {pattern} to int,"
                f" strconv.Atoi: parsing {quote(text)}: invalid syntax"
            )
        if int(text) not in codes:
            return f"invalid pattern {pattern}, {which} code {int(text)} is not valid"
        numbers.append(int(text))
    if numbers[0] > numbers[-1]:
        return f"invalid pattern {pattern}, start value should not bigger than end value"
    return ""
