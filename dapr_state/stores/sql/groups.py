"""How the writes of many callers are committed together, although the database may refuse one of them."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import msgspec

from dapr_state.stores.base import Outcomes, StoreError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Generator, Iterable, Sequence

    from dapr_state.stores.model import Operation

    Unit = Sequence[Operation]  # applied whole or not at all: a transaction, or one independent operation
    Attempts = Generator[Sequence[Unit], Outcomes | StoreError, Outcomes]

T = TypeVar("T")


class RefusedError(StoreError):
    """The database refuses something of a group: without it, the others can be written."""


class Write(msgspec.Struct, frozen=True):
    """What a caller asks; answered with one outcome per operation, or with one for the transaction."""

    operations: Sequence[Operation]
    is_transaction: bool = False

    @property
    def units(self) -> Iterable[Unit]:
        return (self.operations,) if self.is_transaction else [(operation,) for operation in self.operations]

    def __len__(self) -> int:
        return 1 if self.is_transaction else len(self.operations)


def write_group(units: Sequence[Unit], commit: Callable[[Sequence[Unit]], Outcomes]) -> Outcomes:
    """Apply units in their order with one commit; tell for each why it was not applied, or None."""
    attempts = _attempts(units)
    group = next(attempts)
    while True:
        try:
            result: Outcomes | StoreError = commit(group)
        except StoreError as error:
            result = error
        try:
            group = attempts.send(result)
        except StopIteration as end:
            return _outcomes(end)


async def write_group_async(units: Sequence[Unit], commit: Callable[[Sequence[Unit]], Awaitable[Outcomes]]) -> Outcomes:
    """`write_group` with a commit that is waited for."""
    attempts = _attempts(units)
    group = next(attempts)
    while True:
        try:
            result: Outcomes | StoreError = await commit(group)
        except StoreError as error:
            result = error
        try:
            group = attempts.send(result)
        except StopIteration as end:
            return _outcomes(end)


def _attempts(units: Sequence[Unit]) -> Attempts:
    """Ask for commits, and be sent what came of each. Where one unit is refused, halves are tried until it is alone."""
    result = yield units
    if not isinstance(result, StoreError):
        return result
    if len(units) == 1 or not isinstance(result, RefusedError):
        return [StoreError(str(result)) for _ in units]
    half = len(units) // 2
    first = yield from _attempts(units[:half])
    return first + (yield from _attempts(units[half:]))


def _outcomes(end: StopIteration) -> Outcomes:
    outcomes: Outcomes = end.value
    return outcomes


def shared_out(entries: list[T], lengths: Sequence[int]) -> list[list[T]]:
    """Consecutive parts of these lengths."""
    ends = list(accumulate(lengths))
    return [entries[end - length : end] for end, length in zip(ends, lengths, strict=True)]
