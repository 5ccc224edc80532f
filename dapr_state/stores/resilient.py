"""A store whose calls are under policies: each attempt passes the breaker and has its time, and some are repeated.

Rules that a change must keep:
1. An item is asked for again only if it failed, and is known by its place in the request, whatever else failed or not.
2. A write is at the store once at a time. One that was not answered in time is still on its way: its retry waits for
   that answer, and it decides. Nothing is sent again before it is known that the first one has failed.
3. One that its caller does not wait for any more is remembered until it has ended, whatever the policies are by then:
   later ones of its keys wait for that. It would else come after a write that was acknowledged meanwhile, and undo it.
4. Who may have written is not asked to write again on a condition: it would conflict with itself. A write without one
   comes to the same however often it happens; but not behind a later one of its request on the same key.
5. What a caller asked wrongly is no failure of the store: neither repeated nor counted.
6. A call that comes in parts is one: each of its attempts passes the breaker once, and has its time for all of them.
"""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from dapr_state.errors import untraced
from dapr_state.resiliency.begun import Begun
from dapr_state.resiliency.guard import Attempts, Guard
from dapr_state.resiliency.policies import NOTHING
from dapr_state.stores.base import Found, Late, Outcomes, Refused, StateStore, StoreError
from dapr_state.stores.model import Operation, StoredValue, Upsert
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Sequence

    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Query

    Left = dict[str, set[Begun]]  # by key, the writes that their callers have left
    Ask = Callable[[Sequence[int]], Coroutine[Any, Any, list[Any]]]  # for the outcomes at some places of the request


_ROWS: Final = frozenset({StoredValue, type(None)})


class ResilientStore(Wrapper):
    """`inner` is the store that talks to its server: encryption stands before this one."""

    stays = False

    def __init__(self, inner: StateStore, guard: Guard, left: Left | None = None, whole: _Whole | None = None) -> None:
        """`left`: by the one in whose place it comes. `whole`: all that is asked are parts of this call."""
        super().__init__(inner)
        self._guard = guard
        self._breaker = guard.breaker
        self._counts = guard.counts
        self._whole = whole
        self._is_plain = guard.seconds is None and whole is None
        self._left: Left = {} if left is None else left
        self._get, self._write = inner.get, inner.write

    def __repr__(self) -> str:
        return f"<ResilientStore {self._guard!r} of {self._inner!r}>"

    @property
    def unencrypted(self) -> StateStore:
        return self

    def under(self, guard: Guard | None) -> StateStore:
        """The same store under other policies; under none only if nothing is on its way that was left."""
        inner = self._inner
        if guard is None and not self._left:
            return inner
        before = self._guard
        return ResilientStore(inner, guard or Guard(before.what, NOTHING, clock=before.clock), self._left)

    @contextmanager
    def in_parts(self) -> Iterator[StateStore]:
        whole = _Whole(self._guard)
        try:
            yield ResilientStore(self._inner, self._guard, self._left, whole)
        finally:
            whole.end()

    async def get(self, keys: Sequence[str]) -> Found:
        breaker = self._breaker
        if not (self._is_plain and breaker.is_plain):
            return await _Reading(self._guard, self._inner, keys, self._whole).all()
        # the usual way, which is to cost no more than 3 % of a get: two counts before the store is asked, one behind
        self._counts.calls += 1
        breaker.requests += 1
        generation = breaker.generation
        try:
            found = await self._get(keys)
        except StoreError as error:
            return await _Reading(self._guard, self._inner, keys).all_but_first(generation, untraced(error))
        except BaseException:
            breaker.left(generation)
            raise
        if not (type(found[0]) in _ROWS if len(found) == 1 else _ROWS.issuperset(map(type, found))):
            return await _Reading(self._guard, self._inner, keys).all_but_first(generation, found)
        if generation == breaker.generation:
            breaker.successes += 1
        return found

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        breaker = self._breaker
        if self._left or not (self._is_plain and breaker.is_plain):
            return await _Writing(self._guard, self._inner, operations, self._left, self._whole).all()
        self._counts.calls += 1
        breaker.requests += 1
        generation = breaker.generation
        try:
            outcomes = await self._write(operations)
        except StoreError as error:
            call = _Writing(self._guard, self._inner, operations, self._left)
            return await call.all_but_first(generation, untraced(error))
        except BaseException:
            breaker.left(generation)
            raise
        if any(outcomes):
            call = _Writing(self._guard, self._inner, operations, self._left)
            return await call.all_but_first(generation, outcomes)
        if generation == breaker.generation:
            breaker.successes += 1
        return outcomes

    async def transact(self, operations: Sequence[Operation]) -> None:
        await _Transaction(self._guard, self._inner, operations, self._left).all()

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:
        kept = budget.octets

        async def ask(_: Sequence[int]) -> list[Matches]:
            budget.take(kept - budget.octets)  # what a failed attempt has found
            return [await self._inner.query(prefix, query, after=after, budget=budget)]

        (matches,) = await _Call(self._guard, 1, ask).all()
        return matches  # type: ignore[no-any-return]


