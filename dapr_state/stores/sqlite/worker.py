"""A thread that does the store's blocking work, and what stands between it and the event loop.

The requests of one event-loop tick reach the thread together, and the thread takes all that wait as one group.
Who waits longer than the timeout is told so, and what he asked for is then never begun; whose group has begun
waits for its end, as only the end tells what became of it.
"""

from __future__ import annotations

import asyncio
import queue
import threading
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dapr_state.golang.duration import format_duration
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.clock import Clock

WAITING_AT_MOST: Final = 100_000  # operations: some 50 MB, and more than a second of work on any disk
GROUP_AT_MOST: Final = 8192  # operations in a group, give or take a tick: nobody waits for a commit without end


class _Request(msgspec.Struct):
    work: Any
    size: int
    answer: asyncio.Future[Any]


@dataclass(slots=True, eq=False)
class _Batch:
    """What was asked for in one tick."""

    requests: list[_Request]
    size: int
    deadline: float


class Worker:
    """`handle` is called in the thread with the work of a group, and gives a result or an exception for each."""

    def __init__(self, handle: Callable[[Sequence[Any]], Sequence[Any]], clock: Clock, timeout: float) -> None:
        self._handle = handle
        self._clock = clock
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._tick: list[_Request] = []
        self._waiting: deque[_Batch] = deque()  # filled by the loop, emptied by the thread; each step is atomic
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: look at what waits; False: end
        self._size = 0  # operations that are not answered yet
        self._watch: asyncio.TimerHandle | None = None
        self._stopping = False
        self._ended = self._loop.create_future()
        # a daemon: a disk that never answers must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="sqlite", daemon=True)
        self._thread.start()

    async def ask(self, work: Any, size: int = 1) -> Any:
        """Have the thread do `work`. Cancelled before its turn, it is not done at all."""
        if self._stopping:
            raise StoreError("the store is closed")
        if self._size and self._size + size > WAITING_AT_MOST:
            raise StoreError(f"too many operations are waiting for the database: {self._size}")
        request = _Request(work, size, self._loop.create_future())
        if not self._tick:
            self._loop.call_soon(self._hand_over)
        self._tick.append(request)
        self._size += size
        return await request.answer

    async def stop(self) -> None:
        """Do what waits, and end."""
        if not self._stopping:
            self._stopping = True
            self._loop.call_soon(self._wake.put, False)  # behind this tick's requests
        await asyncio.shield(self._ended)
        if self._watch:
            self._watch.cancel()

    def _hand_over(self) -> None:
        requests, self._tick = self._tick, []
        deadline = self._clock.monotonic() + self._timeout
        self._waiting.append(_Batch(requests, sum(request.size for request in requests), deadline))
        self._wake.put(True)
        if self._watch is None:
            self._watch = self._loop.call_later(self._timeout, self._give_up)

    def _give_up(self) -> None:
        """Answer those who wait too long: the thread is held up by the disk or by a lock."""
        now = self._clock.monotonic()
        for batch in list(self._waiting):
            if batch.deadline > now:
                break
            with suppress(ValueError):  # the thread took it at this moment: then it is begun
                self._waiting.remove(batch)
                reason = f"the database did not get to it within {format_duration(self._timeout)}"
                self._settle(batch.requests, [StoreError(reason) for _ in batch.requests], batch.size)
        self._watch = None
        with suppress(IndexError):
            delay = max(0.0, self._waiting[0].deadline - now)
            self._watch = self._loop.call_later(delay, self._give_up)

    def _settle(self, requests: Sequence[_Request], outcomes: Sequence[Any], size: int) -> None:
        self._size -= size
        for request, outcome in zip(requests, outcomes, strict=True):
            if request.answer.done():  # cancelled meanwhile
                continue
            if isinstance(outcome, Exception):
                request.answer.set_exception(outcome)
            else:
                request.answer.set_result(outcome)

    # From here on: the thread.

    def _run(self) -> None:
        while self._wake.get():
            while group := self._take():
                self._answer(group)
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _take(self) -> list[_Request]:
        group: list[_Request] = []
        size = 0
        while size < GROUP_AT_MOST and self._waiting:
            try:
                batch = self._waiting.popleft()
            except IndexError:  # the loop gave up on the last one at this moment
                break
            group += batch.requests
            size += batch.size
        return group

    def _answer(self, group: list[_Request]) -> None:
        size = sum(request.size for request in group)
        wanted = [request for request in group if not request.answer.cancelled()]
        outcomes: Sequence[Any]
        try:
            outcomes = self._handle([request.work for request in wanted])
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            outcomes = [StoreError(f"{type(error).__name__}: {error}") for _ in wanted]
        self._loop.call_soon_threadsafe(self._settle, wanted, outcomes, size)
