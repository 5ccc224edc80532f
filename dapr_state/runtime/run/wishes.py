"""What signals ask of a run: an end, and then an end at once."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Final, Self

from dapr_state.runtime.echo import Echo

if TYPE_CHECKING:
    from dapr_state.runtime.run.child import Child

_ASKING: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Wishes:
    """Those of all applications of a run together."""

    def __init__(self) -> None:
        self.first: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.children: list[Child] = []
        self.lives = 0  # runs that do not end yet
        self._echo = Echo()

    def __enter__(self) -> Self:
        for number in _ASKING:
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)
        return self

    def __exit__(self, *exception: object) -> None:
        """All has ended, and this process ends as well: who asks for that now is heard no more."""
        for number in _ASKING:
            asyncio.get_running_loop().remove_signal_handler(number)
            signal.signal(number, signal.SIG_IGN)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Wish it for all, if nobody has yet."""
        if not self.first.done():
            self.first.set_result(number)

    def _receive(self, number: signal.Signals) -> None:
        if self._echo.is_heard(number):
            return
        if self.lives and not self.first.done():
            self.end(number)
            return
        for child in self.children:
            if not child.ended.done():
                child.send(signal.SIGKILL)
