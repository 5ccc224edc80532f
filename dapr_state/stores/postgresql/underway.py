"""Writes that are under way: of those that concern a key the one that began first ends first, on whatever connection.

Who asked for the first may have gone, for he had waited long enough, while it is with a server that is slow, or on its
way there. The next one would be acknowledged, and then undone.
"""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable

    from dapr_state.clock import WaitingClock

    Turn = asyncio.Future[None]  # over when the write has ended

_MANY: Final = 1024  # keys: in 0.1 ms; a thread gathers more


class UnderWay:
    def __init__(self, clock: WaitingClock) -> None:
        self._clock = clock
        # with the keys of each, in the order in which they began; None: they are gathered, and may be any
        self._writes: dict[Turn, frozenset[str] | None] = {}

    def __repr__(self) -> str:
        return f"<UnderWay {len(self._writes)} writes>"

    @asynccontextmanager
    async def write(self, keys: Iterable[str], number: int = 1) -> AsyncIterator[Turn]:
        """Begin, behind all that have begun before: `behind` tells of them. `number` is that of the keys."""
        turn: Turn = asyncio.get_running_loop().create_future()
        self._writes[turn] = frozenset(keys) if number <= _MANY else None
        try:
            if number > _MANY:
                self._writes[turn] = await asyncio.to_thread(frozenset, keys)
            yield turn
        finally:
            del self._writes[turn]
            turn.set_result(None)

    async def behind(self, turn: Turn, seconds: float) -> set[str]:
        """Wait for the writes before; those of the keys that are behind one even after these seconds."""
        until = self._clock.monotonic() + seconds
        while before := self._before(turn):
            left = until - self._clock.monotonic()
            if left <= 0:
                break
            await self._clock.wait([before[0]], timeout=left)
        mine = self._writes[turn] or frozenset()
        theirs = [self._writes[each] for each in before]
        return {*mine} if None in theirs else {key for keys in theirs if keys for key in keys & mine}

    def _before(self, turn: Turn) -> list[Turn]:
        mine, before = self._writes[turn] or frozenset(), []
        for each, keys in self._writes.items():
            if each is turn:
                break
            if keys is None or not keys.isdisjoint(mine):
                before.append(each)
        return before
