"""A clock of what is waited for, on which no pause takes any time."""

from __future__ import annotations

import asyncio

from dapr_state.clock import WaitingClock


class Unhurried(WaitingClock):
    """Nobody waits for a pause, but each is noted."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:  # type: ignore[override]  # that one is asyncio's
        self.pauses.append(seconds)
        await asyncio.sleep(0)
