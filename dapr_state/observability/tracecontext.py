"""Which trace a call belongs to: W3C's `traceparent`, gRPC's `grpc-trace-bin`, and new ones where no span is kept."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final, Protocol

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

BINARY: Final = "grpc-trace-bin"
VOID: Final = f"00-{'0' * 32}-{'0' * 16}-00"

_SPAN: Final = r"-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})"
_PARENT: Final = re.compile(rf"00{_SPAN}|(?!00|ff)[0-9a-f]{{2}}{_SPAN}(?:-.*)?")  # a later version may say more
_SAMPLED: Final = 1
_IDS: Final = 1 << 63  # as OpenTelemetry for Go, which looks at so many bits of a trace's id


class SpanContext(Struct, frozen=True):
    """One span's place in its trace; the ids are hexadecimal."""

    trace: str
    span: str
    flags: int
    state: str = ""

    def __str__(self) -> str:
        """W3C's header."""
        return f"00-{self.trace}-{self.span}-{self.flags:02x}"

    def __bytes__(self) -> bytes:
        """The `grpc-trace-bin`: version 0, then field 0 with the trace's id, 1 with the span's, 2 with the flags."""
        return b"\0\0%b\1%b\2%c" % (bytes.fromhex(self.trace), bytes.fromhex(self.span), self.flags)


class Span(Protocol):
    """What a tracer has begun for one call."""

    @property
    def context(self) -> SpanContext: ...
    def note(self, name: str, value: str) -> None: ...
    def finish(self, problem: str | None = None) -> None:
        """End it, in error if there was a problem."""


class Tracer(Protocol):
    """`keeps` False: what is said of a span goes nowhere, and need not be found out."""

    keeps: bool

    def start(self, name: str, parent: SpanContext | None, attributes: Mapping[str, str]) -> Span: ...
    def close(self) -> None:
        """Export what waits."""


class Contexts:
    """A tracer whose spans nobody collects: calls have ids, which the application and the answer are told.

    So does daprd with a rate and without an exporter, as `dapr init --slim` sets it up.
    """

    keeps = False

    def __init__(self, ratio: float) -> None:
        self._sampled_below = ratio * _IDS

    def start(self, _: str, parent: SpanContext | None, __: Mapping[str, str]) -> _Unkept:
        span = _new(8)
        if parent:
            return _Unkept(SpanContext(parent.trace, span, parent.flags & _SAMPLED, parent.state))
        trace = _new(16)
        return _Unkept(SpanContext(trace, span, int(trace[16:], 16) >> 1 < self._sampled_below))

    def close(self) -> None:
        """Nothing waits."""


class _Unkept(Struct, frozen=True):
    context: SpanContext

    def note(self, name: str, value: str) -> None:
        """Nobody will see it."""

    def finish(self, problem: str | None = None) -> None:
        """Nobody waits for it."""


def of_headers(headers: Mapping[str, Any]) -> SpanContext | None:
    """The caller's context as HTTP's headers have it; None where there is none that is valid."""
    given = headers.get("traceparent")
    found = _PARENT.fullmatch(given) if isinstance(given, str) else None
    if not found:
        return None
    trace, span, flags = found.groups()[:3] if found[1] else found.groups()[3:]
    return SpanContext(trace, span, int(flags, 16), headers.get("tracestate", ""))


def of_metadata(metadata: Mapping[str, Any]) -> SpanContext | None:
    """The same from a gRPC call's metadata, where the binary form wins."""
    return of_binary(metadata.get(BINARY, b"")) or of_headers(metadata)


def of_binary(data: bytes) -> SpanContext | None:
    """The context in a `grpc-trace-bin`, or None for one that is malformed or void."""
    if len(data) != len(bytes(_ZERO)) or (data[0], data[1], data[18], data[27]) != (0, 0, 1, 2):
        return None
    context = SpanContext(data[2:18].hex(), data[19:27].hex(), data[28])
    return None if _ZERO.trace == context.trace or _ZERO.span == context.span else context


_ZERO: Final = SpanContext("0" * 32, "0" * 16, 0)


def _new(size: int) -> str:
    return os.urandom(size).hex()  # the chance that all of it is 0 is none
