"""What callers ask of a store in one tick of the event loop goes to it as one batch; each has the outcomes of his own.

Rules that a change must respect:
1. A caller is taken or refused before there is a batch for him: no batch is empty.
2. A batch is answered once, with as many outcomes as were wanted, or with an error for each caller, whatever raises.
3. What waits is bounded in callers and in octets from the moment it is taken until it is answered; who gives up leaves
   his octets in the batch.
"""

from __future__ import annotations

import asyncio
from itertools import compress
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from dapr_state.stores.base import NotDone, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dapr_state.stores.model import Operation

W = TypeVar("W")  # what is wanted: a key, or an operation
R = TypeVar("R")  # what comes of it

# Callers that may wait for one store: at 60,000 a second 80 ms of work. Each takes 4 KB of the process, much of which
# Python's allocator keeps for good: 20 MB.
CALLERS_AT_MOST: Final = 5_000
OVERHEAD: Final = 256  # octets that one key or operation costs beside its text


def weight_of_keys(keys: Sequence[str]) -> int:
    if len(keys) == 1:
        return OVERHEAD + len(keys[0])
    return OVERHEAD * len(keys) + sum(map(len, keys))


def weight(operations: Sequence[Operation]) -> int:
    octets = OVERHEAD * len(operations)
    for operation in operations:  # takes half as long as `sum` of what attrgetters get
        octets += len(operation.key) + len(operation.value)
    return octets


class Budget:
    """What may wait for a store; one that is larger than all may wait alone."""

    def __init__(self, store: str, *, callers: int, octets: int) -> None:
        self._store = store
        self.callers_at_most = callers
        self.octets_at_most = octets
        self.callers = 0
        self.octets = 0

    def __repr__(self) -> str:
        return f"<Budget of {self._store}: {self.callers} waiting with {self.octets} octets>"

    def take(self, octets: int) -> None:
        """Let a caller wait. Raises StoreError, with nothing taken, when too many do."""
        if self.callers >= self.callers_at_most or self.octets + octets > self.octets_at_most:
            self.refuse()
        self.callers += 1
        self.octets += octets

    def refuse(self) -> None:
        """Raise StoreError for one caller too many; one alone may be larger than all."""
        if self.callers:
            raise NotDone(f"too many requests wait for {self._store}: {self.callers}, with {self.octets} octets")

    def give(self, callers: int, octets: int) -> None:
        self.callers -= callers
        self.octets -= octets


class Batch(Generic[W, R]):
    """What some callers want together."""

    __slots__ = ("_budget", "callers", "octets", "wanted")

    def __init__(self, budget: Budget) -> None:
        self.wanted: list[W] = []
        self.octets = 0
        self._budget = budget
        self.callers: list[tuple[asyncio.Future[list[R]], int, int]] = []  # with what number and octets he wants

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {len(self)} callers, {len(self.wanted)} wanted>"

    def __len__(self) -> int:
        return len(self.callers)

    def join(self, caller: asyncio.Future[list[R]], wanted: Sequence[W], octets: int) -> None:
        self.callers.append((caller, len(wanted), octets))
        self.wanted += wanted
        self.octets += octets

    def still_wanted(self) -> list[bool]:
        """For each that is wanted, whether its caller waits. Any thread may ask."""
        if not any(caller.done() for caller, _, _ in self.callers):
            return [True] * len(self.wanted)
        return [not caller.done() for caller, size, _ in self.callers for _ in range(size)]

    def settle(self, outcomes: list[R]) -> None:
        """Give the outcomes out, as the callers joined. Raises, with none given, if they do not fit."""
        if len(outcomes) != len(self.wanted):
            raise ValueError(f"{len(outcomes)} outcomes for {len(self.wanted)} that were wanted")
        callers = self._ended()
        if len(callers) == 1:  # as most are
            if not callers[0][0].done():
                callers[0][0].set_result(outcomes)
            return
        at = 0
        for caller, size, _ in callers:
            if not caller.done():  # he may have given up
                caller.set_result(outcomes[at : at + size])
            at += size

    def fail(self, error: Exception) -> None:
        """Tell each caller: an error of his own, for a traceback grows in each that is raised."""
        for caller, _, _ in self._ended():
            if not caller.done():
                caller.set_exception(_copy(error))

    def forget_done(self) -> None:
        """Leave out those who have given up: what they wanted must not happen behind what they want now."""
        gone = [caller for caller in self.callers if caller[0].done()]
        if not gone:
            return
        octets = sum(octets for _, _, octets in gone)
        self.wanted = [*compress(self.wanted, self.still_wanted())]
        self.callers = [caller for caller in self.callers if not caller[0].done()]
        self.octets -= octets
        self._budget.give(len(gone), octets)

    def apart(self) -> list[Batch[W, R]]:
        """A batch for each caller, in the place of this one."""
        batches = []
        at = 0
        for entry in self.callers:
            batch: Batch[W, R] = Batch(self._budget)
            batch.join(entry[0], self.wanted[at : at + entry[1]], entry[2])
            batches.append(batch)
            at += entry[1]
        self.callers = []
        return batches

    def part(self, at_most: int, *, at_least: int = 0) -> Batch[W, R]:
        """Take out the first callers, who want so many together; `at_least` so many callers."""
        part: Batch[W, R] = Batch(self._budget)
        wanted = 0
        for number, (_, size, _) in enumerate(self.callers):
            if wanted + size > at_most and number >= at_least:
                break
            wanted += size
            part.callers.append(self.callers[number])
        part.wanted, self.wanted = self.wanted[:wanted], self.wanted[wanted:]
        part.octets = sum(octets for _, _, octets in part.callers)
        self.octets -= part.octets
        del self.callers[: len(part)]
        return part

    def _ended(self) -> list[tuple[asyncio.Future[list[R]], int, int]]:
        callers, self.callers = self.callers, []
        if callers:
            self._budget.give(len(callers), self.octets)
        return callers


