"""An answer whose end is not known when it begins: its pieces are sent as they come, and as the client takes them."""

from __future__ import annotations

import asyncio
import logging
from contextlib import aclosing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

log = logging.getLogger("dapr.runtime.http")


class Streamed:
    """The body of such an answer; of its request nothing is usual any more: see `Request.is_plain`."""

    __slots__ = ("pieces",)

    def __init__(self, pieces: AsyncGenerator[bytes, None]) -> None:
        self.pieces = pieces

    def __repr__(self) -> str:
        return "<Streamed>"

    def __len__(self) -> int:
        return 0


class Streaming:
    """Its way out. `write` says whether there is room for more; if not, `go_on` is called when there is.

    `over` is called once: True if that was all, or it was to `end` there; False if the answer is broken off.
    """

    __slots__ = ("_is_ended", "_is_whole", "_room", "_task", "_write")

    def __init__(self, body: Streamed, write: Callable[[bytes], bool], over: Callable[[bool], None]) -> None:
        self._write = write
        self._room: asyncio.Future[None] | None = None
        self._is_ended = self._is_whole = False
        self._task = asyncio.ensure_future(self._run(body.pieces))
        # not from within the task: what comes next on the connection may be a task of its own
        self._task.add_done_callback(lambda _: over(self._is_whole or self._is_ended))

    def go_on(self) -> None:
        if self._room and not self._room.done():
            self._room.set_result(None)

    def end(self) -> None:
        """No more of it is sent."""
        self._is_ended = True
        self._task.cancel()

    async def _run(self, pieces: AsyncGenerator[bytes, None]) -> None:
        try:
            async with aclosing(pieces):
                async for piece in pieces:
                    if not self._write(piece):
                        self._room = asyncio.get_running_loop().create_future()
                        await self._room
            self._is_whole = True
        except Exception:  # a defect of ours; the client sees an answer that breaks off
            log.exception("An answer has broken off")
