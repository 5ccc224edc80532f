"""How several servers are asked the same, any of which may be dead, deaf or behind the others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final, TypeVar

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Coroutine, Sequence

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
