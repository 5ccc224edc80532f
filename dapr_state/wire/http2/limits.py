"""How much of each thing one connection may ask for, and why that much."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from dapr_state.wire.http2.frames import DEFAULT_WINDOW, MAX_WINDOW

# For so many octets sent, a peer may open a window once without spending of its allowance: who opens it by less makes
# many tiny frames (CVE-2019-9511).
SENT_PER_UPDATE: Final = 1_024
# What a stream may bring along: grpc's C core opens each window by five octets before it waits for the answer.
IDLE_FRAMES_PER_STREAM: Final = 4


class Limits(Struct, frozen=True):
    """One connection's allowances; every number can be an option of the server."""

    # 100 is the least RFC 9113 recommends; gRPC clients queue what goes beyond. nginx 128, Envoy 1 024 by default.
    max_concurrent_streams: int = 1_000
    # Octets of all names and values, each field counted with 32 more. h2 and hpack: 64 KiB.
    max_header_list_size: int = 65_536
    # Octets of a list, or of its block, that is beyond that limit: it is read all the same, as it may change HPACK's
    # table, but nothing of it is kept, and its stream alone is refused. Beyond this the connection ends. daprd: 4 MiB.
    max_refused_list: int = 262_144
    # Fields of one list: each costs some microseconds to read, check and hand on. Apache and Envoy: 100.
    header_fields: int = 1_000
    # Octets all streams together may have sent unread; a relay, as they are passed on at once. Envoy: 1 MiB.
    connection_window: int = 1_048_576
    # Octets of answers that wait for the peer before its further requests wait as well.
    backlog: int = 4_194_304
    # CONTINUATION frames of one block (CVE-2024-27316 and others: without end); a block of ordinary size needs four.
    continuations: int = 32
    # Resets by either side: a burst, and so many a second (CVE-2023-44487 rapid reset, CVE-2025-8671 made you reset).
    # nghttp2: 1 000 and 33. Twice the streams: a client may give up all its calls at once, and do so again.
    resets: int = 2_000
    resets_per_second: int = 100  # beyond that burst
    # Frames that carry nothing - SETTINGS, PING, PRIORITY, WINDOW_UPDATE, empty DATA, unknown types, and all that come
    # for a stream that is closed (CVE-2019-9511 to 9518). Clients measure the path with a PING per burst of data;
    # answered calls and what is sent earn more. nghttp2 allows as many "glitches", HAProxy 100.
    idle_frames: int = 1_000
    idle_frames_per_second: int = 100  # beyond that burst
    # The work of one turn of the loop, in frames: the rest waits until others had theirs. About 3 ms.
    turn: int = 1_024

    @property
    def longest_list(self) -> int:
        """Octets of a header list, or of its block, beyond which the connection ends."""
        return max(self.max_header_list_size, self.max_refused_list)

    def __post_init__(self) -> None:
        # HTTP/2 begins with this window, and has no means to make it smaller
        if not DEFAULT_WINDOW <= self.connection_window <= MAX_WINDOW:
            raise ValueError(f"connection_window: {self.connection_window} is not in [{DEFAULT_WINDOW}, {MAX_WINDOW}]")


class TokenBucket:
    """An allowance: spent one by one, refilled by time and by useful work, never above where it began."""

    __slots__ = ("_burst", "_earned", "_left", "_now", "_per_second")

    def __init__(self, burst: int, per_second: int) -> None:
        self._burst = burst
        self._per_second = per_second
        self._left = float(burst)
        self._now: float | None = None
        self._earned = 0

    def __repr__(self) -> str:
        return f"<TokenBucket {self._left:.0f} of {self._burst} left>"

    def spend(self, now: float, earned: int) -> bool:
        """Take one; False when none is left. `earned`: the useful work of the connection's whole life, counted up."""
        elapsed = 0.0 if self._now is None else now - self._now
        refill = elapsed * self._per_second + (earned - self._earned)
        self._left = min(self._left + refill, self._burst) - 1
        self._now, self._earned = now, earned
        return self._left >= 0


class Turn:
    """The work that may still be done in this turn of the loop; a frame is one, and about three microseconds."""

    __slots__ = ("left",)

    def __init__(self) -> None:
        self.left = 0

    def __repr__(self) -> str:
        return f"<Turn {self.left} left>"
