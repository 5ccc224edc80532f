"""Whether the open database is still the one that its path leads to.

A file that was deleted or replaced stays open, and takes writes that nobody will find. It is not opened anew: a path
may also lead nowhere, or elsewhere, because a disk is not mounted. The store refuses until its own files are back, or
until it is opened again by a restart or a reload.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    import sqlite3

_PATH = "SELECT CAST(file AS BLOB) FROM pragma_database_list WHERE name = 'main'"


class DatabaseFile:
    """The database file, and what WAL keeps beside it, as they are now that `connection` has used them."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        (path,) = connection.execute(_PATH).fetchone()
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        names = () if not path else (path, path + b"-wal", path + b"-shm") if mode == "wal" else (path,)
        self._files = [(name, _identity(name)) for name in names]
        self._checked = 0.0

    def __repr__(self) -> str:
        return f"<DatabaseFile {', '.join(os.fsdecode(name) for name, _ in self._files) or 'in memory'}>"

    def check_since(self, earliest: float, now: float) -> None:
        """As `check`, unless it was done at or after `earliest`."""
        if self._checked < earliest:
            self.check()
            self._checked = now

    def check(self, at_most: int | None = None) -> None:
        """Raise StoreError if one of the first so many of them is not there any more: some 3 us for each."""
        for name, identity in self._files[:at_most]:
            if _identity(name) != identity:
                raise StoreError(
                    f"the file {os.fsdecode(name)} was deleted or replaced while the database is open:"
                    " put it back, or restart to use what is there now"
                )


def _identity(name: bytes) -> tuple[int, int] | None:
    try:
        found = os.stat(name)  # noqa: PTH116 - a Path costs more than the call
    except OSError:
        return None
    return found.st_dev, found.st_ino