class _Whole:
    """The attempts of one call, of whose parts each is a part of the attempt that is under way. `end` it."""

    def __init__(self, guard: Guard) -> None:
        self._guard = guard
        self._attempts = Attempts(guard, guard.breaker)
        self._is_begun = False
        self._is_open = False  # an attempt is under way that has neither succeeded nor failed yet
        self._refusal = ""
        self._until = 0.0
        self._is_late = False

    @property
    def seconds(self) -> float | None:
        """How long the attempt may still take; None: any time."""
        return None if self._guard.seconds is None else max(0.0, self._until - self._guard.clock.monotonic())

    def begin(self, *, again: bool) -> str:
        """Begin an attempt, or go on with the one that there is; or say why not."""
        if self._is_begun and not again:
            return self._refusal
        if not self._is_begun:
            self._guard.counts.calls += 1
            self._guard.counts.in_state[self._guard.breaker.state] += 1
        self._is_begun = True
        self._refusal = self._attempts.refused()
        self._is_open = not self._refusal
        self._until = self._guard.clock.monotonic() + (self._guard.seconds or 0.0)
        return self._refusal

    def begun(self, generation: int) -> None:
        """The first was, by one who has counted it."""
        self._is_begun = self._is_open = True
        self._attempts.begun(generation)

    def end(self) -> None:
        """What of the attempt has not failed has succeeded."""
        if self._is_open:
            self._is_open = False
            self._attempts.succeeded()

    def failed(self, error: object) -> None:
        if self._is_open:
            self._is_open = False
            self._attempts.failed(error)

    def left(self) -> None:
        if self._is_open:
            self._is_open = False
            self._attempts.left()

    def late(self) -> Late:
        if not self._is_late:
            self._is_late = True
            self._guard.counts.late += 1
        return Late()

    def wait(self, error: object) -> float | None:
        return self._attempts.wait(error)


