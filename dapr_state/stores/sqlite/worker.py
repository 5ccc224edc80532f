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
from itertools import chain, compress, islice
from typing import TYPE_CHECKING, Any, Final

from dapr_state.golang.duration import format_duration
from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.batching import CALLERS_AT_MOST, Batch, Batcher, Budget

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.clock import WaitingClock

OCTETS_WAITING_AT_MOST: Final = 64 << 20  # twice what large requests may hold together
GROUP_AT_MOST: Final = 4 << 20  # octets of a group, give or take a tick: nobody waits for a commit without end


LATER: Final = object()  # in the place of a result: what the others hold is to be let go first


class Worker:
    """`handle` is called in the thread with the work of a group, and gives a result or an exception for each.

    Or LATER, but not for all: those are of the next group.
    """

    def __init__(self, handle: Callable[[Sequence[Any]], Sequence[Any]], clock: WaitingClock, timeout: float) -> None:
        self._handle = handle
        self._clock = clock
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        self._tick: Batcher[Any, Any] = Batcher(
            self._hand_over,
            budget=Budget("the database", callers=CALLERS_AT_MOST, octets=OCTETS_WAITING_AT_MOST),
            weigh=len,
            at_end=self._loop.call_soon,
            at_most=CALLERS_AT_MOST,
            octets_at_most=GROUP_AT_MOST,
        )
        # with the time until which it may wait; filled by the loop, emptied by the thread; each step is atomic
        self._waiting: deque[tuple[Batch[Any, Any], float]] = deque()
        self._wake: queue.SimpleQueue[bool] = queue.SimpleQueue()  # True: look at what waits; False: end
        self._watch: asyncio.TimerHandle | None = None
        self._stopping = False
        self._ended = self._loop.create_future()
        # a daemon: a disk that never answers must not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="sqlite", daemon=True)
        self._thread.start()

    async def ask(self, work: Any, octets: int = 1) -> Any:
        """Have the thread do `work`, which holds so many octets. Cancelled before its turn, it is not done at all."""
        if self._stopping:
            raise NotDone("the store is closed")
        (outcome,) = await self._tick.ask((work,), octets)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def stop(self) -> None:
        """Do what waits, and end."""
        if not self._stopping:
            self._stopping = True
            self._tick.close()
            self._wake.put(False)
        await asyncio.shield(self._ended)
        if self._watch:
            self._watch.cancel()

    def _hand_over(self, batch: Batch[Any, Any]) -> None:
        self._waiting.append((batch, self._clock.monotonic() + self._timeout))
        self._wake.put(True)
        if self._watch is None:
            self._watch = self._clock.call_later(self._timeout, self._give_up)

    def _give_up(self) -> None:
        """Answer those who wait too long: the thread is held up by the disk or by a lock."""
        now = self._clock.monotonic()
        for entry in list(self._waiting):
            batch, deadline = entry
            if deadline > now:
                break
            with suppress(ValueError):  # the thread took it at this moment: then it is begun
                self._waiting.remove(entry)
                batch.fail(NotDone(f"the database did not get to it within {format_duration(self._timeout)}"))
        self._watch = None
        with suppress(IndexError):
            delay = max(0.0, self._waiting[0][1] - now)
            self._watch = self._clock.call_later(delay, self._give_up)

    # From here on: the thread.

    def _run(self) -> None:
        while self._wake.get():
            left: list[Batch[Any, Any]] = []
            while group := [*left, *self._take()]:
                left = self._answer(group)
        self._loop.call_soon_threadsafe(self._ended.set_result, None)

    def _take(self) -> list[Batch[Any, Any]]:
        group: list[Batch[Any, Any]] = []
        octets = 0
        while octets < GROUP_AT_MOST and self._waiting:
            try:
                batch, _ = self._waiting.popleft()
            except IndexError:  # the loop gave up on the last one at this moment
                break
            group.append(batch)
            octets += batch.octets
        return group

    def _answer(self, group: list[Batch[Any, Any]]) -> list[Batch[Any, Any]]:
        """Those whose turn comes later."""
        asked = [batch.still_wanted() for batch in group]
        works = [work for batch, wanted in zip(group, asked, strict=True) for work in compress(batch.wanted, wanted)]
        outcomes: Sequence[Any]
        try:
            outcomes = self._handle(works)
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            outcomes = [StoreError(f"{type(error).__name__}: {error}") for _ in works]
        following = iter(outcomes)
        answers = [
            list(islice(following, len(wanted)))
            if all(wanted)
            else [next(following) if is_wanted else None for is_wanted in wanted]
            for wanted in asked
        ]
        if LATER not in outcomes:
            self._loop.call_soon_threadsafe(_settle, group, answers)
            return []
        callers = [caller for batch in group for caller in batch.apart()]  # each asked for one thing
        answered = [(caller, answer) for caller, answer in zip(callers, chain(*answers), strict=True)]
        now = [(caller, [answer]) for caller, answer in answered if answer is not LATER]
        taken = threading.Event()
        self._loop.call_soon_threadsafe(_settle, *zip(*now, strict=True))
        self._loop.call_soon_threadsafe(self._loop.call_soon, self._loop.call_soon, taken.set)
        taken.wait()
        return [caller for caller, answer in answered if answer is LATER]


def _settle(group: Sequence[Batch[Any, Any]], answers: Sequence[list[Any]]) -> None:
    for batch, outcomes in zip(group, answers, strict=True):
        batch.settle(outcomes)
