"""How several servers are asked the same, any of which may be dead, deaf or behind the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

_LATE: Final = 0.25  # seconds that the first answer waits for those of the others

T = TypeVar("T")


async def answers(questions: Sequence[Coroutine[None, None, T]], patience: float | None) -> list[T]:
    """What those say who answer in time: one that does not must not keep the others from being heard."""
    asked = [asyncio.ensure_future(question) for question in questions]
    try:
        waiting, is_answered = {*asked}, False
        while waiting and not is_answered:
            done, waiting = await WAITING.wait(waiting, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            if not done:
                break
            is_answered = any(each.exception() is None for each in done)
        if waiting and is_answered:
            await WAITING.wait(waiting, timeout=_LATE)
        return [each.result() for each in asked if each.done() and each.exception() is None]
    finally:
        for each in asked:
            each.cancel()
        await asyncio.gather(*asked, return_exceptions=True)  # one may end with an error of its own even so


class Shared:
    """A question that is asked once for all who want its answer at a time."""

    def __init__(self, ask: Callable[[], Coroutine[None, None, None]]) -> None:
        self._ask = ask
        self._asking: asyncio.Task[None] | None = None
        self._next: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Shared {'under way' if self._asking else 'idle'}>"

    async def now(self) -> None:
        """Ask, or wait with others: what was asked before says nothing of now, so whoever comes later has the next."""
        if self._next is None:
            self._next = asyncio.create_task(self._after(self._asking))
            self._next.add_done_callback(_heard)
        await asyncio.shield(self._next)

    async def close(self) -> None:
        under_way = [task for task in (self._asking, self._next) if task]
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    async def _after(self, before: asyncio.Task[None] | None) -> None:
        if before:
            await WAITING.wait([before])
        self._asking, self._next = self._next, None
        try:
            await self._ask()
        finally:
            self._asking = None


def _heard(task: asyncio.Task[None]) -> None:
    """Who asked may have gone: then nobody else hears of its error, and that is no fault of the program."""
    if not task.cancelled():
        task.exception()
