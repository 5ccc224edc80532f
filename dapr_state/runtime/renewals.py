"""What `run` does with the application under a running sidecar: it ends, it leaves, another process of it comes."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

from dapr_state.runtime import application
from dapr_state.runtime.supervised import COMES, DRAINED, ENDS, LEAVES

if TYPE_CHECKING:
    import signal

    from dapr_state.runtime.actors import ActorServices
    from dapr_state.runtime.options import Options
    from dapr_state.runtime.supervised import Supervisor

log = logging.getLogger("dapr.runtime")


class Renewals:
    """While entered, the signals of `run` are heard; from `begin` on they are followed, one after the other.

    What was heard before the end is followed too: an application that has left is not called for its actors' sake.
    """

    def __init__(self, options: Options, actors: ActorServices, supervisor: Supervisor) -> None:
        self._options = options
        self._actors = actors
        self._supervisor = supervisor
        self._wishes: asyncio.Queue[signal.Signals | None] = asyncio.Queue()  # None: no more
        self._task: asyncio.Task[None] | None = None
        self._discovery: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        for number in (LEAVES, COMES, ENDS):
            asyncio.get_running_loop().add_signal_handler(number, self._wishes.put_nowait, number)
        return self

    async def __aexit__(self, *exception: object) -> None:
        for number in (LEAVES, COMES, ENDS):
            asyncio.get_running_loop().remove_signal_handler(number)
        if self._discovery:
            self._discovery.cancel()
        if self._task:
            self._wishes.put_nowait(None)
            await self._task

    def begin(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while wish := await self._wishes.get():
            if wish is COMES:
                await self._listening()
                if not self._wishes.empty():
                    continue
            if wish is ENDS:
                await self._actors.drain(self._options.graceful_shutdown_seconds or None)
                self._supervisor.tell(STATUS=DRAINED)
                continue
            await self._actors.renew(is_there=wish is COMES)
            log.info("the application %s", "is another process" if wish is COMES else "leaves")

    def discover(self) -> None:
        """Ask the application once it listens, unless somebody has said by then that it came."""
        self._discovery = asyncio.create_task(self._discover())

    async def _discover(self) -> None:
        await application.until_listening(self._options)
        if not self._actors.renewals:
            await self._actors.renew(is_there=True)

    async def _listening(self) -> None:
        """Return when it is there, or leaves again."""
        listening = asyncio.create_task(application.until_listening(self._options))
        while not listening.done() and self._wishes.empty():
            await application.pause()
        listening.cancel()
