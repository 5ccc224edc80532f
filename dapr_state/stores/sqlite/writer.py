"""How a group of writes becomes one commit."""

from __future__ import annotations

import sqlite3
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from dapr_state.stores.etags import new_etags
from dapr_state.stores.sqlite import failures
from dapr_state.stores.sqlite.connection import patiently
from dapr_state.stores.sqlite.plan import Plan
from dapr_state.stores.sqlite.statements import refusal

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dapr_state.clock import Clock
    from dapr_state.stores.base import StoreError
    from dapr_state.stores.model import Operation
    from dapr_state.stores.sqlite.options import Database
    from dapr_state.stores.sqlite.statements import Statement, StateTable


class Writer:
    """Used by one thread, which owns `connection` while it is in here."""

    def __init__(self, connection: sqlite3.Connection, table: StateTable, database: Database, clock: Clock) -> None:
        self._connection = connection
        self._table = table
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
        # one of them is at fault: halves are tried until it stands alone, so that the others are written
        half = len(units) // 2
        return self.write(units[:half]) + self.write(units[half:])

    def _commit(self, units: Sequence[Sequence[Operation]]) -> list[StoreError | None]:
        asked = [operation.key for unit in units for operation in unit if operation.etag or operation.first_write]
        guarded = {key for key in asked if not refusal(key)}
        if not guarded:
            plan = Plan({}, self._etags)
            outcomes = _add(plan, units, guarded=False)
            self._run(self._table.statements(plan.changes()))
            return outcomes
        with self._transaction():
            plan = Plan(self._table.etags(self._connection, guarded), self._etags)
            outcomes = _add(plan, units, guarded=True)
            self._execute(self._table.statements(plan.changes()))
        return outcomes

    def _run(self, statements: Sequence[Statement]) -> None:
        if len(statements) > 1:
            with self._transaction():
                self._execute(statements)
        elif statements:  # a transaction of its own: fewer ways out of and back to the interpreter's lock
            patiently(partial(self._execute, statements), self._clock, self._database.busy_timeout)
            self.commits += 1

    def _execute(self, statements: Sequence[Statement]) -> None:
        for sql, parameters in statements:
            self._connection.execute(sql, parameters)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        begin = partial(self._execute, [(self._database.begin, [])])
        patiently(begin, self._clock, self._database.busy_timeout)
        try:
            yield
            self._connection.execute("COMMIT")
        finally:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self.commits += 1


def _add(plan: Plan, units: Sequence[Sequence[Operation]], *, guarded: bool) -> list[StoreError | None]:
    operations = [operation for unit in units for operation in unit]
    if not "".join([operation.key for operation in operations]).isascii():  # a look at all of them at once
        return [_refusal(unit) or plan.add(unit) for unit in units]
    if guarded:
        return [plan.add(unit) for unit in units]
    plan.put(operations)
    return [None] * len(units)


def _refusal(unit: Sequence[Operation]) -> StoreError | None:
    return next(filter(None, (refusal(operation.key) for operation in unit)), None)
