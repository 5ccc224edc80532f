"""PostgreSQL's errors as daprd words them, and what each of them means for those who wait."""

from __future__ import annotations

import ssl
from typing import Final

import asyncpg

from dapr_state.stores.base import NotDone, StoreError
from dapr_state.stores.sql.groups import RefusedError, UnfitError

DRIVER: Final = (asyncpg.PostgresError, asyncpg.InterfaceError, asyncpg.InternalClientError, OSError, ssl.SSLError)

_UNSENT: Final = (asyncpg.InterfaceError, asyncpg.InternalClientError)  # the driver looks before it sends

LOCKED: Final = "55P03"  # a lock that was not to be had in time
LATE: Final = (LOCKED, "57014")  # the same where the statement's own time was over at the same moment
_LOST: Final = ("08", "57P")  # a failure of the connection, or an administrator who ended it
_READ_ONLY: Final = "25006"
# the first halves of codes whose cause is the server's state: the next operation of a group would fail in the same way
_OF_THE_SERVER: Final = ("08", "25", "28", "53", "57", "58", "XX", "F0")
_OF_A_VALUE: Final = ("22", "54")  # what a type cannot hold, and what is too long
_AGAIN: Final = ("40P01", "40001")  # a deadlock, or a conflict of serializable transactions: it was undone as a whole


_OF_JSON: Final = ("22021", "22P02", "22P05", "22003", "54001", "54000")  # no text, no JSON, NUL, number, depth, size


class ConnectionLost(StoreError):
    """What was asked last may have happened or not."""


class NotSent(NotDone):
    """The connection was lost before anything was asked on it."""


def code(error: BaseException) -> str:
    return getattr(error, "sqlstate", None) or ""


def may_pass(error: Exception) -> bool:
    """Nothing has happened, and the same may succeed now."""
    return code(error) in _AGAIN


def is_of_json(error: BaseException) -> bool:
    """A value may be what jsonb cannot hold."""
    return code(error) in _OF_JSON


def leaves_no_connection(error: BaseException) -> bool:
    """The connection is of no use any more: it broke, or it ends at a server that is no primary any more."""
    return not isinstance(error, asyncpg.PostgresError) or code(error).startswith(_LOST) or code(error) == _READ_ONLY


def describe(error: Exception) -> str:
    """`ERROR: relation "state" does not exist (SQLSTATE 42P01)`, as daprd's driver writes it."""
    if isinstance(error, asyncpg.PostgresError) and (message := getattr(error, "message", None)):
        return f"{getattr(error, 'severity', None) or 'ERROR'}: {message} (SQLSTATE {code(error)})"
    if isinstance(error, asyncpg.DataError):  # its text holds the argument
        return "the driver cannot send what was asked"
    return str(error) or type(error).__name__


def store_error(error: Exception) -> StoreError:
    """What those are told who wait: RefusedError if a part of a group may be the cause."""
    if isinstance(error, StoreError):
        return error
    if isinstance(error, _UNSENT):
        return NotSent("the server has closed the connection")
    if not isinstance(error, asyncpg.PostgresError) or code(error).startswith(_LOST):
        return ConnectionLost(describe(error))
    if code(error) == LOCKED or not code(error).startswith(_OF_THE_SERVER):
        return (UnfitError if code(error).startswith(_OF_A_VALUE) else RefusedError)(describe(error))
    return NotDone(describe(error))  # it was undone as a whole
