"""Small parts of the messages: times, durations, and text that protobuf takes."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from google.protobuf.duration_pb2 import Duration
    from google.protobuf.timestamp_pb2 import Timestamp

_NANOSECONDS: Final = 1_000_000_000
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # seconds: a timestamp is of the years 1 to 9999


def text(key: str) -> str:
    """A key that is no UTF-8 is told as far as it is text."""
    return key if key.isascii() else key.encode("utf-8", "replace").decode()


def set_time(field: Timestamp, seconds: float | None) -> None:
    """Unix seconds, as far as a timestamp goes: anybody may save a key for longer. None leaves it out."""
    if seconds is not None:
        seconds = min(max(seconds, _FIRST), _LAST)
        whole = math.floor(seconds)
        field.seconds = whole
        field.nanos = int((seconds - whole) * _NANOSECONDS)


def set_duration(field: Duration, seconds: float) -> None:
    field.seconds = int(seconds)
    field.nanos = int((seconds - int(seconds)) * _NANOSECONDS)


def seconds_of(message: Any, field: str, otherwise: float) -> float:
    """A duration that may not be given."""
    if not message.HasField(field):
        return otherwise
    given = getattr(message, field)
    return float(given.seconds + given.nanos / _NANOSECONDS)


def time_of(field: Timestamp) -> float:
    return field.seconds + field.nanos / _NANOSECONDS
