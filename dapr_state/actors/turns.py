"""Whose turn it is at one actor: a queue of turns, of which only the front one runs.

Rules that a change must keep:
1. A turn begins when all before it have ended, and ends when everyone who has entered it has left.
2. Whoever has entered leaves once, whatever happens; one who leaves before it has begun changes nothing for others.
3. With a reentrancy id that a turn has, one joins it, and counts for its depth; too deep is refused, and counts not.
4. Each step costs the same however many wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from dapr_state.actors.shielded import RunToCompletion

_now: Final = WAITING.monotonic
_SPARE: Final = 32  # turns that nobody waits for any more are taken from the queue when they are more, and half of it


class TooDeepError(Exception):
    """The calls of one reentrancy id would be more at a time than the type allows."""


class ClosedError(Exception):
    """The actor is no longer served here: the turn that was waited for does not come."""


class Turn:
    """Calls that may run at the same time: one call, or those with one reentrancy id."""

    __slots__ = ("depth", "has_begun", "id", "send", "since", "waiting", "what", "work")

    def __init__(self, reentrancy_id: str, *, has_begun: bool) -> None:
        self.id = reentrancy_id
        self.depth = 1
        self.has_begun = has_begun
        self.waiting: list[asyncio.Future[None]] = []
        self.work: list[RunToCompletion[Any]] = []  # what runs in it now
        # for whoever looks: since when it runs, or waits; what it was asked for, and how that goes to the application
        self.since = _now()
        self.what: Any = None
        self.send: Any = None

    def __repr__(self) -> str:
        return f"<Turn {self.id or 'of one'} {'running' if self.has_begun else 'waiting'}, depth {self.depth}>"

    async def begun(self) -> None:
        """Return when it has begun. Raises ClosedError if it will not."""
        if self.has_begun:
            return
        begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(begun)
        await begun

    def begin(self) -> None:
        self.has_begun = True
        self.since = _now()
        for begun in self.waiting:
            if not begun.done():  # one who waited may have gone
                begun.set_result(None)
        self.waiting.clear()

    def close(self) -> None:
        for begun in self.waiting:
            if not begun.done():
                begun.set_exception(ClosedError())
        self.waiting.clear()


class TurnQueue:
    """`enter`, await the turn's `begun`, and `leave` it."""

    __slots__ = ("_behind", "_by_id", "_gone", "_running", "waiting")

    def __init__(self) -> None:
        self._running: Turn | None = None
        self._behind: deque[Turn] | None = None  # made when somebody waits: most actors are idle, and many
        self._gone = 0  # turns behind that everyone has left
        self._by_id: dict[str, Turn] | None = None
        self.waiting = 0  # how many wait for their turn

    def __repr__(self) -> str:
        return f"<TurnQueue {'busy' if self.is_busy else 'idle'}, {self.waiting} waiting>"

    @property
    def running(self) -> Turn | None:
        return self._running

    @property
    def is_busy(self) -> bool:
        return self._running is not None

    def runs(self, reentrancy_id: str) -> bool:
        """Whether the turn that runs has this id."""
        return self._running is not None and self._running.id == reentrancy_id

    def enter(self, reentrancy_id: str = "", max_depth: int = 1) -> Turn:
        """Join the turn with this id, or queue with one of our own. Raises TooDeepError."""
        if reentrancy_id:
            if max_depth < 1:
                raise TooDeepError
            turn = self._by_id.get(reentrancy_id) if self._by_id else None
            if turn is not None:
                return self._join(turn, max_depth)
        turn = Turn(reentrancy_id, has_begun=self._running is None)
        if reentrancy_id:
            self._by_id = self._by_id or {}
            self._by_id[reentrancy_id] = turn
        if self._running is None:
            self._running = turn
        else:
            self.waiting += 1
            self._behind = self._behind or deque()
            self._behind.append(turn)
        return turn

    def _join(self, turn: Turn, max_depth: int) -> Turn:
        if turn.depth >= max_depth:
            raise TooDeepError
        turn.depth += 1
        if not turn.has_begun:
            self.waiting += 1
        return turn

    def leave(self, turn: Turn, work: RunToCompletion[Any] | None = None) -> None:
        """`work` is what ran for the one who leaves."""
        turn.depth -= 1
        if not turn.has_begun:
            self.waiting -= 1
        if turn.depth:
            if work:
                turn.work.remove(work)
            return
        if turn.id and self._by_id:
            del self._by_id[turn.id]
        if turn is self._running:
            self._go_on()
        else:
            self._gone += 1
            self._sweep()

    def _go_on(self) -> None:
        self._running = None
        while self._behind and self._running is None:
            turn = self._behind.popleft()
            if turn.depth:
                self._running = turn
                self.waiting -= turn.depth
                turn.begin()
            else:
                self._gone -= 1
        if not self._behind:
            self._behind = None

    def _sweep(self) -> None:
        if self._behind and self._gone > _SPARE and self._gone * 2 > len(self._behind):
            self._behind = deque(turn for turn in self._behind if turn.depth)
            self._gone = 0

    def all(self) -> list[Turn]:
        """The one that runs, and those that wait."""
        running = [self._running] if self._running else []
        return running + [turn for turn in self._behind or () if turn.depth]

    def stop(self, error: Exception) -> None:
        """Have the turn that runs end as soon as what runs in it can; its callers get the error."""
        for work in tuple(self._running.work) if self._running else ():
            work.stop(error)

    def close(self) -> None:
        """Send away all who wait; who has begun goes on."""
        if self._running:
            self._running.close()
        for turn in self._behind or ():
            turn.close()
