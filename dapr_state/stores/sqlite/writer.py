"""How a group of writes becomes one commit."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING

from dapr_state.stores.sqlite import failures
from dapr_state.stores.sqlite.connection import patiently
from dapr_state.stores.sqlite.plan import Plan, is_guarded, new_etags
from dapr_state.stores.sqlite.rows import refusal

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.clock import Clock
    from dapr_state.stores.base import StoreError
    from dapr_state.stores.model import Operation
    from dapr_state.stores.sqlite.options import Database
    from dapr_state.stores.sqlite.rows import Rows


class Writer:
    """Used by one thread, which owns `connection` while it is in here."""

    def __init__(self, connection: sqlite3.Connection, rows: Rows, database: Database, clock: Clock) -> None:
        self._connection = connection
        self._rows = rows
        self._database = database
        self._clock = clock
        self._etags = new_etags()
        self.commits = 0

    def write(self, units: Sequence[Sequence[Operation]]) -> list[StoreError | None]:
        """Apply units in their order with one commit; tell for each why it was not applied, or None.

        A unit is applied whole or not at all: the operations of a transaction, or one independent operation.
        """
        try:
            return self._commit(units)
        except (sqlite3.Error, ValueError, OverflowError, MemoryError) as error:
            if len(units) == 1 or failures.is_of_the_file(error):
                return [failures.store_error(error) for _ in units]
        # one of them is at fault: each on its own, so that the others are written
        return [outcome for unit in units for outcome in self.write((unit,))]

    def _commit(self, units: Sequence[Sequence[Operation]]) -> list[StoreError | None]:
        refused = [_refusal(unit) for unit in units]
        sound = [unit for unit, no in zip(units, refused, strict=True) if not no]
        guarded = {operation.key for unit in sound for operation in unit if is_guarded(operation)}
        patiently(self._begin, self._clock, self._database.busy_timeout)
        try:
            plan = Plan(self._rows.etags(self._connection, guarded) if guarded else {}, self._etags)
            outcomes = [no or plan.add(unit) for unit, no in zip(units, refused, strict=True)]
            self._rows.apply(self._connection, plan.changes())
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self.commits += 1
        return outcomes

    def _begin(self) -> None:
        self._connection.execute(self._database.begin)


def _refusal(unit: Sequence[Operation]) -> StoreError | None:
    return next(filter(None, (refusal(operation.key) for operation in unit)), None)
