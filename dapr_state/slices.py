"""Long work on the event loop, cut into slices: between two of them everybody else is served.

Of all long work one slice runs in a turn of the loop, in the order in which it asked. So ten long requests take ten
times as long, and hold nobody up longer than one does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar
from weakref import WeakKeyDictionary

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    Queue = deque[asyncio.Future[None]]

A = TypeVar("A")
B = TypeVar("B")

# Seconds; with the longest single step (a tenth of a MB by one C call) well below the 20 ms allowed
SLICE: Final = 0.002
DROPPED: Final = 1000  # items at once: 50 us
STEPS: Final = 32  # of a few microseconds each, between two looks at the clock

_now = WAITING.monotonic
_queues: WeakKeyDictionary[asyncio.AbstractEventLoop, Queue] = WeakKeyDictionary()
_taken = 0


def taken() -> int:
    """How many slices there have been in this process: the number stands still while no long work is under way."""
    return _taken


class Work:
    """One piece of long work. `if work.is_over(): await work.pause()` stands wherever it can be interrupted."""

    __slots__ = ("_until",)

    def __init__(self) -> None:
        self._until = _now() + SLICE

    def is_over(self) -> bool:
        """Whether this slice is used up."""
        return _now() >= self._until

    async def pause(self) -> None:
        """Wait for the next slice."""
        await _turn()
        self._until = _now() + SLICE

    async def each(self, function: Callable[[A], B], items: Iterable[A]) -> list[B]:
        """What `function` makes of each item."""
        results: list[B] = []
        remaining = iter(items)
        while made := list(map(function, islice(remaining, STEPS))):
            results += made
            if self.is_over():
                await self.pause()
        return results

    async def free(self, items: list[A]) -> None:
        """Drop the items: to free a million at once takes 30 ms, whoever does it, and whenever."""
        while items:
            del items[-DROPPED:]
            if self.is_over():
                await self.pause()


def _turn() -> asyncio.Future[None]:
    global _taken  # noqa: PLW0603 - of the process
    _taken += 1
    loop = asyncio.get_running_loop()
    queue = _queues.setdefault(loop, deque())
    turn: asyncio.Future[None] = loop.create_future()
    if not queue:
        loop.call_soon(_next, loop, queue)
    queue.append(turn)
    return turn


def _next(loop: asyncio.AbstractEventLoop, queue: Queue) -> None:
    while queue:
        turn = queue.popleft()
        if not turn.done():  # else whoever waited was cancelled
            turn.set_result(None)
            break
    if queue:
        loop.call_soon(_next, loop, queue)
