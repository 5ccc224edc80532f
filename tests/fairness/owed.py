"""Requests that hold the loop too long as yet, and where. Who mends one takes it out: the test insists on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OWED: Mapping[str, str] = {}

# Attacks that the process grows with, or stays large after, as yet
OWED_MEMORY: Mapping[str, str] = {
    # 40 MB of 60 stay: one number of a metric, made anew at each step, keeps a megabyte of Python's own allocator
    "reads while Redis stands still": "does not come back: what was freed lies in pieces",
}
