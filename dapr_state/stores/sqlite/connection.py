"""How a connection to the database is made."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final, TypeVar

from dapr_state.stores.sqlite import failures

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.clock import VisibleClock, WaitingClock
    from dapr_state.stores.sqlite.options import Database

_STATEMENTS_KEPT: Final = 96  # prepared ones: a few kinds, each in four lengths to a power of two
_SECOND: Final = 1_000_000_000
_RETRY_SECONDS: Final = 0.005  # between two attempts on a file that another holds

T = TypeVar("T")


def connect(database: Database, clock: WaitingClock, *, busy_timeout: float) -> sqlite3.Connection:
    """Open a connection that any one thread at a time may use; each statement commits unless a BEGIN was said."""
    connection = sqlite3.connect(
        database.uri,
        uri=True,
        timeout=busy_timeout,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=_STATEMENTS_KEPT,
    )
    try:
        # the second one: statements.py counts on the order of what it asks for
        set_up = (*database.pragmas, "reverse_unordered_selects(OFF)", f"journal_mode({database.journal_mode})")
        for pragma in set_up:
            # changing the journal of a file that others have open does not wait for the busy timeout
            patiently(lambda pragma=pragma: _set(connection, pragma), clock, database.busy_timeout)  # type: ignore[misc]
    except BaseException:
        connection.close()
        raise
    return connection


def follow(connection: sqlite3.Connection, clock: VisibleClock) -> None:
    """Have SQL's CURRENT_TIMESTAMP tell this clock's time: the word calls the function, also in a column's default."""

    def current_timestamp() -> str:
        return datetime.fromtimestamp(clock.nanoseconds() // _SECOND, UTC).strftime("%Y-%m-%d %H:%M:%S")

    connection.create_function("current_timestamp", 0, current_timestamp)


def _set(connection: sqlite3.Connection, pragma: str) -> None:
    connection.execute(f"PRAGMA {pragma}").fetchall()


def patiently(attempt: Callable[[], T], clock: WaitingClock, seconds: float) -> T:
    """Try again for so long while another connection holds a lock that SQLite itself does not wait for."""
    deadline = clock.monotonic() + seconds
    while True:
        try:
            return attempt()
        except sqlite3.OperationalError as error:
            if not failures.is_lock(error) or clock.monotonic() >= deadline:
                raise
        clock.block(_RETRY_SECONDS)
