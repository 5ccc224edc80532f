"""Which actor types the application hosts, and how: its `/dapr/config`, or the first message of its own stream."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, ValidationError, convert, field

from dapr_state.golang.duration import format_duration, parse_duration

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dapr_state_proto.runtime.v1 import actors_pb2
    from google.protobuf.duration_pb2 import Duration

DEFAULT_IDLE: Final = 3600.0
DEFAULT_DRAIN: Final = 2.0
DEFAULT_DEPTH: Final = 32
_LONGEST_DRAIN: Final = 0.8  # of the time that placement waits for a host

log = logging.getLogger("dapr.runtime.actor.config")


class ConfigError(ValueError):
    """The configuration cannot be used: no types are hosted."""


class TypeConfig(Struct, frozen=True):
    """Times in seconds."""

    idle_timeout: float = DEFAULT_IDLE
    drain_timeout: float = DEFAULT_DRAIN
    reentrant: bool = False
    max_depth: int = DEFAULT_DEPTH


class Registration(Struct, frozen=True):
    """The hosted types, in the application's order, each once."""

    types: Mapping[str, TypeConfig] = {}
    drains_rebalanced: bool = True  # False: calls of an actor that moves away are cancelled at once


class _Reentrancy(Struct, frozen=True):
    enabled: bool | None = None
    max_depth: int | None = field(default=None, name="maxstackdepth")


class _Settings(Struct, frozen=True):
    """What can be said of all types, or of some; durations as the application wrote them."""

    entities: list[str | None] | None = None
    idle: str | None = field(default=None, name="actoridletimeout")
    drain: str | None = field(default=None, name="drainongoingcalltimeout")
    drains_rebalanced: bool | None = field(default=None, name="drainrebalancedactors")
    reentrancy: _Reentrancy | None = None
    partitions: int | None = field(default=None, name="remindersstoragepartitions")

    def names(self) -> list[str]:
        return [name or "" for name in self.entities or ()]


class _Document(_Settings, frozen=True):
    by_type: list[_Settings | None] | None = field(default=None, name="entitiesconfig")


def of_json(body: bytes, disseminate_timeout: float) -> Registration:
    """Read what `/dapr/config` answered. Raises ConfigError."""
    try:
        # as Go: names in any case, null as nothing, and what follows the first value does not count
        value, _ = json.JSONDecoder().raw_decode(body.decode(errors="replace").lstrip())
        document = convert(_lowered(value) if value is not None else {}, _Document)
    except (ValueError, ValidationError) as error:
        raise ConfigError(f"the application's configuration cannot be read: {error}") from error
    return _registration(document, disseminate_timeout)


def of_stream(initial: actors_pb2.SubscribeActorEventsRequestInitialAlpha1, disseminate_timeout: float) -> Registration:
    """Read the first message of a stream of actor events. Raises ConfigError."""
    by_type: list[_Settings | None] = [_settings_of_message(each) for each in initial.entities_config]
    general = _settings_of_message(initial)
    return _registration(
        _Document(
            general.entities, general.idle, general.drain, general.drains_rebalanced, general.reentrancy, None, by_type
        ),
        disseminate_timeout,
    )


def _settings_of_message(
    message: actors_pb2.SubscribeActorEventsRequestInitialAlpha1 | actors_pb2.ActorEntityConfig,
) -> _Settings:
    given: Callable[[str], bool] = message.HasField
    reentrancy = None
    if given("reentrancy"):
        depth = message.reentrancy.max_stack_depth if message.reentrancy.HasField("max_stack_depth") else None
        reentrancy = _Reentrancy(message.reentrancy.enabled, depth)
    return _Settings(
        list(message.entities),
        _written(message.actor_idle_timeout) if given("actor_idle_timeout") else None,
        _written(message.drain_ongoing_call_timeout) if given("drain_ongoing_call_timeout") else None,
        message.drain_rebalanced_actors if given("drain_rebalanced_actors") else None,
        reentrancy,
    )


def _written(duration: Duration) -> str:
    return f"{duration.ToNanoseconds()}ns"


def _lowered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name.lower(): _lowered(each) for name, each in value.items()}
    return [_lowered(each) for each in value] if isinstance(value, list) else value


def _registration(document: _Document, disseminate_timeout: float) -> Registration:
    idle = _strict(document.idle, DEFAULT_IDLE, "default actor idle timeout")
    drain = _strict(document.drain, DEFAULT_DRAIN, "drain ongoing call timeout")
    drain = _clamped(drain, disseminate_timeout, "global config")
    _warn_of_partitions(document, "")
    types = dict.fromkeys(document.names(), _type_config(document, idle, drain))
    for settings in filter(None, document.by_type or ()):
        names = settings.names()
        _warn_of_partitions(settings, f" (entity: [{' '.join(names)}])")
        # without inheritance: what is not said here has its default, whatever is said of all types; but for the drain
        own_idle = _lenient(settings.idle, DEFAULT_IDLE, "actor idle timeout")
        own_drain = _lenient(settings.drain, drain, "drain ongoing call timeout")
        own_drain = _clamped(own_drain, disseminate_timeout, f"entities={','.join(names)}")
        for name in names:
            if name in types:
                types[name] = _type_config(settings, own_idle, own_drain)
            else:
                log.warning("Configuration specified for non-hosted actor type: %s", name)
    return Registration(types, document.drains_rebalanced is not False)


def _type_config(settings: _Settings, idle: float, drain: float) -> TypeConfig:
    reentrancy = settings.reentrancy or _Reentrancy()
    depth = DEFAULT_DEPTH if reentrancy.max_depth is None else reentrancy.max_depth
    return TypeConfig(idle, drain, bool(reentrancy.enabled), depth)


def _strict(text: str | None, default: float, what: str) -> float:
    try:
        return parse_duration(text) if text else default
    except ValueError as error:
        raise ConfigError(f"failed to parse {what}: {error}") from error


def _lenient(text: str | None, default: float, what: str) -> float:
    try:
        return parse_duration(text) if text else default
    except ValueError:
        log.warning("Invalid %s value %s, using default value %s", what, text, format_duration(default))
        return default


def _clamped(drain: float, disseminate_timeout: float, what: str) -> float:
    """A drain that takes longer than placement waits would have this host thrown out."""
    if drain < disseminate_timeout:
        return drain
    longest = max(_LONGEST_DRAIN * disseminate_timeout, DEFAULT_DRAIN)
    log.warning(
        "drainOngoingCallTimeout (%s) for %s meets or exceeds the dissemination timeout (%s); "
        "clamping to %s to avoid blocking placement dissemination",
        format_duration(drain),
        what,
        format_duration(disseminate_timeout),
        format_duration(longest),
    )
    return longest


def _warn_of_partitions(settings: _Settings, where: str) -> None:
    if settings.partitions:
        log.warning("remindersStoragePartitions is deprecated and will be removed in future versions%s", where)
