"""How long the event loop of a test is held at a time, in processor time: what other processes take does not count."""

from __future__ import annotations

import asyncio
import gc
import time
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Awaitable

T = TypeVar("T")

ALLOWED = 0.02  # seconds: nothing may hold the loop longer


async def longest_turn(work: Awaitable[T]) -> tuple[T, float]:
    """What the work gives, and the longest time for which it kept the loop."""
    gc.collect()
    gc.freeze()  # what the tests have left behind is no sidecar's, and takes long to look through
    longest = 0.0
    task = asyncio.ensure_future(work)
    while not task.done():
        began = time.thread_time()
        await asyncio.sleep(0)  # a turn of the loop
        longest = max(longest, time.thread_time() - began)
    gc.unfreeze()
    return task.result(), longest
