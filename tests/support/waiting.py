"""Waiting for something to become true, with a deadline."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

STEP = 0.01  # seconds between two looks: far below what any test waits for


def until(look: Callable[[], T], timeout: float = 10, *, what: str = "") -> T:
    """Look again and again until the answer is true, and return it."""
    deadline = time.monotonic() + timeout
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not within {timeout:g} s: {what or look}")
        time.sleep(STEP)
    return seen


async def eventually(look: Callable[[], T]) -> T:
    """As `until`, while the loop goes on."""
    async with asyncio.timeout(10):
        while not (seen := look()):  # noqa: ASYNC110 - what is waited for tells nobody
            await asyncio.sleep(STEP)
    return seen
