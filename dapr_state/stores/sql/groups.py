"""How the writes of many callers are committed together, although the database may refuse one of them."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import msgspec

from dapr_state.stores.base import NotDone, Outcomes, StoreError, Unfit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from dapr_state.stores.model import Operation

    Unit = Sequence[Operation]  # applied whole or not at all: a transaction, or one independent operation

T = TypeVar("T")


class RefusedError(NotDone):
    """The database refuses something of a group: without it, the others can be written."""


class UnfitError(RefusedError, Unfit):
    """What it refuses is a value or a key, and it would refuse it again."""


class Write(msgspec.Struct, frozen=True):
    """What a caller asks; answered with one outcome per operation, or with one for the transaction."""

    operations: Sequence[Operation]
    is_transaction: bool = False

    @property
    def units(self) -> Iterable[Unit]:
        return (self.operations,) if self.is_transaction else zip(self.operations, strict=True)

    def __len__(self) -> int:
        return 1 if self.is_transaction else len(self.operations)


def write_group(units: Sequence[Unit], commit: Callable[[Sequence[Unit]], Outcomes]) -> Outcomes:
    """Apply units in their order with one commit; tell for each why it was not applied, or None.

    Where one unit is refused, halves are tried until it is alone.
    """
    try:
        return commit(units)
    except StoreError as error:
        if len(units) == 1 or not isinstance(error, RefusedError):
            return _told(units, error)
    half = len(units) // 2
    return write_group(units[:half], commit) + write_group(units[half:], commit)


async def write_group_async(units: Sequence[Unit], commit: Callable[[Sequence[Unit]], Awaitable[Outcomes]]) -> Outcomes:
    """`write_group` with a commit that is waited for."""
    try:
        return await commit(units)
    except StoreError as error:
        if len(units) == 1 or not isinstance(error, RefusedError):
            return _told(units, error)
    half = len(units) // 2
    first = await write_group_async(units[:half], commit)
    return first + await write_group_async(units[half:], commit)


def _told(units: Sequence[Unit], error: StoreError) -> Outcomes:
    kind = Unfit if error.is_final else NotDone if error.is_undone else StoreError
    return [kind(str(error)) for _ in units]


def shared_out(entries: list[T], lengths: Sequence[int]) -> list[list[T]]:
    """Consecutive parts of these lengths."""
    ends = list(accumulate(lengths))
    return [entries[end - length : end] for end, length in zip(ends, lengths, strict=True)]
