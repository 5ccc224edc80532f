"""What the operating system and the API ask of the process: to stop, to stop at once, to start anew."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Any, Final, NoReturn, Self

from dapr_state.runtime.echo import Echo

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

log = logging.getLogger("dapr.signals")

FATAL: Final = 1

_NAMES: Final = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}  # as daprd's log calls them


class StopSignals:
    """While entered, SIGTERM and SIGINT ask for a stop and SIGHUP for a restart.

    The second SIGTERM or SIGINT ends the process at once with status 1, if it is no echo of the first; one that
    follows a SIGHUP makes of the restart a stop.
    """

    def __init__(self) -> None:
        self._asked = asyncio.Event()
        self._asked_by_api = asyncio.Event()
        self._is_stop = False
        self._echo = Echo()

    def __repr__(self) -> str:
        asked = "restart" if self.is_restart else "stop" if self.is_asked else "none"
        return f"<StopSignals {asked}>"

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        for number in _NAMES:
            loop.add_signal_handler(number, self._receive, number)
        loop.add_signal_handler(signal.SIGHUP, self._receive_hangup)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in (*_NAMES, signal.SIGHUP):
            asyncio.get_running_loop().remove_signal_handler(number)

    @property
    def is_asked(self) -> bool:
        return self._asked.is_set()

    @property
    def is_restart(self) -> bool:
        """Whether what is asked for is a restart, and nothing has asked for a stop since."""
        return self._asked.is_set() and not self._is_stop and not self._asked_by_api.is_set()

    @property
    def is_asked_by_api(self) -> bool:
        return self._asked_by_api.is_set()

    async def wait(self) -> None:
        """Return once a stop or a restart is asked for."""
        await self._asked.wait()

    async def wait_for_api(self) -> None:
        """Return once the API has asked for a stop, which is then not to be put off."""
        await self._asked_by_api.wait()

    async def unless_asked(self, start: Coroutine[Any, Any, None]) -> None:
        """Carry out a start, and break it off where a stop is asked for meanwhile."""
        starting = asyncio.create_task(start)
        asked = asyncio.create_task(self._asked.wait())
        try:
            await asyncio.wait((starting, asked), return_when=asyncio.FIRST_COMPLETED)
        finally:
            asked.cancel()
            starting.cancel()
        try:
            await starting
        except asyncio.CancelledError:
            if not self.is_asked:
                raise

    def stop(self) -> None:
        """Ask for a stop from inside, as the shutdown call does."""
        self._asked_by_api.set()
        self._asked.set()

    def restarted(self) -> None:
        """Forget the restart that was asked for: it is done."""
        self._asked.clear()

    def _receive(self, number: signal.Signals) -> None:
        name = _NAMES[number]
        if self._echo.is_heard(number):
            return
        if self._is_stop:
            log.critical("Received signal '%s' during shutdown; exiting immediately", name)
            exit_at_once()
        log.info("Received signal '%s'; beginning shutdown", name)
        self._is_stop = True
        self._asked.set()

    def _receive_hangup(self) -> None:
        if not self.is_asked:
            log.info("Received signal 'hangup'; restarting")
            self._asked.set()


def exit_at_once() -> NoReturn:
    """End the process as it stands, with its last words written."""
    logging.shutdown()
    os._exit(FATAL)
