"""How long and how much an HTTP server allows one connection, and why that much."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

HEAD_SLACK: Final = 4096  # Go allows so much more than it is told
DEFAULT_HEAD: Final = 1 << 20  # Go's limit when it is told none
# Seconds that one connection's requests may be answered in one turn of the loop: 256 KB of the smallest, which one read
# may bring, are 150 ms of work.
TURN: Final = 0.005
LITTLE: Final = 4096  # who sends no more at once is served at once, also while others wait for their turn


@dataclass(frozen=True, slots=True, kw_only=True)
class Timeouts:
    """Seconds. A connection between two requests may rest for ever, as daprd's."""

    head: float = 10.0  # until a request's head is whole; as daprd
    # Without an octet of a body that has begun; nginx: 60 s, Apache 20 s. While others wait for memory, a body that
    # holds some of it must bring `slowest_body` octets in this time.
    body: float = 10.0
    slowest_body: int = 5_000  # 500 a second, as Apache's MinRate
    memory: float = 30.0  # that a request waits for --max-request-memory, before it is refused
    # Without an octet taken by a client that has answers to read; nginx: 60 s
    stall: float = 60.0
    # As Go: without it, what a client still sends would reset the connection before it reads the answer
    linger: float = 0.5
