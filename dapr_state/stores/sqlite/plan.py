"""What a group of operations comes to: each is judged in its turn, before anything is written.

The writer holds the write lock while it plans, so what it read of the table stays true until it commits.
Two operations of a group on one key end as one change: those who wait for the first one are told
after the commit, when the second one could have followed already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.stores.base import EtagMismatch, conflict
from dapr_state.stores.model import Delete

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dapr_state.stores.model import Operation


class Change:
    """The last operation on a key, and whether the row keeps its place (rowid), as an update with an etag does."""

    __slots__ = ("etag", "in_place", "operation")

    def __init__(self, operation: Operation, *, in_place: bool) -> None:
        self.operation = operation
        self.in_place = in_place
        self.etag = ""  # the new version, made when somebody asks: most changes of a hot key are overtaken unseen


class Plan:
    """`stored` holds the etag of every live row whose key some operation asks about."""

    def __init__(self, stored: Mapping[str, str], etags: Iterator[str]) -> None:
        self._stored = stored
        self._etags = etags
        self._changes: dict[str, Change] = {}  # the order is that of the rows' last changes

    def add(self, operations: Sequence[Operation]) -> EtagMismatch | None:
        """Plan all of them in their order, or none and say why."""
        pending: dict[str, Change] = {}
        for operation in operations:
            key = operation.key
            before = pending.pop(key, None) or self._changes.get(key)
            if is_guarded(operation) and (refused := conflict(operation, self._etag(key, before))):
                return refused
            # an etag that passed is the stored row's: that of a change in this plan nobody can know
            pending[key] = Change(operation, in_place=bool(operation.etag))
        for key, change in pending.items():
            self._changes.pop(key, None)
            self._changes[key] = change
        return None

    def changes(self) -> list[Change]:
        """What is to be written: one change a key."""
        for change in self._changes.values():
            self._version(change)
        return list(self._changes.values())

    def _etag(self, key: str, change: Change | None) -> str | None:
        return self._stored.get(key) if change is None else self._version(change)

    def _version(self, change: Change) -> str | None:
        if isinstance(change.operation, Delete):
            return None
        if not change.etag:
            change.etag = next(self._etags)
        return change.etag


def is_guarded(operation: Operation) -> bool:
    """Whether it matters what the table holds."""
    return bool(operation.etag) or operation.first_write