class Batcher(Generic[W, R]):
    """Makes batches of what is asked.

    `run` takes a batch over, and answers it now or later; or it raises, with nothing done. `at_end` is given what is to
    be called at the end of the tick.
    """

    def __init__(
        self,
        run: Callable[[Batch[W, R]], None],
        *,
        budget: Budget,
        weigh: Callable[[Sequence[W]], int],
        at_end: Callable[[Callable[[], None]], object],
        at_most: int,
        octets_at_most: int,
    ) -> None:
        self._run = run
        self._budget = budget
        self._weigh = weigh
        self._at_end = at_end
        self._at_most = at_most
        self._octets_at_most = octets_at_most
        self._loop = asyncio.get_running_loop()
        self._batch: Batch[W, R] | None = None

    def ask(self, wanted: Sequence[W], octets: int | None = None) -> asyncio.Future[list[R]]:
        """Ask for an outcome for each; `octets` is what they weigh, if that is known. StoreError when too many wait.

        A batch is no larger than `at_most` and `octets_at_most` say, but for a caller who wants more and has it alone.
        """
        if octets is None:
            octets = self._weigh(wanted)
        budget, batch = self._budget, self._batch
        if budget.callers >= budget.callers_at_most or budget.octets + octets > budget.octets_at_most:
            budget.refuse()
        # `Budget.take` and `Batch.join`, without two calls for each caller: 0.2 us of a read that takes 11
        budget.callers += 1
        budget.octets += octets
        if (
            batch is None
            or batch.octets + octets > self._octets_at_most
            or len(batch.wanted) + len(wanted) > self._at_most
        ):
            batch = self._begin()
        answer: asyncio.Future[list[R]] = self._loop.create_future()
        batch.callers.append((answer, len(wanted), octets))
        batch.wanted += wanted
        batch.octets += octets
        if len(batch.wanted) >= self._at_most:
            self.close()
        return answer

    def ask_alone(self, wanted: Sequence[W]) -> asyncio.Future[list[R]]:
        """As `ask`, in a batch of its own that is run at once."""
        octets = self._weigh(wanted)
        self._budget.take(octets)
        batch: Batch[W, R] = Batch(self._budget)
        answer: asyncio.Future[list[R]] = self._loop.create_future()
        batch.join(answer, wanted, octets)
        attempt(self._run, batch)
        return answer

    def _begin(self) -> Batch[W, R]:
        self.close()
        batch = self._batch = Batch(self._budget)
        self._at_end(self.close)
        return batch

    def close(self) -> None:
        """Run what was asked so far: what comes now is another batch."""
        batch, self._batch = self._batch, None
        if batch is not None:
            attempt(self._run, batch)


def attempt(run: Callable[[Batch[W, R]], None], batch: Batch[W, R]) -> None:
    """Run a batch; if that raises, tell those whom it concerns."""
    try:
        run(batch)
    except StoreError as error:
        batch.fail(error)
    except Exception as error:  # noqa: BLE001 - those who wait get an answer; the text could hold a value
        if len(batch) <= 1:
            batch.fail(StoreError(f"the request cannot be sent to the store: {type(error).__name__}"))
            return
        for alone in batch.apart():  # one of them cannot be sent, and the others can
            attempt(run, alone)


def runs(
    wanted: Sequence[W], weigh: Callable[[Sequence[W]], int], *, at_most: int, octets_at_most: int
) -> Iterator[Sequence[W]]:
    """A request in pieces that leave room for others: each is within the bounds, or a single one."""
    start, octets = 0, 0
    for at in range(len(wanted)):
        weight = weigh(wanted[at : at + 1])
        if at > start and (at - start >= at_most or octets + weight > octets_at_most):
            yield wanted[start:at]
            start, octets = at, 0
        octets += weight
    yield wanted[start:]


def _copy(error: Exception) -> Exception:
    return type(error)(str(error))
