"""Whether the open database is still the one that its path leads to, and whole.

A file that was deleted or replaced stays open, and takes writes that nobody will find. It is not opened anew: a path
may also lead nowhere, or elsewhere, because a disk is not mounted. The store refuses until its own files are back, or
until it is opened again by a restart or a reload. One that was cut short is not written to again.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dapr_state.stores.base import StoreError
from dapr_state.stores.sqlite.log import Log

if TYPE_CHECKING:
    import sqlite3

    from dapr_state.stores.sqlite.log import State

_PATH = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"


class DatabaseFile:
    """The database file, and what WAL keeps beside it, as they are now that `connection` has used them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        (path,) = connection.execute(_PATH).fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        names = () if not path else (path, path + b"-wal", path + b"-shm") if mode == "wal" else (path,)
        self._files = [(name, _identity(_stat(name))) for name in names]
        # with exclusive locks there is no index, and nobody else who writes
        self._log = Log(path) if len(names) > 1 and all(identity for _, identity in self._files) else None
        self._last: tuple[State, int] | None = None  # what the index said, and the size of the database, then
        self._cut: bytes | None = None
        self._checked = 0.0

    def __repr__(self) -> str:
        return f"<DatabaseFile {', '.join(os.fsdecode(name) for name, _ in self._files) or 'in memory'}>"

    def close(self) -> None:
        """After the connections."""
        if self._log:
            self._log.close()

    def check_since(self, earliest: float, now: float) -> None:
        """As `check`, unless it was done at or after `earliest`."""
        if self._checked < earliest:
            self.check()
            self._checked = now

    def check(self) -> None:
        """Raise StoreError if one of them is not there any more, or is shorter than it was: some 3 us for each."""
        log = self._log
        before = log.state() if log else None
        database, *others = self._sizes(len(self._files))
        if not log or before is None:
            return
        cut = self._cut_at(before, database, others[0])
        # else others have written meanwhile, or emptied the log by a checkpoint: the next look tells
        if cut is not None and log.state() == before:
            self._refuse(cut)

    def check_commit(self) -> None:
        """As `check`, of what was written just now: whoever opens the database will find it."""
        log, (name, identity) = self._log, self._files[0]
        if self._cut or _identity(_stat(name)) != identity or (log and log.is_deleted):
            self._sizes(len(self._files))
        if log and not log.is_whole():
            self._refuse(1)

    def _sizes(self, count: int) -> list[int]:
        """How large the first so many are."""
        if self._cut:
            raise StoreError(
                f"the file {os.fsdecode(self._cut)} was cut short while the database is open:"
                " restart to use what is left of it"
            )
        sizes = []
        for name, identity in self._files[:count]:
            found = _stat(name)
            if _identity(found) != identity:
                raise StoreError(
                    f"the file {os.fsdecode(name)} was deleted or replaced while the database is open:"
                    " put it back, or restart to use what is there now"
                )
            sizes.append(found.st_size if found else 0)
        return sizes

    def _cut_at(self, state: State, database: int, log: int) -> int | None:
        """Which of the files is too short."""
        if log < state.octets:
            return 1
        if state.frames and state.copied == state.frames and database < state.pages * state.page:
            return 0
        if state.copied != state.begun:  # a checkpoint is at work, and may make it smaller after a VACUUM
            return None
        last, self._last = self._last, (state, database)
        is_as_it_was = last and (last[0].salt, last[0].begun) == (state.salt, state.begun)
        return 0 if last and is_as_it_was and database < last[1] else None

    def _refuse(self, index: int) -> None:
        self._cut = self._files[index][0]
        self._sizes(0)


def _stat(name: bytes) -> os.stat_result | None:
    try:
        return os.stat(name)  # noqa: PTH116 - a Path costs more than the call
    except OSError:
        return None


def _identity(found: os.stat_result | None) -> tuple[int, int] | None:
    return (found.st_dev, found.st_ino) if found else None
