"""How the writes of many callers are committed together, although the database may refuse one of them."""

from __future__ import annotations

from itertools import accumulate
from typing import TYPE_CHECKING, TypeVar

import msgspec

from dapr_state.stores.base import NotDone, Outcomes, StoreError, Unfit

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Sequence

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


def units_of(works: Sequence[Write]) -> tuple[list[Unit], list[int]]:
    """The units of all, and how many of them are whose."""
    units: list[Unit] = []
    lengths: list[int] = []
    for work in works:
        if work.is_transaction or len(work.operations) == 1:  # as most are
            units.append(work.operations)
            lengths.append(1)
        else:
            units += zip(work.operations, strict=True)
            lengths.append(len(work.operations))
    return units, lengths


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
    if len(entries) == len(lengths) and max(lengths, default=1) == 1:  # all of them, then
        return [[entry] for entry in entries]
    ends = list(accumulate(lengths))
    return [entries[end - length : end] for end, length in zip(ends, lengths, strict=True)]
