"""What an HTTP server can be told: how much it allows one connection, how long it waits, and why that much."""

from __future__ import annotations

from typing import Final, Self

from msgspec import Struct

from dapr_state.serving.timeouts import Timeouts
from dapr_state.wire.http1.body import NO_LIMIT
from dapr_state.wire.http2.limits import Limits

HEAD_SLACK: Final = 4096  # Go allows so much more than it is told
DEFAULT_HEAD: Final = 1 << 20  # Go's limit when it is told none
MAX_STREAMS: Final = 250  # as daprd
# HTTP/2 counts 32 octets more for each field than it has (RFC 9113, 6.5.2): beyond it not even a refused head is kept
HEAD_FACTOR: Final = 2
# Seconds that one connection's requests may be answered in one turn of the loop: 256 KB of the smallest, which one read
# may bring, are 150 ms of work.
TURN: Final = 0.005
LITTLE: Final = 4096  # who sends no more at once is served at once, also while others wait for their turn


class Settings(Struct, frozen=True):
    max_head: int  # octets
    max_body: int  # octets
    http2: Limits | None  # None: HTTP/1.1 alone
    timeouts: Timeouts

    @classmethod
    def read(
        cls, *, max_body: int = 0, read_buffer: int = 0, http2: bool = True, timeouts: Timeouts | None = None
    ) -> Self:
        """Of daprd's numbers, of which 0 and below say nothing; 4 KiB are added to `read_buffer`, a head's limit."""
        max_head = (read_buffer if read_buffer > 0 else DEFAULT_HEAD) + HEAD_SLACK
        return cls(
            max_head,
            max_body if max_body > 0 else NO_LIMIT,
            Limits(max_concurrent_streams=MAX_STREAMS, max_header_list_size=max_head * HEAD_FACTOR) if http2 else None,
            timeouts or Timeouts(),
        )
