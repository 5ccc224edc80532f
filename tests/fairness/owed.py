"""Requests that hold the loop too long as yet, and where. Who mends one takes it out: the test insists on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

OWED: Mapping[str, str] = {
    # 1,000 keys come in one answer, however long they are: 30 of a megabyte are 100 ms
    "administration, list of long keys on redis": "a page of SCAN is read and asked about in one go",
}

# Attacks that the process grows with, or stays large after, as yet
OWED_MEMORY: Mapping[str, str] = {}
