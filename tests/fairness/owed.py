"""Requests that hold the loop too long as yet, and where. Who mends one takes it out: the test insists on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OWED: Mapping[str, str] = {}

# Those that hold it on some runs only: they may pass. On SQLite the loop waits up to 66 ms, of which 5 are its own: the
# thread that writes keeps the interpreter's lock for so long.
_LOCK = "on SQLite another thread keeps the interpreter's lock"
SOMETIMES: Mapping[str, str] = dict.fromkeys(
    (
        "actors, transaction: values",
        "actors, transaction: most operations",
        "actors, transaction: most operations over HTTP",
        "actors, transaction: most deletes over HTTP",
        "store, transaction: most operations on lite",
        "store, transaction: most operations, the last refused on lite",
        "store, save: most items over HTTP on lite",
        "store, save: most items on lite",
        "store, delete: most items on lite",
    ),
    _LOCK,
)


# Attacks that the process grows with, or stays large after, as yet
OWED_MEMORY: Mapping[str, str] = {
    "reads while Redis stands still": "does not come back: what was freed lies in pieces",
}
