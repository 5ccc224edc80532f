"""Who has more to do than fits in one turn of the event loop goes on later, one after another."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class Turns:
    """Gives one connection a turn in each round of the loop, in the order in which they asked.

    However many connections have sent more than their share, whoever else asks for little waits for one turn only.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[], None]] = deque()

    def __repr__(self) -> str:
        return f"<Turns {len(self._waiting)} waiting>"

    @property
    def are_waited_for(self) -> bool:
        """Whether somebody has more to do than fitted in a turn."""
        return bool(self._waiting)

    def wait(self, go_on: Callable[[], None]) -> None:
        """Call `go_on` when it is its turn."""
        self._waiting.append(go_on)
        if len(self._waiting) == 1:
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        go_on = self._waiting.popleft()
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        go_on()
