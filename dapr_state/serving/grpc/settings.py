"""What a server can be told, under the names that grpc.aio's options have."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from dapr_state.serving.http2 import Bounds

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

UNLIMITED: Final = 2**32 - 1  # no message can be longer: its length has 32 bits
_MILLISECONDS: Final = 1000


@dataclass(frozen=True, slots=True)
class Settings(Bounds):
    max_receive: int = 4 * 1024 * 1024  # gRPC's own default
    max_send: int = UNLIMITED  # likewise


def _length(value: int) -> int:
    return UNLIMITED if value < 0 else value


def _seconds(value: int) -> float:
    return value / _MILLISECONDS


# option: (field, how its value is read); a field of `Limits` has a dot. Other options concern grpc's C core only.
_OPTIONS: Final[dict[str, tuple[str, Callable[[int], Any]]]] = {
    "grpc.max_receive_message_length": ("max_receive", _length),
    "grpc.max_send_message_length": ("max_send", _length),
    "grpc.max_metadata_size": ("limits.max_header_list_size", int),
    "grpc.max_concurrent_streams": ("limits.max_concurrent_streams", int),
    "grpc.keepalive_time_ms": ("keepalive_time", _seconds),
    "grpc.keepalive_timeout_ms": ("keepalive_timeout", _seconds),
    "grpc.max_connection_idle_ms": ("max_idle", _seconds),
    "grpc.server_handshake_timeout_ms": ("handshake_timeout", _seconds),
}


def read(options: Iterable[tuple[str, Any]], defaults: Settings) -> Settings:
    """The settings for these options."""
    own: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    for name, value in options:
        if name not in _OPTIONS:
            continue
        target, convert = _OPTIONS[name]
        scope, _, leaf = target.rpartition(".")
        (limits if scope else own)[leaf] = convert(value)
    return replace(defaults, limits=replace(defaults.limits, **limits), **own)
