"""How the writes of many callers are committed together, although the database may refuse one of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.stores.base import Outcomes, StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.stores.model import Operation

    Unit = Sequence[Operation]  # applied whole or not at all: a transaction, or one independent operation


class RefusedError(StoreError):
    """The database refuses something of a group: without it, the others can be written."""


def write_group(units: Sequence[Unit], commit: Callable[[Sequence[Unit]], Outcomes]) -> Outcomes:
    """Apply units in their order with one commit; tell for each why it was not applied, or None.

    Where one of them is refused, halves are tried until it stands alone.
    """
    try:
        return commit(units)
    except StoreError as error:
        if len(units) == 1 or not isinstance(error, RefusedError):
            return [StoreError(str(error)) for _ in units]
    half = len(units) // 2
    return write_group(units[:half], commit) + write_group(units[half:], commit)
