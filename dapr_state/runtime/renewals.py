"""An application that `run` starts again under a running sidecar: what it hosts is asked anew each time."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Self

from dapr_state.runtime import application
from dapr_state.runtime.supervised import COMES, LEAVES

if TYPE_CHECKING:
    from dapr_state.runtime.actors import ActorServices
    from dapr_state.runtime.options import Options

log = logging.getLogger("dapr.runtime")


class Renewals:
    """While entered, the signals of `run` are heard; from `begin` on they are followed, one after the other."""

    def __init__(self, options: Options, actors: ActorServices) -> None:
        self._options = options
        self._actors = actors
        self._wishes: asyncio.Queue[bool] = asyncio.Queue()  # whether it comes
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> Self:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(LEAVES, self._wishes.put_nowait, False)
        loop.add_signal_handler(COMES, self._wishes.put_nowait, True)
        return self

    def __exit__(self, *exception: object) -> None:
        loop = asyncio.get_running_loop()
        for number in (LEAVES, COMES):
            loop.remove_signal_handler(number)
        if self._task:
            self._task.cancel()

    def begin(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        while True:
            comes = await self._wishes.get()
            if comes:
                await self._listening()
            if not comes or self._wishes.empty():
                await self._actors.renew(is_there=comes)
                log.info("the application %s", "is another process" if comes else "leaves")

    async def _listening(self) -> None:
        """Return when it is there, or leaves again."""
        listening = asyncio.create_task(application.until_listening(self._options))
        while not listening.done() and self._wishes.empty():
            await application.pause()
        listening.cancel()
