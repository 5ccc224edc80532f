"""Accepting connections that are secured: who has not shown yet who he is takes no more than his share.

Rules that a change must keep:
1. Of connections whose handshake is under way there are so many at most. For one more, the oldest ends, if it is old
   enough: one that is spoken on takes milliseconds, one who says nothing holds 50 kB until somebody comes.
2. A handshake that fails is nobody's business but that connection's.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    import socket
    import ssl
    from collections.abc import Callable

HANDSHAKES: Final = 64  # of one socket at a time: all of them in one turn of the loop take some 12 ms
YOUNG: Final = 0.1  # seconds for which one is not ended for another
_FIRST: Final = asyncio.FIRST_COMPLETED
CROWDED: Final = 0.1  # seconds, when the process has no file descriptor left


class Handshakes:
    """A socket that is listened on, from its making until it is closed."""

    def __init__(
        self,
        bound: socket.socket,
        make: Callable[[], asyncio.BaseProtocol],
        tls: ssl.SSLContext,
        longest: float,
    ) -> None:
        """`longest` is how many seconds a handshake may take."""
        self._bound = bound
        self._make = make
        self._tls = tls
        self._longest = longest
        self._under_way: dict[asyncio.Task[None], float] = {}  # since when; the oldest first
        self._loop = asyncio.get_running_loop()
        bound.setblocking(False)
        self._accepting = asyncio.ensure_future(self._accept())

    def __repr__(self) -> str:
        return f"<Handshakes {len(self._under_way)} under way>"

    def close(self) -> None:
        """Accept nobody any more; connections that stand are not touched."""
        self._accepting.cancel()
        for task in self._under_way:
            task.cancel()

    async def _accept(self) -> None:
        while True:
            try:
                accepted, _ = await self._loop.sock_accept(self._bound)
            except OSError:
                await WAITING.sleep(CROWDED)
                continue
            await self._room()
            task = asyncio.ensure_future(self._shake(accepted))
            self._under_way[task] = WAITING.monotonic()
            task.add_done_callback(self._forget)

    def _forget(self, task: asyncio.Task[None]) -> None:
        self._under_way.pop(task, None)

    async def _room(self) -> None:
        """Return when there is a place for one more."""
        if len(self._under_way) < HANDSHAKES:
            return
        oldest, since = next(iter(self._under_way.items()))
        await WAITING.wait(self._under_way, timeout=max(0.0, since + YOUNG - WAITING.monotonic()), return_when=_FIRST)
        if len(self._under_way) >= HANDSHAKES:
            self._under_way.pop(oldest, None)
            oldest.cancel()

    async def _shake(self, accepted: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(
                self._make, accepted, ssl=self._tls, ssl_handshake_timeout=self._longest
            )
        except OSError:  # of TLS too: a stranger, or somebody who speaks something else
            accepted.close()
        except BaseException:
            accepted.close()
            raise
