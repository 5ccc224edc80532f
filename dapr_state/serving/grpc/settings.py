"""What a server can be told, under the names that grpc.aio's options have."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct, field, structs

from dapr_state.serving.timeouts import Timeouts
from dapr_state.wire.http2.limits import Limits

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

# 20 s for the first frame, and 300 s for output that nothing moves: no client that lives is so slow
TIMEOUTS: Final = Timeouts(head=20.0, stall=300.0)
UNLIMITED: Final = 2**32 - 1  # no message can be longer: its length has 32 bits
_MILLISECONDS: Final = 1000


class Settings(Struct, frozen=True):
    limits: Limits = field(default_factory=Limits)
    timeouts: Timeouts = TIMEOUTS
    max_receive: int = 4 * 1024 * 1024  # gRPC's own default
    max_send: int = UNLIMITED  # likewise


def _length(value: int) -> int:
    return UNLIMITED if value < 0 else value


def _seconds(value: int) -> float:
    return value / _MILLISECONDS


# option: (field, how its value is read); those of a part have a dot. Other options concern grpc's C core only.
_OPTIONS: Final[dict[str, tuple[str, Callable[[int], Any]]]] = {
    "grpc.max_receive_message_length": ("max_receive", _length),
    "grpc.max_send_message_length": ("max_send", _length),
    "grpc.max_metadata_size": ("limits.max_header_list_size", int),
    "grpc.max_concurrent_streams": ("limits.max_concurrent_streams", int),
    "grpc.keepalive_time_ms": ("timeouts.keepalive", _seconds),
    "grpc.keepalive_timeout_ms": ("timeouts.keepalive_answer", _seconds),
    "grpc.max_connection_idle_ms": ("timeouts.idle", _seconds),
    "grpc.server_handshake_timeout_ms": ("timeouts.head", _seconds),
}


def read(options: Iterable[tuple[str, Any]], defaults: Settings) -> Settings:
    """The settings for these options."""
    own: dict[str, Any] = {}
    limits: dict[str, Any] = {}
    timeouts: dict[str, Any] = {}
    parts = {"": own, "limits": limits, "timeouts": timeouts}
    for name, value in options:
        if name not in _OPTIONS:
            continue
        target, convert = _OPTIONS[name]
        part, _, leaf = target.rpartition(".")
        parts[part][leaf] = convert(value)
    own |= {
        "limits": structs.replace(defaults.limits, **limits),
        "timeouts": structs.replace(defaults.timeouts, **timeouts),
    }
    return structs.replace(defaults, **own)
