"""One connection at work: a group of requests comes in, one answer for each goes out."""

from __future__ import annotations

import math
import sqlite3
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec

from dapr_state.stores.base import Found, StoreError
from dapr_state.stores.sqlite import failures
from dapr_state.stores.sqlite.connection import connect, patiently
from dapr_state.stores.sqlite.writer import Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from dapr_state.clock import Clock
    from dapr_state.stores.model import Operation, Row
    from dapr_state.stores.sqlite.file import DatabaseFile
    from dapr_state.stores.sqlite.options import Options
    from dapr_state.stores.sqlite.statements import StateTable

T = TypeVar("T")

_FILE_SECONDS: Final = 0.005  # a group does not look again for the file that the one before has just seen
_READ_FILE_SECONDS: Final = 0.1  # reads may show for so long what is in a file that is gone
_STEPS_BETWEEN_LOOKS: Final = 1_000_000  # of SQLite's machine: about 20 ms


class Read(msgspec.Struct, frozen=True):
    """Answered with one entry per key."""

    keys: Sequence[str]


class Write(msgspec.Struct, frozen=True):
    """Answered with one outcome per unit; see Writer.write."""

    operations: Sequence[Operation]
    is_transaction: bool = False

    @property
    def units(self) -> Iterable[Sequence[Operation]]:
        return (self.operations,) if self.is_transaction else [(operation,) for operation in self.operations]

    def __len__(self) -> int:
        return 1 if self.is_transaction else len(self.operations)


class Call(msgspec.Struct, frozen=True):
    """Anything else; answered with what the function returns."""

    function: Callable[[sqlite3.Connection], Any]


class Session:
    """Used by one thread at a time. A statement that takes longer than `timeout` is interrupted."""

    def __init__(
        self,
        options: Options,
        table: StateTable,
        clock: Clock,
        *,
        busy_timeout: float,
        timeout: float,
        steps_between_looks: int = _STEPS_BETWEEN_LOOKS,
    ) -> None:
        self.connection = connect(options.database, clock, busy_timeout=min(busy_timeout, options.timeout))
        self._table = table
        self._clock = clock
        self._timeout = timeout
        self._deadline = clock.monotonic() + timeout
        self.connection.set_progress_handler(self._is_late, steps_between_looks)
        self.file: DatabaseFile | None = None  # looked at once the tables are there
        self.writer = Writer(self.connection, table, options.database, clock)
        self._patience = options.database.busy_timeout
        self.read_seconds = 0.0  # how long the last read took

    def close(self) -> None:
        self.connection.close()

    def handle(self, works: Sequence[Read | Write | Call]) -> list[Any]:
        """All writes of the group are one commit, all reads one statement. An answer may be an exception."""
        now = self._clock.monotonic()
        self._deadline = now + self._timeout
        try:
            if self.file:
                self.file.check_since(now - _FILE_SECONDS, now)
        except StoreError as moved:
            return [StoreError(str(moved)) for _ in works]
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
        """One entry per key; raises SQLite's errors, and LargeError for values of more than so many octets."""
        started = self._clock.monotonic()
        if self.file:
            self.file.check_since(started - _READ_FILE_SECONDS, started)
        self._deadline = started + self._timeout
        try:
            return self._table.read(self.connection, keys, octets)
        finally:
            self.read_seconds = self._clock.monotonic() - started

    def _write(self, works: Sequence[Write]) -> list[list[StoreError | None]]:
        if not works:
            return []
        outcomes = self.writer.write([unit for work in works for unit in work.units])
        try:
            if self.file:  # before anybody is told; what is in a log that is gone comes into the database at the end
                self.file.check(1)
        except StoreError as moved:
            outcomes = [StoreError(str(moved)) for _ in outcomes]
        return _shared_out(outcomes, [len(work) for work in works])

    def _read(self, works: Sequence[Read]) -> list[list[Row | StoreError | None] | StoreError]:
        if not works:
            return []
        try:
            keys = [key for work in works for key in work.keys]
            entries: Found = patiently(partial(self.read, keys), self._clock, self._patience)
        except (sqlite3.Error, StoreError) as error:
            return [failures.store_error(error) for _ in works]
        return list(_shared_out(entries, [len(work.keys) for work in works]))

    def _call(self, work: Call) -> Any:
        try:
            return work.function(self.connection)
        except (sqlite3.Error, StoreError) as error:
            return failures.store_error(error)

    def _is_late(self) -> bool:
        return self._clock.monotonic() > self._deadline


def _shared_out(entries: list[T], lengths: Sequence[int]) -> list[list[T]]:
    """Consecutive parts of these lengths."""
    ends = list(accumulate(lengths))
    return [entries[end - length : end] for end, length in zip(ends, lengths, strict=True)]
