"""Whose turn it is at one actor: a queue of flights, of which only the front one runs.

Rules that a change must keep:
1. A flight begins when all before it have ended, and ends when everyone who has entered it has left.
2. Whoever has entered leaves once, whatever happens; one who leaves before it has begun changes nothing for others.
3. With a reentrancy id that a flight has, one joins it, and counts for its depth; too deep is refused, and counts not.
"""

from __future__ import annotations

import asyncio
from collections import deque


class TooDeepError(Exception):
    """The calls of one reentrancy id would be more at a time than the type allows."""


class ClosedError(Exception):
    """The actor is no longer served here: the turn that was waited for does not come."""


class Flight:
    """Calls that may run at the same time: one call, or those with one reentrancy id."""

    __slots__ = ("depth", "has_begun", "id", "waiting")

    def __init__(self, reentrancy_id: str, *, has_begun: bool) -> None:
        self.id = reentrancy_id
        self.depth = 1
        self.has_begun = has_begun
        self.waiting: list[asyncio.Future[None]] = []

    def __repr__(self) -> str:
        return f"<Flight {self.id or 'of one'} {'running' if self.has_begun else 'waiting'}, depth {self.depth}>"

    async def begun(self) -> None:
        """Return when it has begun. Raises ClosedError if it will not."""
        if self.has_begun:
            return
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        await turn

    def begin(self) -> None:
        self.has_begun = True
        for turn in self.waiting:
            if not turn.done():  # one who waited may have gone
                turn.set_result(None)
        self.waiting.clear()

    def close(self) -> None:
        for turn in self.waiting:
            if not turn.done():
                turn.set_exception(ClosedError())
        self.waiting.clear()


class Turns:
    """`enter`, await the flight's `begun`, and `leave` it."""

    __slots__ = ("_flights",)

    def __init__(self) -> None:
        self._flights: deque[Flight] = deque()

    def __repr__(self) -> str:
        return f"<Turns {'busy' if self._flights else 'idle'}, {self.waiting} waiting>"

    @property
    def is_busy(self) -> bool:
        return bool(self._flights)

    @property
    def waiting(self) -> int:
        """How many wait for their turn."""
        return sum(flight.depth for flight in self._flights if not flight.has_begun)

    def is_running(self, reentrancy_id: str) -> bool:
        """Whether the flight with this id has begun."""
        return any(flight.has_begun and flight.id == reentrancy_id for flight in self._flights)

    def enter(self, reentrancy_id: str = "", max_depth: int = 1) -> Flight:
        """Join the flight with this id, or queue with one of our own. Raises TooDeepError."""
        if reentrancy_id:
            if max_depth < 1:
                raise TooDeepError
            for flight in self._flights:
                if flight.id == reentrancy_id:
                    if flight.depth >= max_depth:
                        raise TooDeepError
                    flight.depth += 1
                    return flight
        flight = Flight(reentrancy_id, has_begun=not self._flights)
        self._flights.append(flight)
        return flight

    def leave(self, flight: Flight) -> None:
        flight.depth -= 1
        if flight.depth:
            return
        if flight is not self._flights[0]:
            self._flights.remove(flight)
            return
        self._flights.popleft()
        if self._flights:
            self._flights[0].begin()

    def close(self) -> None:
        """Send away all who wait; who has begun goes on."""
        for flight in self._flights:
            flight.close()
