"""What waits for a connection: while one group is with the server, the next one gathers.

Rules that a change must respect:
1. A batch is in one group, or still waits, or is answered; whatever a group comes to, each of its batches is answered.
2. Who waits for longer than the timeout is told so, and what he asked for is then never begun.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from itertools import chain, compress, islice
from typing import TYPE_CHECKING, Any, Final

from dapr_state.golang.duration import format_duration
from dapr_state.stores.base import NotDone, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

    from dapr_state.clock import WaitingClock
    from dapr_state.stores.batching import Batch

_SLOW_SECONDS: Final = 0.05  # then the group waits for a lock or the disk, and others may go past it


class Postponed(ABC):
    """In the place of an outcome: it is still to come, and nobody else shall wait for it."""

    @abstractmethod
    async def finish(self, is_wanted: Callable[[], bool]) -> Any:
        """The outcome; never raises StoreError, for a part of it may be there already."""

    @abstractmethod
    def given_up(self, reason: str, kind: type[StoreError] = NotDone) -> Any:
        """The outcome with an error for what is not there yet."""


class Lane:
    """`answer` is given what the callers of a group want, and gives an outcome for each, or raises StoreError."""

    def __init__(
        self,
        answer: Callable[[Sequence[Any]], Awaitable[list[Any]]],
        clock: WaitingClock,
        timeout: float,
        *,
        at_once: int,
        at_most: int,
        wanted_at_most: Callable[[], int],
        octets_at_most: int,
    ) -> None:
        self._answer = answer
        self._clock = clock
        self._timeout = timeout
        self._too_late = f"the database did not get to it within {format_duration(timeout)}"
        self._at_once = at_once  # groups under way, as long as each is quick
        self._at_most = at_most  # groups under way, where some are slow
        self._wanted_at_most = wanted_at_most
        self._octets_at_most = octets_at_most
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[tuple[Batch[Any, Any], float]] = deque()  # with the time until which it may wait
        self._runs: dict[asyncio.Task[None], float] = {}  # with the time when its group began
        self._alone: set[asyncio.Task[None]] = set()
        self._few = asyncio.Semaphore(max(1, at_most - 1))
        self._check_timer: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Lane {len(self._runs)} under way, {len(self._waiting)} waiting>"

    def put(self, batch: Batch[Any, Any]) -> None:
        self._waiting.append((batch, self._clock.monotonic() + self._timeout))
        self._start()

    async def end(self) -> None:
        """Wait for what is under way and what waits."""
        while under_way := {*self._runs, *self._alone}:
            await self._clock.wait(under_way)

    def _start(self) -> None:
        """Begin a group, if there may be another."""
        if not self._waiting:
            return
        if len(self._runs) < self._at_once or (len(self._runs) < self._at_most and self._all_are_slow()):
            run = self._loop.create_task(self._run())
            self._runs[run] = self._clock.monotonic()
            run.add_done_callback(self._ended)
        elif self._check_timer is None:
            self._check_timer = self._clock.call_later(_SLOW_SECONDS, self._check)

    def _all_are_slow(self) -> bool:
        return max(self._runs.values()) < self._clock.monotonic() - _SLOW_SECONDS

    def _check(self) -> None:
        self._check_timer = None
        now = self._clock.monotonic()
        while self._waiting and self._waiting[0][1] <= now:
            batch, _ = self._waiting.popleft()
            batch.fail(NotDone(self._too_late))
        self._start()

    def _ended(self, run: asyncio.Task[None]) -> None:
        del self._runs[run]
        self._start()

    async def _run(self) -> None:
        """Answer groups until nobody waits."""
        run = asyncio.current_task()
        assert run is not None  # noqa: S101 - for the type checker
        while group := self._take():
            self._runs[run] = self._clock.monotonic()
            try:
                await self._settle(group)
            except BaseException as error:
                for batch in group:
                    batch.fail(StoreError(f"the request was interrupted: {type(error).__name__}"))
                raise

    def _take(self) -> list[Batch[Any, Any]]:
        group: list[Batch[Any, Any]] = []
        wanted = octets = 0
        wanted_at_most = self._wanted_at_most()
        while self._waiting:
            batch = self._waiting[0][0]
            if group and (wanted + len(batch.wanted) > wanted_at_most or octets + batch.octets > self._octets_at_most):
                break
            self._waiting.popleft()
            group.append(batch)
            wanted += len(batch.wanted)
            octets += batch.octets
        return group

    async def _settle(self, group: list[Batch[Any, Any]]) -> None:
        asked = [batch.still_wanted() for batch in group]
        wanted = [*chain.from_iterable(batch.wanted for batch in group)]
        if not all(map(all, asked)):  # some have given up
            wanted = [*compress(wanted, chain.from_iterable(asked))]
        try:
            outcomes = await self._answer(wanted) if wanted else []
        except StoreError as error:
            for batch in group:
                batch.fail(error)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, those who wait get an answer
            for batch in group:
                batch.fail(StoreError(f"the request cannot be sent to the database: {type(error).__name__}"))
            return
        following = iter(outcomes)
        answers = [
            [*islice(following, len(is_wanted))]
            if all(is_wanted)
            else [next(following) if wants else None for wants in is_wanted]
            for is_wanted in asked
        ]
        if not any(issubclass(kind, Postponed) for kind in set(map(type, outcomes))):  # there may be thousands of them
            for batch, answer in zip(group, answers, strict=True):
                batch.settle(answer)
            return
        callers = [caller for batch in group for caller in batch.apart()]  # each asked for one thing
        for caller, outcome in zip(callers, chain(*answers), strict=True):
            if isinstance(outcome, Postponed):
                alone = self._loop.create_task(self._finish(caller, outcome))
                self._alone.add(alone)
                alone.add_done_callback(self._alone.discard)
            else:
                caller.settle([outcome])

    async def _finish(self, caller: Batch[Any, Any], postponed: Postponed) -> None:
        """Of those few are under way: most connections are for what is not held up."""
        try:
            async with self._clock.timeout(self._timeout):
                await self._few.acquire()
            try:
                if any(caller.still_wanted()):  # else it would come behind what was asked since
                    caller.settle([await postponed.finish(lambda: any(caller.still_wanted()))])
                else:
                    caller.settle([postponed.given_up(self._too_late)])
            finally:
                self._few.release()
        except TimeoutError:
            caller.settle(
                [postponed.given_up(f"the database did not get to it within {format_duration(self._timeout)}")]
            )
        except BaseException as error:
            caller.settle([postponed.given_up(f"the request was interrupted: {type(error).__name__}", StoreError)])
            raise
