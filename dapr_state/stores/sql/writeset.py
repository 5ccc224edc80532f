"""What a group of operations comes to: each is judged in its turn, before anything is written.

What is stored must stay true until the commit: SQLite's writer holds the write lock while it judges, and PostgreSQL
refuses a commit that was judged by other versions. Two operations of a group on one key end as one change: those who
wait for the first one are told after the commit, when the second one could have followed already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from dapr_state.stores.base import Outcomes, StoreError, conflict
from dapr_state.stores.model import Delete, Operation

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from dapr_state.stores.sql.groups import Unit

    Judge = Callable[[Operation, str | None], StoreError | None]


class Change(msgspec.Struct, gc=False):
    """The last operation on a key, and the version that it makes."""

    operation: Operation
    etag: str = ""  # made when somebody asks: most changes of a hot key are overtaken unseen

    @property
    def in_place(self) -> bool:
        """Whether the row keeps its place (rowid). An etag that passed is that of the stored row."""
        return bool(self.operation.etag)


def guarded_keys(units: Sequence[Unit]) -> list[str]:
    """Those of which it matters what there is."""
    return [operation.key for unit in units for operation in unit if operation.etag or operation.first_write]


class WriteSet:
    """`stored` holds the etag of every live row whose key is guarded; `judge` is `conflict`, or what is like it."""

    def __init__(self, stored: Mapping[str, str], etags: Iterator[str], judge: Judge = conflict) -> None:
        self._stored = stored
        self._etags = etags
        self._judge = judge
        self._changes: dict[str, Change] = {}  # the order is that of the rows' last changes

    def add_units(
        self, units: Sequence[Unit], refuse: Callable[[str], StoreError | None], *, guarded: bool
    ) -> Outcomes:
        """Add those that nothing refuses, and say why for the others; `refuse` knows the keys that cannot be."""
        operations = [operation for unit in units for operation in unit]
        if refuse("".join([operation.key for operation in operations])):  # a look at all of them at once
            return [_refusal(unit, refuse) or self.add(unit) for unit in units]
        if guarded:
            return [self.add(unit) for unit in units]
        self.put(operations)
        return [None] * len(units)

    def add(self, operations: Sequence[Operation]) -> StoreError | None:
        """Add all of them in their order, or none and say why."""
        pending: dict[str, Change] = {}
        for operation in operations:
            key = operation.key
            before = pending.pop(key, None)
            if operation.etag or operation.first_write:  # else it does not matter what there is
                etag = self._etag(key, before or self._changes.get(key))
                if refused := self._judge(operation, etag):
                    return refused
            pending[key] = Change(operation)
        for key in pending:
            self._changes.pop(key, None)
        self._changes.update(pending)
        return None

    def put(self, operations: Sequence[Operation]) -> None:
        """Add operations that nothing can refuse, in a third of the time."""
        last: dict[str, Operation] = {}
        for operation in operations:
            last.pop(operation.key, None)
            last[operation.key] = operation
        for key, operation in last.items():
            self._changes.pop(key, None)
            self._changes[key] = Change(operation)

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


def _refusal(unit: Unit, refuse: Callable[[str], StoreError | None]) -> StoreError | None:
    return next(filter(None, (refuse(operation.key) for operation in unit)), None)
