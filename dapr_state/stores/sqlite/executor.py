"""One connection at work: a group of requests comes in, one answer for each goes out."""

from __future__ import annotations

import math
import sqlite3
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

import msgspec

from dapr_state.stores.base import Found, NotDone, Outcomes, StoreError
from dapr_state.stores.etags import new_etags
from dapr_state.stores.sql.groups import Write, shared_out, units_of, write_group
from dapr_state.stores.sql.keys import refusal
from dapr_state.stores.sql.writeset import WriteSet, guarded_keys
from dapr_state.stores.sqlite import failures
from dapr_state.stores.sqlite.connection import connect, patiently
from dapr_state.stores.sqlite.worker import LATER

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dapr_state.clock import WaitingClock
    from dapr_state.stores.sql.groups import Unit
    from dapr_state.stores.sqlite.file import DatabaseFile
    from dapr_state.stores.sqlite.options import Options
    from dapr_state.stores.sqlite.statements import Statement, StateTable

_FILE_SECONDS: Final = 0.005  # a group does not look again for the file that the one before has just seen
_READ_FILE_SECONDS: Final = 0.1  # reads may show for so long what is in a file that is gone
READ_AT_ONCE: Final = (
    4 << 20
)  # octets of values that are in memory before the first is given out: as of a group's writes
_STEPS_BETWEEN_CHECKS: Final = 1_000_000  # of SQLite's machine: about 20 ms


class Read(msgspec.Struct, frozen=True):
    """Answered with one entry per key."""

    keys: Sequence[str]


class Call(msgspec.Struct, frozen=True):
    """Anything else; answered with what the function returns."""

    function: Callable[[sqlite3.Connection], Any]


class Executor:
    """Used by one thread at a time. A statement that takes longer than `timeout` is interrupted."""

    def __init__(
        self,
        options: Options,
        table: StateTable,
        clock: WaitingClock,
        *,
        busy_timeout: float,
        timeout: float,
        steps_between_checks: int = _STEPS_BETWEEN_CHECKS,
    ) -> None:
        self.connection = connect(options.database, clock, busy_timeout=min(busy_timeout, options.timeout))
        self._table = table
        self._clock = clock
        self._timeout = timeout
        self._deadline = clock.monotonic() + timeout
        self.connection.set_progress_handler(self._is_late, steps_between_checks)
        self.file: DatabaseFile | None = None  # looked at once the tables are there
        self._begin = options.database.begin
        self._patience = options.database.busy_timeout
        self._etags = new_etags()
        self.commits = 0
        self.read_seconds = 0.0  # how long the last read took

    def close(self) -> None:
        self.connection.close()

    def handle(self, works: Sequence[Read | Write | Call]) -> list[Any]:
        """All writes of the group are one commit, all reads one statement.

        An answer may be an exception, or LATER: ask again, once the others are given out.
        """
        now = self._clock.monotonic()
        self._deadline = now + self._timeout
        try:
            if self.file:
                self.file.check_since(now - _FILE_SECONDS, now)
        except StoreError as moved:
            return [NotDone(str(moved)) for _ in works]
        to_write = [work for work in works if isinstance(work, Write)]
        written = self._write(to_write)
        if len(to_write) == len(works):
            return written
        writes = iter(written)
        reads = iter(self._read([work for work in works if isinstance(work, Read)]))
        answers: list[Any] = []
        for work in works:
            if isinstance(work, Call):
                answers.append(self._call(work))
            else:
                answers.append(next(writes if isinstance(work, Write) else reads))
        return answers

    def read(self, keys: Sequence[str], octets: float = math.inf) -> Found:
        """One entry per key, as far as the values are so many octets. Raises SQLite's errors."""
        started = self._clock.monotonic()
        if self.file:
            self.file.check_since(started - _READ_FILE_SECONDS, started)
        self._deadline = started + self._timeout
        try:
            return self._table.read(self.connection, keys, octets)
        finally:
            self.read_seconds = self._clock.monotonic() - started

    def _write(self, works: Sequence[Write]) -> list[Outcomes]:
        if not works:
            return []
        units, lengths = units_of(works)
        outcomes = write_group(units, self._commit)
        try:
            if self.file:  # before anybody is told; what is in a log that is gone comes into the database at the end
                self.file.check_commit()
        except StoreError as moved:
            outcomes = [StoreError(str(moved)) for _ in outcomes]
        return shared_out(outcomes, lengths)

    def _commit(self, units: Sequence[Unit]) -> Outcomes:
        """Raises StoreError, which is a RefusedError where the file and its locks are not the reason."""
        try:
            return self._apply(units)
        except (sqlite3.Error, ValueError, OverflowError, MemoryError) as error:
            raise failures.of_commit(error) from error

    def _apply(self, units: Sequence[Unit]) -> Outcomes:
        guarded = {key for key in guarded_keys(units) if not refusal(key)}
        if not guarded:
            write_set = WriteSet({}, self._etags)
            outcomes = write_set.add_units(units, refusal, guarded=False)
            self._run(self._table.statements(write_set.changes()))
            return outcomes
        with self._transaction():
            write_set = WriteSet(self._table.etags(self.connection, guarded), self._etags)
            outcomes = write_set.add_units(units, refusal, guarded=True)
            self._execute(self._table.statements(write_set.changes()))
        return outcomes

    def _run(self, statements: Sequence[Statement]) -> None:
        if len(statements) > 1:
            with self._transaction():
                self._execute(statements)
        elif statements:  # a transaction of its own: fewer ways out of and back to the interpreter's lock
            patiently(partial(self._execute, statements), self._clock, self._patience)
            self.commits += 1

    def _execute(self, statements: Sequence[Statement]) -> None:
        for sql, parameters in statements:
            self.connection.execute(sql, parameters)

    @contextmanager
    def _transaction(self) -> Iterator[None]:
        begin = partial(self._execute, [(self._begin, [])])
        patiently(begin, self._clock, self._patience)
        try:
            yield
            self.connection.execute("COMMIT")
        finally:
            if self.connection.in_transaction:
                self.connection.execute("ROLLBACK")
        self.commits += 1

    def _read(self, works: Sequence[Read]) -> list[Any]:
        if not works:
            return []
        try:
            keys = [key for work in works for key in work.keys]
            entries: Found = patiently(partial(self.read, keys, READ_AT_ONCE), self._clock, self._patience)
            if rest := works[0].keys[len(entries) :]:  # one is always answered
                entries += patiently(partial(self.read, rest), self._clock, self._patience)
        except Exception as error:  # noqa: BLE001 - as in _call
            return [failures.store_error(error) for _ in works]
        if len(entries) == len(keys):
            return list(shared_out(entries, [len(work.keys) for work in works]))
        ends = accumulate(len(work.keys) for work in works)
        return [
            entries[end - len(work.keys) : end] if end <= len(entries) else LATER
            for work, end in zip(works, ends, strict=True)
        ]

    def _call(self, work: Call) -> Any:
        try:
            return work.function(self.connection)
        except Exception as error:  # noqa: BLE001 - it is nobody else's: the writes of the group are committed
            return failures.store_error(error)

    def _is_late(self) -> bool:
        return self._clock.monotonic() > self._deadline