class _Call:
    """One call of a caller, or a part of one, whose items are known by their places."""

    def __init__(self, guard: Guard, count: int, ask: Ask, whole: _Whole | None = None) -> None:
        self._guard = guard
        self._ask = ask
        self._is_part = whole is not None
        self._whole = whole or _Whole(guard)
        self._outcomes: list[Any] = [None] * count
        self._pending: Sequence[int] = range(count)  # places of those that are to be asked for
        self._of_all: StoreError | None = None  # what the last attempt has raised

    async def all(self) -> list[Any]:
        """The outcome of each item. Raises StoreError where one error is that of all."""
        try:
            if await self._attempt(again=False):
                await self._repeat()
        finally:
            self._leave()
        return self._told()

    async def all_but_first(self, generation: int, came: list[Any] | StoreError) -> list[Any]:
        """The first attempt, which has failed at least in part, was made before this was."""
        self._whole.begun(generation)
        self._settle(came)
        try:
            await self._repeat()
        finally:
            self._leave()
        return self._told()

    # What kinds of calls differ in

    def _repeatable(self, failed: Sequence[int]) -> Sequence[int]:
        """Those of the places at which the store has failed that may be asked for again."""
        return failed

    def _is_failure(self, failed: int, of: int) -> bool:
        """Whether an attempt of `of` items, so many of which the store failed at, counts as one."""
        return failed == of

    async def _in_time(self, seconds: float) -> list[Any]:
        """One attempt's outcomes. Raises StoreError."""
        attempt = Begun(self._ask(self._pending))
        try:
            if not await attempt.ends_within(seconds, self._guard.clock):
                raise self._whole.late()
        finally:
            if not attempt.ended.done():
                attempt.let_go()
        found: list[Any] = attempt.ended.result()
        return found

    async def _rest(self, seconds: float) -> None:
        """Wait before the next attempt."""
        clock = self._guard.clock
        await self._guard.pauses.pause(clock.monotonic() + seconds, clock)

    def _leave(self) -> None:
        """The call has ended, or its caller has gone."""

    # The attempts

    async def _repeat(self) -> None:
        while self._pending:
            seconds = self._whole.wait(self._outcomes[self._pending[0]])
            if seconds is None:
                return
            await self._rest(seconds)
            if self._guard.pauses.is_over or (self._pending and not await self._attempt(again=True)):
                return

    async def _attempt(self, *, again: bool) -> bool:
        """Make one; whether there is something to repeat."""
        if refusal := self._whole.begin(again=again):
            self._of_all = Refused(refusal)
            for place in self._pending:
                self._outcomes[place] = self._of_all
            return False
        try:
            seconds = self._whole.seconds
            came: list[Any] | StoreError = await (
                self._ask(self._pending) if seconds is None else self._in_time(seconds)
            )
        except StoreError as error:
            came = untraced(error)
        except BaseException:  # the caller has gone, or asked for what is no matter of the store
            self._whole.left()
            raise
        self._settle(came)
        return bool(self._pending)

    def _settle(self, came: list[Any] | StoreError) -> None:
        """Take what an attempt came to."""
        of = len(self._pending)
        failed = self._take(came)
        if failed and self._is_failure(len(failed), of):
            self._whole.failed(self._outcomes[failed[0]])
        elif not self._is_part:
            self._whole.end()

    def _take(self, came: list[Any] | StoreError) -> Sequence[int]:
        """The places at which the store has failed; those of them that may be asked for again are pending then."""
        self._of_all = came if isinstance(came, StoreError) else None
        if isinstance(came, StoreError):
            came = [came] * len(self._pending)
        failed = []
        for place, outcome in zip(self._pending, came, strict=True):
            self._outcomes[place] = outcome
            if isinstance(outcome, StoreError) and not outcome.is_final:
                failed.append(place)
        self._pending = self._repeatable(failed) if failed else ()
        return failed

    def _told(self) -> list[Any]:
        if self._of_all and all(each is self._of_all for each in self._outcomes):
            raise self._of_all
        return self._outcomes


class _Reading(_Call):
    """An attempt has failed if every key of it did: a row that cannot be read says nothing of the store."""

    def __init__(self, guard: Guard, store: StateStore, keys: Sequence[str], whole: _Whole | None = None) -> None:
        async def ask(places: Sequence[int]) -> Found:
            return await store.get(keys if len(places) == len(keys) else [keys[place] for place in places])

        super().__init__(guard, len(keys), ask, whole)


