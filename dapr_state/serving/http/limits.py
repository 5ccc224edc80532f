"""How much an HTTP server allows one connection, and why that much."""

from __future__ import annotations

from typing import Final

HEAD_SLACK: Final = 4096  # Go allows so much more than it is told
DEFAULT_HEAD: Final = 1 << 20  # Go's limit when it is told none
# Seconds that one connection's requests may be answered in one turn of the loop: 256 KB of the smallest, which one read
# may bring, are 150 ms of work.
TURN: Final = 0.005
LITTLE: Final = 4096  # who sends no more at once is served at once, also while others wait for their turn
