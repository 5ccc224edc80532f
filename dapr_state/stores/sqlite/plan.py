"""What a group of operations comes to: each is judged in its turn, before anything is written.

The writer holds the write lock while it plans, so what it read of the table stays true until it commits.
Two operations of a group on one key end as one change: those who wait for the first one are told
after the commit, when the second one could have followed already.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from dapr_state.stores.base import EtagMismatch, conflict
from dapr_state.stores.model import Delete

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from dapr_state.stores.model import Operation

_ETAGS_AT_ONCE: Final = 128  # a call to the kernel costs as much as ten of its etags


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
            in_place = bool(operation.etag) and (before is None or before.in_place)
            pending[key] = Change(operation, in_place=in_place)
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


def new_etags() -> Iterator[str]:
    """Random UUIDs, as text. One thread at a time may ask."""
    while True:
        digits = os.urandom(16 * _ETAGS_AT_ONCE).hex()
        for at in range(0, len(digits), 32):
            d = digits[at : at + 32]
            # version 4, variant 10xx, as RFC 9562 says
            yield f"{d[:8]}-{d[8:12]}-4{d[13:16]}-{'89ab'[int(d[16], 16) & 3]}{d[17:20]}-{d[20:]}"
