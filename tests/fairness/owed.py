"""Requests that hold the loop too long as yet, and where. Who mends one takes it out: the test insists on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OWED: Mapping[str, str] = {}

# Attacks that the process grows with, or stays large after, as yet
OWED_MEMORY: Mapping[str, str] = {}
