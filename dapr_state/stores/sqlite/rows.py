"""What a row of the state table looks like, and the statements that read and write many of them at once.

Each statement is one step of SQLite, whatever the number of rows it writes: a step lets go of the interpreter's
lock and has to win it back, which beside a busy event loop takes longer than the step. Statements come in a few
lengths, so that they stay prepared.
"""

from __future__ import annotations

import binascii
from typing import TYPE_CHECKING, Any, Final

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Row, Upsert

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from dapr_state.stores.sqlite.plan import Change

_LIVE: Final = "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)"
_COLUMNS: Final = "key, value, is_binary, etag, expiration_time, update_time"
_ROW: Final = "(?, ?, ?, ?, DATETIME(CURRENT_TIMESTAMP, ?), CURRENT_TIMESTAMP)"
_IN_PLACE: Final = " ON CONFLICT (key) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:]
)
_ROWS_AT_ONCE: Final = 64  # longer statements were no faster
_KEYS_AT_ONCE: Final = 1024  # SQLite takes 32,766 parameters; a prepared statement of this length takes some 200 kB

Statement = tuple[str, list[Any]]
Columns = tuple[str, str, int, str, str | None]


class Rows:
    """Reads and writes one table; the connection, and with it the transaction, is the caller's."""

    def __init__(self, table: str) -> None:
        # The name was checked to be an identifier, and SQL takes no parameter for one.
        columns = "CAST(value AS BLOB), is_binary, etag, CAST(strftime('%s', expiration_time) AS INTEGER)"
        self._select_one = f"SELECT {columns} FROM {table} WHERE {_LIVE} AND key = ?"  # noqa: S608
        # The rows come as they are asked for, of missing ones with NULLs: a left join goes through its left side in
        # order (see connection.py). Twice as fast as IN, which sorts the keys, and leaves finding them to Python.
        self._select = f"SELECT {columns} FROM (VALUES "  # noqa: S608
        self._join = f") LEFT JOIN {table} ON key = column1 AND {_LIVE}"
        self._select_etags = f"SELECT key, etag FROM {table} WHERE {_LIVE} AND key IN "  # noqa: S608
        self._delete = f"DELETE FROM {table} WHERE key IN "  # noqa: S608
        self._insert = f"INSERT INTO {table} ({_COLUMNS}) VALUES "  # noqa: S608
        self._first = f"SELECT 1 FROM {table} LIMIT 1"  # noqa: S608
        self._replace = f"REPLACE INTO {table} ({_COLUMNS}) VALUES "  # noqa: S608

    def read(self, connection: sqlite3.Connection, keys: Sequence[str]) -> list[Row | StoreError | None]:
        """One entry per key, in the order of `keys`."""
        try:
            return self._read(connection, keys)
        except UnicodeEncodeError:
            entries = iter(self._read(connection, [key for key in keys if not refusal(key)]))
            return [refusal(key) or next(entries) for key in keys]

    def _read(self, connection: sqlite3.Connection, keys: Sequence[str]) -> list[Row | StoreError | None]:
        if len(keys) == 1:
            return _decoded(connection.execute(self._select_one, (keys[0],)).fetchall()) or [None]
        entries: list[Row | StoreError | None] = []
        for some in _parts(keys):
            wanted, padding = ", ".join(["(?)"] * _length(len(some))), [None] * (_length(len(some)) - len(some))
            found = connection.execute(self._select + wanted + self._join, [*some, *padding]).fetchall()
            entries += _decoded(found[: len(some)])
        return entries

    def ping(self, connection: sqlite3.Connection) -> None:
        """Raise if the table cannot be read."""
        connection.execute(self._first).fetchall()

    def etags(self, connection: sqlite3.Connection, keys: Collection[str]) -> dict[str, str]:
        """The etags of those that are there and live."""
        found: dict[str, str] = {}
        for some in _parts(list(keys)):
            found.update(connection.execute(self._select_etags + _places(some), _padded(some)).fetchall())
        return found

    def statements(self, changes: Iterable[Change]) -> list[Statement]:
        """What carries out the changes of a plan. They are of different keys, so the order is for the new rows only."""
        gone: list[str] = []
        new: list[Columns] = []
        updated: list[Columns] = []
        for change in changes:
            if isinstance(change.operation, Delete):
                gone.append(change.operation.key)
            else:
                (updated if change.in_place else new).append(_columns(change.operation, change.etag))
        deletes = [(self._delete + _places(some), _padded(some)) for some in _parts(gone)]
        # a new row each, at the end of the table, as daprd's
        return [*deletes, *_inserts(self._replace, new), *_inserts(self._insert, updated, _IN_PLACE)]


def refusal(key: str) -> StoreError | None:
    """Why there can be no row with this key. A key that came as bytes may hold some that are no text."""
    if key.isascii():
        return None
    try:
        key.encode()
    except UnicodeEncodeError:
        return StoreError(f"the key is not valid UTF-8: {key!a}")
    return None


def _inserts(start: str, rows: list[Columns], end: str = "") -> Iterator[Statement]:
    at = 0
    while at < len(rows):
        length = min(_ROWS_AT_ONCE, 1 << (len(rows) - at).bit_length() - 1)
        yield start + ", ".join([_ROW] * length) + end, [value for row in rows[at : at + length] for value in row]
        at += length


def _parts(keys: Sequence[str]) -> Iterator[Sequence[str]]:
    for at in range(0, len(keys), _KEYS_AT_ONCE):
        yield keys[at : at + _KEYS_AT_ONCE]


def _places(keys: Sequence[str]) -> str:
    return f"(?{', ?' * (_length(len(keys)) - 1)})"


def _padded(keys: Sequence[str]) -> list[str]:
    return [*keys, *[keys[-1]] * (_length(len(keys)) - len(keys))]


def _length(least: int) -> int:
    """The next length that statements come in: four to each power of two."""
    step = 1 << max(0, (least - 1).bit_length() - 3)
    return -(-least // step) * step


def _columns(upsert: Upsert, etag: str) -> Columns:
    expiry = None if upsert.ttl is None else f"+{upsert.ttl} seconds"
    if upsert.is_json:
        try:
            return upsert.key, upsert.value.decode(), 0, etag, expiry
        except UnicodeDecodeError:
            pass  # the column holds text: such bytes can only be kept as the binary values are
    return upsert.key, binascii.b2a_base64(upsert.value, newline=False).decode(), 1, etag, expiry


def _decoded(found: Iterable[tuple[bytes | None, int, str, int | None]]) -> list[Row | StoreError | None]:
    entries: list[Row | StoreError | None] = []
    for value, is_binary, etag, expires_at in found:
        if value is None:
            entries.append(None)
        elif not is_binary:
            entries.append(Row(value, etag, expires_at))
        else:
            try:
                entries.append(Row(binascii.a2b_base64(value, strict_mode=True), etag, expires_at))
            except binascii.Error:
                entries.append(_decode_wrapped(value, etag, expires_at))
    return entries


def _decode_wrapped(value: bytes, etag: str, expires_at: int | None) -> Row | StoreError:
    """As daprd's decoder does, pass over line ends."""
    try:
        return Row(binascii.a2b_base64(value.translate(None, b"\r\n"), strict_mode=True), etag, expires_at)
    except binascii.Error as error:
        return StoreError(f"failed to decode binary data: {error}")
