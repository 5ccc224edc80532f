"""Callers whose requests go to a store together, and who each get the outcomes of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    import asyncio

    from dapr_state.stores.base import StoreError

R = TypeVar("R")  # the outcome of one key or operation


class Callers(Generic[R]):
    def __init__(self) -> None:
        self._waiting: list[tuple[asyncio.Future[list[R]], int]] = []  # who waits, for so many outcomes

    def __len__(self) -> int:
        return len(self._waiting)

    def join(self, loop: asyncio.AbstractEventLoop, size: int) -> asyncio.Future[list[R]]:
        """Wait for the next `size` outcomes."""
        answer: asyncio.Future[list[R]] = loop.create_future()
        self._waiting.append((answer, size))
        return answer

    def settle(self, outcomes: list[R]) -> None:
        """Give the outcomes out, in the order in which the callers joined."""
        at = 0
        for answer, size in self._waiting:
            if not answer.done():  # the caller may have given up
                answer.set_result(outcomes[at : at + size])
            at += size

    def fail(self, error: StoreError) -> None:
        """Tell each of them: an error of his own, for a traceback grows in each that is raised."""
        for answer, _ in self._waiting:
            if not answer.done():
                answer.set_exception(type(error)(str(error)))

    def apart(self) -> list[tuple[Callers[R], int]]:
        """Each caller on his own, with the number of his outcomes."""
        alone = []
        for entry in self._waiting:
            callers: Callers[R] = Callers()
            callers._waiting = [entry]
            alone.append((callers, entry[1]))
        return alone
