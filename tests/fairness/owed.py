"""Requests that hold the loop too long as yet, and where. Who mends one takes it out: the test insists on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OWED: Mapping[str, str] = {}

# Those that hold it on some runs only: they may pass
SOMETIMES: Mapping[str, str] = {
    "actors, transaction: values": "on SQLite up to 66 ms with 5 of CPU: another thread keeps the interpreter's lock",
}


# Attacks that the process grows with, or stays large after, as yet
OWED_MEMORY: Mapping[str, str] = {
    "large answers from SQLite that nobody takes": "400 to 1,000 MB, though the store gives out 4 MB at a time",
    "reads while Redis stands still": "does not come back: what was freed lies in pieces",
    "large quotes in errors": "does not come back: what was freed lies in pieces",
    "saves of 300,000 items": "each item is some objects",
}
