"""A store with the faults that a test has put in: what meets none is passed on as it is."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Final

from dapr_state.actors.reminder_store import SPACE
from dapr_state.stores.base import EtagMismatch, Found, Outcomes, StateStore, StoreError
from dapr_state.stores.wrapper import Wrapper
from dapr_state.testmode import faults
from dapr_state.testmode.faults import GET, TRANSACT, WRITE, Fault, Faults

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Query
    from dapr_state.stores.model import Operation

# Who only looks, or arranges, meets no fault: the test itself, and what resets the sidecar
is_looking: Final[ContextVar[bool]] = ContextVar("is_looking", default=False)

SEPARATOR: Final = "||"


class FaultyStore(Wrapper):
    """`name` is the component's, `prefixes` what may stand before the keys that its callers give."""

    is_ground = True

    def __init__(self, inner: StateStore, found: Faults, name: str, prefixes: Sequence[str]) -> None:
        super().__init__(inner)
        self._faults = found
        self._name = name
        self._prefixes = sorted(set(prefixes), key=len, reverse=True)
        self._own_rows = [f"{prefix}{SPACE}{SEPARATOR}" for prefix in self._prefixes]

    async def get(self, keys: Sequence[str]) -> Found:
        fault = self._met(GET, keys)
        if fault is None or not await fault.wait():
            return await self._inner.get(keys)
        found = await self._inner.get(keys)
        told = zip(keys, found, strict=True)
        return [self._failure(fault, key) if self._is_for(fault, key) else row for key, row in told]

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        fault = self._met(WRITE, [each.key for each in operations])
        if fault is None or not await fault.wait():
            return await self._inner.write(operations)
        lost = [self._is_for(fault, each.key) for each in operations]
        is_done = _is_done(fault)
        done = [each for each, is_lost in zip(operations, lost, strict=True) if is_done or not is_lost]
        outcomes = iter(await self._inner.write(done) if done else ())
        told: Outcomes = []
        for each, is_lost in zip(operations, lost, strict=True):
            outcome = next(outcomes) if is_done or not is_lost else None
            told.append(self._failure(fault, each.key) if is_lost else outcome)
        return told

    async def transact(self, operations: Sequence[Operation]) -> None:
        fault = self._met(TRANSACT, [each.key for each in operations])
        if fault is None or not await fault.wait():
            await self._inner.transact(operations)
            return
        if _is_done(fault):
            await self._inner.transact(operations)
        raise self._failure(fault, operations[0].key if operations else "")

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:
        fault = self._met(GET, ())
        if fault is not None and await fault.wait():
            raise self._failure(fault, "")
        return await self._inner.query(prefix, query, after=after, budget=budget)

    def _met(self, on: int, keys: Sequence[str]) -> Fault | None:
        if not self._faults or is_looking.get():
            return None
        if keys and any(key.startswith(own) for key in keys[:1] for own in self._own_rows):
            return None  # rows of reminders are the sidecar's, and it would try again
        return self._faults.of_store(on, self._name, map(self._as_given, keys))

    def _as_given(self, key: str) -> str:
        return next((key.removeprefix(each) for each in self._prefixes if key.startswith(each)), key)

    def _is_for(self, fault: Fault, key: str) -> bool:
        return self._as_given(key).startswith(fault.message.key_prefix)

    def _failure(self, fault: Fault, key: str) -> StoreError:
        if fault.effect == "etag_conflict":
            return EtagMismatch(f"state etag not match for key={key}: the test says so")
        if fault.effect == "hang":
            return StoreError(faults.TAKEN_AWAY)
        if fault.effect == "drop_connection":
            return StoreError("EOF")
        return StoreError(fault.text)


def _is_done(fault: Fault) -> bool:
    """Whether it is done, though the caller is told an error."""
    return fault.effect == "after_commit"
