"""Sessions that were given up while a write was on its way: they end before what they would write is written anew.

What was sent may be with a server that hangs, or come to it late: it would undo what is acknowledged meanwhile. So
before one of its keys is written again, the server ends the session and no longer names it. Behind a pooler nothing
comes late: a write is a transaction there, and holds its rows until its COMMIT, sent last, has come.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import asyncpg

from dapr_state.errors import shortened
from dapr_state.stores.batching import weight_of_keys
from dapr_state.stores.postgresql import failures

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from dapr_state.clock import WaitingClock

    Session = tuple[int, datetime]  # a process, and since when: another may have its number later

_OCTETS_AT_MOST: Final = 1 << 20  # of remembered keys; a session beyond them holds up every key
_LOOK_SECONDS: Final = (0.002, 0.1)  # between two looks: at first, as a session ends in a millisecond, and at last
_NOT_ALLOWED: Final = "42501"
_TOLD: Final = 200  # characters of a key in an error

SESSION: Final = "SELECT pid, backend_start FROM pg_stat_activity WHERE pid = pg_backend_pid()"
_LOOK: Final = (
    "SELECT there.pid, backend_start FROM pg_stat_activity AS there "
    "JOIN unnest($1::int[], $2::timestamptz[]) AS gone(pid, since) ON there.pid = gone.pid AND backend_start = since"
)
_END: Final = _LOOK.replace(" FROM", ", pg_terminate_backend(there.pid) FROM", 1)


def may_follow(keys: Iterable[str]) -> str:
    key = shortened(min(keys), _TOLD)
    return f"an earlier write of key={key} may still come: it was not answered, and its session has not ended"


class Fence:
    def __init__(self, clock: WaitingClock) -> None:
        self._clock = clock
        self._left: dict[Session, frozenset[str] | None] = {}  # with the keys that it may write; None: any
        self._octets = 0

    def __repr__(self) -> str:
        return f"<Fence before {len(self._left)} sessions>"

    def __bool__(self) -> bool:
        return bool(self._left)

    def leave(self, session: Session | None, written: Iterable[str]) -> None:
        """A session is given up that may write these keys."""
        keys = frozenset(written)
        if session is None or not keys:
            return
        octets = weight_of_keys([*keys])
        if self._octets + octets > _OCTETS_AT_MOST:
            self._left[session] = None
        else:
            self._octets += octets
            self._left[session] = keys

    def behind(self, keys: Iterable[str]) -> set[str]:
        """Those that a session may write still."""
        left, asked = self._left.values(), set(keys)
        return asked if None in left else {key for some in left if some for key in some & asked}

    async def end(self, connection: Any, keys: Iterable[str], seconds: float) -> set[str]:
        """Have the sessions ended that may write these keys; those that are behind one even after these seconds."""
        until = self._clock.monotonic() + seconds
        behind, pause = self.behind(keys), _LOOK_SECONDS[0]
        while behind:
            await self._end_all(connection)
            behind = self.behind(behind)
            if not behind or self._clock.monotonic() >= until:
                break
            await self._clock.sleep(pause)
            pause = min(2 * pause, _LOOK_SECONDS[1])
        return behind

    async def _end_all(self, connection: Any) -> None:
        asked = [*self._left]
        arguments = [pid for pid, _ in asked], [since for _, since in asked]
        try:
            there = await connection.fetch(_END, *arguments)
        except asyncpg.PostgresError as error:
            if failures.code(error) != _NOT_ALLOWED:
                raise
            there = await connection.fetch(_LOOK, *arguments)  # it ends as it sees that nobody is there any more
        for session in {*asked} - {(row[0], row[1]) for row in there}:
            keys = self._left.pop(session, None)
            self._octets -= weight_of_keys([*keys]) if keys else 0
