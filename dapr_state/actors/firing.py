"""Triggers of timers and reminders on their way to the actors.

An actor takes one at a time: a second one would only wait for its turn, in the place of one for another actor. So
many are under way at most, in all, and so many begin before others have their turn on the event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dapr_state.app.model import ActorId

T = TypeVar("T")

AT_ONCE: Final = 100  # are begun before others have their turn on the event loop
UNDER_WAY: Final = 1024  # as many as there are connections to an application


class Place:
    """What a trigger holds while it is under way: its actor takes no other one until this is `left`."""

    __slots__ = ("_firing", "actor", "is_left")

    def __init__(self, firing: Firing[Any], actor: ActorId) -> None:
        self._firing = firing
        self.actor = actor
        self.is_left = False

    def leave(self) -> None:
        if not self.is_left:
            self.is_left = True
            self._firing.go_on(self.actor)


class Firing(Generic[T]):
    """`fire` is run for each thing that is offered, and leaves its place when the actor has taken it, or ends."""

    def __init__(self, fire: Callable[[T, Place], Coroutine[None, None, None]], limit: int = UNDER_WAY) -> None:
        self._fire = fire
        self._limit = limit
        self._ready: deque[tuple[ActorId, T]] = deque()
        self._next: deque[tuple[ActorId, T]] = deque()  # those whose actor is kept for them
        self._held: dict[ActorId, deque[T]] = {}  # by actors that have a trigger under way: those that come after it
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_starting = False

    def __repr__(self) -> str:
        return f"<Firing {len(self)}>"

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    @property
    def is_idle(self) -> bool:
        """Whether none is under way, nor about to be."""
        return not (self._tasks or self._ready or self._next)

    def offer(self, actor: ActorId, thing: T) -> None:
        self._ready.append((actor, thing))
        self._start_soon()

    def go_on(self, actor: ActorId) -> None:
        """The actor may have the next one."""
        held = self._held[actor]
        if held:
            self._next.append((actor, held.popleft()))
            self._start_soon()
        else:
            del self._held[actor]

    def clear(self) -> None:
        """Begin none of those that have been offered."""
        self._ready.clear()
        for held in self._held.values():
            held.clear()
        while self._next:
            self.go_on(self._next.popleft()[0])

    async def close(self) -> None:
        """Those that are under way are given up."""
        self.clear()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    def _start_soon(self) -> None:
        if (self._ready or self._next) and not self._is_starting and len(self._tasks) < self._limit:
            self._is_starting = True
            asyncio.get_running_loop().call_soon(self._start)

    def _start(self) -> None:
        self._is_starting = False
        for _ in range(AT_ONCE):
            if len(self._tasks) >= self._limit:
                return
            if self._next:
                self._begin(*self._next.popleft())
            elif self._ready:
                actor, thing = self._ready.popleft()
                if actor in self._held:
                    self._held[actor].append(thing)
                else:
                    self._held[actor] = deque()
                    self._begin(actor, thing)
            else:
                return
        self._start_soon()

    def _begin(self, actor: ActorId, thing: T) -> None:
        task = asyncio.ensure_future(self._run(Place(self, actor), thing))
        self._tasks.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self._start_soon()

    async def _run(self, place: Place, thing: T) -> None:
        try:
            await self._fire(thing, place)
        finally:
            place.leave()
