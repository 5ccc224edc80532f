"""What the operating system asks of the process: to stop, and to stop at once."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

log = logging.getLogger("dapr.signals")

_NAMES = {signal.SIGTERM: "terminated", signal.SIGINT: "interrupt"}  # as daprd's log calls them


class StopSignals:
    """While entered, SIGTERM and SIGINT ask for a stop; the second one ends the process at once with status 1."""

    def __init__(self) -> None:
        self._asked = asyncio.Event()

    def __enter__(self) -> Self:
        for number in _NAMES:
            asyncio.get_running_loop().add_signal_handler(number, self._receive, number)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number in _NAMES:
            asyncio.get_running_loop().remove_signal_handler(number)

    async def wait(self) -> None:
        """Return once a stop is asked for."""
        await self._asked.wait()

    def stop(self) -> None:
        """Ask for a stop from inside, as the shutdown call does."""
        self._asked.set()

    def _receive(self, number: signal.Signals) -> None:
        name = _NAMES[number]
        if self._asked.is_set():
            log.error("Received signal '%s' during shutdown; exiting immediately", name)
            logging.shutdown()
            os._exit(1)
        log.info("Received signal '%s'; beginning shutdown", name)
        self._asked.set()