class _Writing(_Call):
    def __init__(
        self,
        guard: Guard,
        store: StateStore,
        operations: Sequence[Operation],
        left: Left,
        whole: _Whole | None = None,
    ) -> None:
        async def ask(places: Sequence[int]) -> Outcomes:
            some = operations if len(places) == len(operations) else [operations[place] for place in places]
            await self._begin(some)
            return await store.write(some)

        super().__init__(guard, len(operations), ask, whole)
        self._operations = operations
        self._left = left
        self._is_sent = False
        self._on_its_way: Begun | None = None  # an attempt that was not answered in time
        self._in_doubt: set[int] = set()  # places of those that may have happened though they have failed

    async def _begin(self, operations: Sequence[Operation]) -> None:
        """Return when nothing is on its way to these keys any more."""
        left = self._left
        if left and (before := {each.ended for operation in operations for each in left.get(operation.key, ())}):
            await asyncio.wait(before)
        self._is_sent = True

    def _is_failure(self, failed: int, of: int) -> bool:  # noqa: ARG002
        return True

    def _take(self, came: list[Any] | StoreError) -> Sequence[int]:
        failed = super()._take(came)
        self._in_doubt.update(place for place in failed if not self._outcomes[place].is_undone)
        return failed

    def _told(self) -> list[Any]:
        """What failed in the end is in doubt if it was so once."""
        for place in self._in_doubt:
            error = self._outcomes[place]
            if isinstance(error, StoreError) and error.is_undone:
                self._of_all = self._outcomes[place] = StoreError(str(error))
        return super()._told()

    def _repeatable(self, failed: Sequence[int]) -> Sequence[int]:
        if self._on_its_way:
            return failed  # it is waited for
        last_done = {
            operation.key: place
            for place, (operation, outcome) in enumerate(zip(self._operations, self._outcomes, strict=True))
            if not isinstance(outcome, StoreError)
        }
        return [
            place
            for place in failed
            if (self._outcomes[place].is_undone or not _is_conditional(self._operations[place]))
            and last_done.get(self._operations[place].key, -1) < place
        ]

    async def _in_time(self, seconds: float) -> list[Any]:
        attempt = self._on_its_way = self._on_its_way or Begun(self._ask(self._pending))
        if not await attempt.ends_within(seconds, self._guard.clock):
            raise self._whole.late()
        self._on_its_way = None
        outcomes: list[Any] = attempt.ended.result()
        return outcomes

    async def _rest(self, seconds: float) -> None:
        """The answer that is on its way ends the wait, if nothing of it has failed."""
        attempt, clock, pauses = self._on_its_way, self._guard.clock, self._guard.pauses
        until = clock.monotonic() + seconds
        if attempt:
            await pauses.pause(until, clock, attempt)
            if not attempt.ended.done():
                return
            self._on_its_way = None
            try:
                self._take(attempt.ended.result())  # the breaker has counted it already, as one that was late
            except StoreError as error:
                self._take(untraced(error))
        if self._pending:
            await pauses.pause(until, clock)

    def _leave(self) -> None:
        attempt, left = self._on_its_way, self._left
        if attempt is None or attempt.ended.done():
            return
        if not self._is_sent:
            attempt.let_go()
            return
        attempt.forget()
        keys = {operation.key for operation in self._operations}
        for key in keys:
            left.setdefault(key, set()).add(attempt)  # another may have begun beside it, and end later

        def end(_: object) -> None:
            for key in keys:
                left[key].discard(attempt)
                if not left[key]:
                    del left[key]

        attempt.ended.add_done_callback(end)


class _Transaction(_Writing):
    """All of it is one item."""

    def __init__(self, guard: Guard, store: StateStore, operations: Sequence[Operation], left: Left) -> None:
        async def ask(_: Sequence[int]) -> Outcomes:
            await self._begin(operations)
            await store.transact(operations)
            return [None]

        _Call.__init__(self, guard, 1, ask)
        self._operations = operations
        self._left = left
        self._is_sent = False
        self._on_its_way = None
        self._in_doubt = set()

    def _repeatable(self, failed: Sequence[int]) -> Sequence[int]:
        is_safe = self._on_its_way or self._outcomes[0].is_undone or not any(map(_is_conditional, self._operations))
        return failed if is_safe else ()


def _is_conditional(operation: Operation) -> bool:
    return bool(operation.etag) or (isinstance(operation, Upsert) and operation.first_write)
