"""SQLite's errors as daprd words them, and which of them are nobody's operation's fault."""

from __future__ import annotations

import sqlite3
from typing import Final

from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.sql.groups import RefusedError, UnfitError

_PRIMARY: Final = 0xFF  # the lower byte of an extended code

# the state of the disk, the file or a lock: the next operation of a group would fail in the same way
_OF_THE_FILE: Final = frozenset({
    sqlite3.SQLITE_BUSY,
    sqlite3.SQLITE_CANTOPEN,
    sqlite3.SQLITE_CORRUPT,
    sqlite3.SQLITE_FULL,
    sqlite3.SQLITE_INTERRUPT,
    sqlite3.SQLITE_IOERR,
    sqlite3.SQLITE_LOCKED,
    sqlite3.SQLITE_NOMEM,
    sqlite3.SQLITE_NOTADB,
    sqlite3.SQLITE_PROTOCOL,
    sqlite3.SQLITE_READONLY,
})  # fmt: skip

_OF_A_VALUE: Final = frozenset({sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_RANGE})
# the disk may have what it has not acknowledged
_IN_DOUBT: Final = frozenset({sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})


def is_of_the_file(error: Exception) -> bool:
    return _code(error) & _PRIMARY in _OF_THE_FILE


def is_lock(error: Exception) -> bool:
    """Another connection is at work: trying again may help."""
    return _code(error) & _PRIMARY in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}


def is_passing(error: Exception) -> bool:
    """A lock, or a statement that was given too little time."""
    return is_lock(error) or _code(error) & _PRIMARY == sqlite3.SQLITE_INTERRUPT


def describe(error: Exception) -> str:
    """`database is locked (5) (SQLITE_BUSY)`: SQLite's text and code, as daprd's driver joins them."""
    code = _code(error)
    if not code:
        return str(error)
    text = f"SQL logic error: {error}" if code == sqlite3.SQLITE_ERROR else str(error)
    return f"{text} ({code})" + (" (SQLITE_BUSY)" if code == sqlite3.SQLITE_BUSY else "")


def of_commit(error: Exception) -> StoreError:
    """Why a group is not committed; RefusedError where the file and its locks are not the reason."""
    text = describe(error)
    if not is_of_the_file(error):
        is_of_a_value = not isinstance(error, sqlite3.Error) or _code(error) & _PRIMARY in _OF_A_VALUE
        return (UnfitError if is_of_a_value else RefusedError)(text)
    return StoreError(text) if _code(error) & _PRIMARY in _IN_DOUBT else NotDone(text)


def store_error(error: Exception) -> StoreError:
    if isinstance(error, StoreError):
        return error
    return StoreError(describe(error) if isinstance(error, sqlite3.Error) else f"{type(error).__name__}: {error}")


def _code(error: Exception) -> int:
    code: int = getattr(error, "sqlite_errorcode", 0)  # absent when Python refused before SQLite was asked
    return code
