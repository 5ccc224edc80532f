"""Work that was begun and is waited for no longer than its caller likes: it goes on, and can be given up.

Beside it the pauses between attempts, which end when the sidecar does.
"""

from __future__ import annotations

import asyncio
from asyncio.tasks import _enter_task, _leave_task  # as eager_task.py
from typing import TYPE_CHECKING, Any, Final

from dapr_state.serving.eager_task import EagerTask

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dapr_state.clock import WaitingClock

DEADLINE_TEXT: Final = "context deadline exceeded"  # what a caller is told who has waited long enough


class Pauses:
    """Those of all calls of a sidecar. Once they are over there are no more, and who is in one is told."""

    def __init__(self) -> None:
        self.is_over = False
        self._ring: set[Callable[..., None]] = set()

    def __repr__(self) -> str:
        return f"<Pauses {'over' if self.is_over else len(self._ring)}>"

    def end(self) -> None:
        self.is_over = True
        for ring in tuple(self._ring):
            ring()

    async def pause(self, when: float, clock: WaitingClock, begun: Begun | None = None) -> None:
        """Return at that time, when all pauses are over, or when what was begun has ended."""
        if self.is_over or (begun and begun.ended.done()):
            return
        either: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        ring = _settling(either)
        self._ring.add(ring)
        alarm = clock.call_at(when, ring)
        if begun:
            begun.ended.add_done_callback(ring)
        try:
            await either
        finally:
            alarm.cancel()
            self._ring.discard(ring)
            if begun:
                begun.ended.remove_done_callback(ring)


class Begun(EagerTask):
    """Its first step is taken at once: what is asked within a tick is with the store before its end."""

    __slots__ = ("_bell", "ended")

    def __init__(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(loop)
        self.ended: asyncio.Future[Any] = loop.create_future()
        self._bell: asyncio.Future[None] | None = None  # of the one who waits for its end or his time
        caller = asyncio.current_task(loop)
        if caller is not None:
            _leave_task(loop, caller)
        try:
            self.run(coroutine)
        finally:
            if caller is not None:
                _enter_task(loop, caller)

    def _returned(self, result: Any) -> None:
        if not self.ended.done():
            self.ended.set_result(result)
        self._ring()

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, asyncio.CancelledError):
            self.ended.cancel()
        elif not self.ended.done():
            self.ended.set_exception(error)
        self._ring()

    def _ring(self) -> None:
        if self._bell is not None and not self._bell.done():
            self._bell.set_result(None)

    def forget(self) -> None:
        """How it ends concerns nobody, unless somebody asks."""
        self.ended.add_done_callback(_unheard)

    def let_go(self) -> None:
        """Nobody waits for it any more: what has not begun of it will not."""
        self.cancel()
        self.forget()

    async def ends_within(self, seconds: float, clock: WaitingClock) -> bool:
        """Whether it ends before so many seconds are over. One asks at a time."""
        if self.ended.done():
            return True
        # not a callback of `ended`: that would come a turn of the event loop later
        bell = self._bell = asyncio.get_running_loop().create_future()
        alarm = clock.call_at(clock.monotonic() + seconds, self._ring)
        try:
            await bell
        finally:
            alarm.cancel()
            self._bell = None
        return self.ended.done()


def _settling(future: asyncio.Future[None]) -> Callable[..., None]:
    def settle(*_: object) -> None:
        if not future.done():
            future.set_result(None)

    return settle


def _unheard(ended: asyncio.Future[Any]) -> None:
    if not ended.cancelled():
        ended.exception()
