"""Whether a database could be opened, asked without a trace: no file is made, and none beside one that is there."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dapr_state.stores.base import StoreError
from dapr_state.stores.sqlite import failures

if TYPE_CHECKING:
    from dapr_state.stores.sqlite.options import Database


def look(database: Database) -> None:
    """Raises StoreError where it could not be opened, or where there is no place to make it."""
    if database.in_memory:
        return
    file = Path(unquote(urlsplit(database.uri).path))
    if not file.exists():
        _check_place(file.parent)
        return
    # to read a log beside the file takes writing a third one; without a log the file alone is read
    log = file.with_name(file.name + "-wal")
    mode = "mode=ro" if log.exists() else "mode=ro&immutable=1"
    try:
        connection = sqlite3.connect(
            f"file:{urlsplit(database.uri).path}?{mode}", uri=True, timeout=database.busy_timeout
        )
        try:
            connection.execute("SELECT count(*) FROM sqlite_master").fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        raise StoreError(f"failed to ping: {failures.describe(error)}") from error
    if not os.access(file, os.W_OK):
        raise StoreError("failed to ping: the file may not be written")


def _check_place(folder: Path) -> None:
    if not folder.is_dir():
        raise StoreError("failed to ping: there is no such folder for the file")
    if not os.access(folder, os.W_OK):
        raise StoreError("failed to ping: the file is not there, and its folder may not be written")
