"""What a row of the state table looks like, and the statements that read and write many of them at once.

Each statement is one step of SQLite, whatever the number of rows it writes: a step lets go of the interpreter's
lock and has to win it back, which beside a busy event loop takes longer than the step. Statements come in a few
lengths, so that they stay prepared.
"""

from __future__ import annotations

import binascii
import math
import sqlite3
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, cast

import msgspec

from dapr_state.clock import WAITING
from dapr_state.stores import paging
from dapr_state.stores.base import Count, Entry, EtagMismatch, Found, KeyPage, KeyRow, Page, StoreError, Unfit
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.slices import slices
from dapr_state.stores.sql.keys import refusal

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from dapr_state.stores.sql.writeset import Change

_LIVE: Final = "(expiration_time IS NULL OR expiration_time > CURRENT_TIMESTAMP)"
_EXPIRY: Final = "CAST(strftime('%s', expiration_time) AS INTEGER)"
# The fields of a value. msgspec decodes the text of base64 where it shall make bytes of it: a fourth of binascii's;
# JSON comes as the bytes that it will be.
_FIELDS: Final = (
    f"CASE WHEN is_binary THEN CAST(value AS TEXT) ELSE CAST(value AS BLOB) END, CAST(etag AS TEXT), {_EXPIRY}"
)
_UNDECODED: Final = f"CAST(value AS BLOB), is_binary, CAST(etag AS BLOB), {_EXPIRY}"
_COLUMNS: Final = "key, value, is_binary, etag, expiration_time, update_time"
_ROW: Final = "(?, ?, ?, ?, DATETIME(CURRENT_TIMESTAMP, ?), CURRENT_TIMESTAMP)"
_IN_PLACE: Final = " ON CONFLICT (key) DO UPDATE SET " + ", ".join(
    f"{column} = excluded.{column}" for column in _COLUMNS.split(", ")[1:]
)
# What a value is as callers see it: binary ones are kept in base64. In a row of text length() would count characters.
_SIZE: Final = (
    "CASE WHEN is_binary THEN length(CAST(value AS BLOB)) / 4 * 3 - (substr(value, -1) = '=') "
    "- (substr(value, -2, 1) = '=') ELSE length(CAST(value AS BLOB)) END"
)
_PAGE_SECONDS: Final = 0.02  # of the reader's time: values that are megabytes are slow to measure
_COUNTED_AT_ONCE: Final = 2000  # keys: 0.3 ms, or 40 where the rows stand scattered
_ROWS_IN_FILE: Final = 50_000  # that are read in its order: 10 ms
_FIRST_ROWID: Final = -(1 << 63)
_ROWS_AT_ONCE: Final = 64  # longer statements were no faster
OCTETS_AT_ONCE: Final = 1 << 18  # of values that are decoded or bound in one go: half a millisecond
_KEYS_AT_ONCE: Final = 1024  # SQLite takes 32,766 parameters; a prepared statement of this length takes some 200 kB

_FOUND: Final = cast("type[list[StoredValue | StoreError | None]]", list[StoredValue | None])

_monotonic = WAITING.monotonic

Statement = tuple[str, list[Any]]
Columns = tuple[str, str, int, str, str | None]


class StateTable:
    """Reads and writes one table; the connection, and with it the transaction, is the caller's."""

    def __init__(self, table: str) -> None:
        # The name was checked to be an identifier, and SQL takes no parameter for one.
        self._select_one = f"SELECT {_FIELDS} FROM {table} WHERE {_LIVE} AND key = ?"  # noqa: S608
        # The rows come as they are asked for, of missing ones with NULLs: a left join goes through its left side in
        # order (see connection.py). Twice as fast as IN, which sorts the keys, and leaves finding them to Python.
        self._join = f") LEFT JOIN {table} ON key = column1 AND {_LIVE}"
        self._select_etags = f"SELECT key, CAST(etag AS BLOB) FROM {table} WHERE {_LIVE} AND key IN "  # noqa: S608
        self._delete = f"DELETE FROM {table} WHERE key IN "  # noqa: S608
        self._insert = f"INSERT INTO {table} ({_COLUMNS}) VALUES "  # noqa: S608
        # a range of the primary key's index, without its first key or with it
        self._pages = [
            f"SELECT CAST(key AS BLOB), {_UNDECODED} FROM {table} WHERE {_LIVE} "  # noqa: S608
            f"AND key {least} CAST(? AS TEXT) AND key < ? ORDER BY key LIMIT ?"
            for least in (">", ">=")
        ]
        self._table = table
        self._touch = (
            f"UPDATE {table} SET expiration_time = DATETIME(CURRENT_TIMESTAMP, ?) "  # noqa: S608
            f"WHERE key = ? AND {_LIVE} AND (? = '' OR CAST(etag AS TEXT) = ?)"
        )
        self._first = f"SELECT 1 FROM {table} LIMIT 1"  # noqa: S608
        self._expire = f"DELETE FROM {table} WHERE key >= ? AND key < ? AND NOT {_LIVE}"  # noqa: S608
        self._replace = f"REPLACE INTO {table} ({_COLUMNS}) VALUES "  # noqa: S608

    def read(self, connection: sqlite3.Connection, keys: Sequence[str], octets: float = math.inf) -> Found:
        """One entry per key, in the order of `keys`, as far as the values are so many octets: the last may be more."""
        try:
            if len(keys) == 1:
                one = connection.execute(self._select_one, keys).fetchone()
                return [one and msgspec.convert(one, StoredValue)]  # of a union, msgspec would have to think each time
            # some at a time: while it converts, msgspec lets no other thread go on
            found: Found = []
            for some in self._find(connection, _FIELDS, keys, octets):
                found += msgspec.convert(some, _FOUND)
        except UnicodeEncodeError:
            return self._read_those_that_are_text(connection, keys, octets)
        except (msgspec.ValidationError, sqlite3.OperationalError) as error:
            if hasattr(error, "sqlite_errorcode"):  # else it is a value that could not be decoded
                raise
        else:
            return found
        undecoded = self._find(connection, _UNDECODED, keys, octets)
        return [None if row is None else _decoded(*row) for some in undecoded for row in some]

    def _read_those_that_are_text(self, connection: sqlite3.Connection, keys: Sequence[str], octets: float) -> Found:
        entries = iter(self.read(connection, [key for key in keys if not refusal(key)], octets))
        found: Found = []
        with suppress(StopIteration):  # the rest was too many octets
            for key in keys:
                found.append(refusal(key) or next(entries))
        return found

    def _find(
        self, connection: sqlite3.Connection, columns: str, keys: Sequence[str], octets: float
    ) -> Iterator[list[tuple[Any, ...] | None]]:
        """One row per key, None for a missing one, in lists whose values are not too many octets together."""
        for some in slices(keys, _KEYS_AT_ONCE):
            length = _length(len(some))
            sql = f"SELECT {columns} FROM (VALUES {', '.join(['(?)'] * length)}{self._join}"  # noqa: S608
            cursor = connection.execute(sql, [*some, *[None] * (length - len(some))])
            try:
                found: list[tuple[Any, ...] | None] = []
                held = 0
                for row in islice(cursor, len(some)):
                    value = row[0]
                    if value is None:
                        found.append(None)
                        continue
                    found.append(row)
                    held += len(value)
                    if held > OCTETS_AT_ONCE:
                        yield found
                        octets -= held
                        if octets <= 0:
                            return
                        found, held = [], 0
                octets -= held
                yield found
            finally:
                cursor.close()

    def page(self, prefix: str, behind: bytes | None, size: int, connection: sqlite3.Connection) -> Page:
        """The first live rows that begin with `prefix`, or those behind a key among them."""
        if refused := refusal(prefix):
            raise refused
        least = prefix.encode() if behind is None else behind
        end = paging.end_of(prefix) or b""  # an octet string stands behind every text
        entries: list[Entry] = []
        seen = octets = 0
        last = b""
        for key, *columns in connection.execute(self._pages[behind is None], (least, end, size + 1)):
            octets += len(columns[0])
            if seen == size or (seen and octets > paging.OCTETS_AT_MOST):
                return Page(entries, paging.token(last))
            seen, last = seen + 1, key
            with suppress(UnicodeDecodeError):  # a key that is no text can be asked for by nobody
                entries.append(Entry(key.decode(), _decoded(*columns)))
        return Page(entries)

    def keys(
        self, wanted: paging.Range, size: int, reverse: bool, sizes: bool, connection: sqlite3.Connection
    ) -> KeyPage:
        """The first live rows of a range, from either end, without their values."""
        rows: list[KeyRow] = []
        seen = 0
        until, last = _monotonic() + _PAGE_SECONDS, b""
        sql, parameters = self._range(
            f"CAST(key AS BLOB), CAST(etag AS BLOB), {_EXPIRY}, {_SIZE if sizes else 'NULL'}", wanted
        )
        sql += f" ORDER BY key {'DESC' if reverse else 'ASC'} LIMIT ?"
        of_keys = 0
        for key, etag, expires_at, octets in connection.execute(sql, [*parameters, size + 1]):
            of_keys += len(key)
            if seen == size or (seen and (of_keys > paging.OCTETS_AT_MOST or _monotonic() > until)):
                return KeyPage(rows, paging.token(last))
            seen, last = seen + 1, key
            with suppress(UnicodeDecodeError):  # as in `page`
                rows.append(KeyRow(key.decode(), _text(etag), expires_at, octets))
        return KeyPage(rows)

    def count(
        self, prefix: str, wanted: paging.Range, hidden: str, sizes: bool, connection: sqlite3.Connection
    ) -> Count:
        """A step of counting the live rows of a range, but for those that are hidden.

        The index has keys alone, and to look a row up is to read a page: where there are more keys than the file has
        pages, it is the file that is read, which is ten times as fast.
        """
        if wanted.with_low and self._are_many(wanted, connection):
            return self.count_in_file(prefix, wanted, _FIRST_ROWID, hidden, sizes, connection)
        kept, total, asked = _counted(prefix, hidden, sizes)
        sql, parameters = self._range(f"key{f', {_SIZE} AS size' if sizes else ''}", wanted)
        among = f"({sql} ORDER BY key LIMIT {_COUNTED_AT_ONCE})"
        sql = f"SELECT count(*), CAST(max(key) AS BLOB), count(*) FILTER (WHERE {kept}), {total} FROM {among}"  # noqa: S608
        seen, last, keys, octets = connection.execute(sql, [*asked, *parameters]).fetchone()
        return Count(keys, int(octets), paging.token(last) if seen == _COUNTED_AT_ONCE else "")

    def count_in_file(  # noqa: PLR0917  as of `count`, and a row behind which it goes on
        self,
        prefix: str,
        wanted: paging.Range,
        behind: int,
        hidden: str,
        sizes: bool,
        connection: sqlite3.Connection,
    ) -> Count:
        """As `count`, in the order of the file: a key that is written anew meanwhile may be met twice."""
        kept, total, asked = _counted(prefix, hidden, sizes)
        ends, parameters = _ends(wanted)
        some = f"SELECT rowid AS row FROM {self._table} WHERE rowid > ? ORDER BY rowid LIMIT {_ROWS_IN_FILE}"  # noqa: S608
        seen, last = connection.execute(f"SELECT count(*), max(row) FROM ({some})", [behind]).fetchone()  # noqa: S608
        rows = (
            f"SELECT key{f', {_SIZE} AS size' if sizes else ''} FROM {self._table} NOT INDEXED "  # noqa: S608
            f"WHERE rowid > ? AND rowid <= ? AND {_LIVE} AND {ends}"
        )
        sql = f"SELECT count(*) FILTER (WHERE {kept}), {total} FROM ({rows})"  # noqa: S608
        keys, octets = connection.execute(sql, [*asked, behind, last, *parameters]).fetchone()
        return Count(keys, int(octets), paging.row_token(last, prefix) if seen == _ROWS_IN_FILE else "")

    def _are_many(self, wanted: paging.Range, connection: sqlite3.Connection) -> bool:
        """Whether a range has more keys than the file has pages."""
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        pages = max(pages, _COUNTED_AT_ONCE)
        ends, parameters = _ends(wanted)
        sql = f"SELECT count(*) FROM (SELECT 1 FROM {self._table} WHERE {ends} LIMIT ?)"  # noqa: S608
        (keys,) = connection.execute(sql, [*parameters, pages]).fetchone()
        return bool(keys == pages)

    def _range(self, columns: str, wanted: paging.Range) -> Statement:
        ends, parameters = _ends(wanted)
        return f"SELECT {columns} FROM {self._table} WHERE {_LIVE} AND {ends}", parameters  # noqa: S608

    def touch(self, key: str, ttl: int | None, etag: str, connection: sqlite3.Connection) -> None:
        """Another time to live, if the row is there and has this etag: one statement, as others may write the file."""
        if refused := refusal(key):
            raise refused
        expiry = None if ttl is None else f"+{ttl} seconds"
        if connection.execute(self._touch, [expiry, key, etag, etag]).rowcount:
            return
        found = self.etags(connection, [key]).get(key)
        raise EtagMismatch.missing(key) if found is None else EtagMismatch.stale(key, found, etag)

    def ping(self, connection: sqlite3.Connection) -> None:
        """Raise if the table cannot be read."""
        connection.execute(self._first).fetchall()

    def expire(self, prefix: str, connection: sqlite3.Connection) -> int:
        """Remove the rows that begin with `prefix` and live no longer; how many."""
        return connection.execute(self._expire, (prefix, paging.end_of(prefix) or b"")).rowcount

    def etags(self, connection: sqlite3.Connection, keys: Collection[str]) -> dict[str, str]:
        """The etags of those that are there and live."""
        found: dict[str, str] = {}
        for some in slices(list(keys), _KEYS_AT_ONCE):
            for key, etag in connection.execute(self._select_etags + _places(some), _padded(some)):
                found[key] = _text(etag)
        return found

    def statements(self, changes: Iterable[Change]) -> list[Statement]:
        """What carries out a write set. Its changes are of different keys, so the order is for the new rows only."""
        gone: list[str] = []
        new: list[Columns] = []
        updated: list[Columns] = []
        for change in changes:
            if isinstance(change.operation, Delete):
                gone.append(change.operation.key)
            else:
                (updated if change.in_place else new).append(_columns(change.operation, change.etag))
        found: list[Statement] = []
        if gone:
            found += [(self._delete + _places(some), _padded(some)) for some in slices(gone, _KEYS_AT_ONCE)]
        if new:  # a new row each, at the end of the table, as daprd's
            found += _inserts(self._replace, new)
        if updated:
            found += _inserts(self._insert, updated, _IN_PLACE)
        return found


def _counted(prefix: str, hidden: str, sizes: bool) -> tuple[str, str, list[Any]]:
    """Which rows count, what their sizes come to, and the parameters of both."""
    if not hidden:
        return "TRUE", "total(size)" if sizes else "0", []
    kept = "instr(substr(key, ?), ?) = 0"
    asked = [len(prefix) + 1, hidden]
    return kept, f"total(size) FILTER (WHERE {kept})" if sizes else "0", asked * (2 if sizes else 1)


def _ends(wanted: paging.Range) -> Statement:
    """The condition that a key is of a range."""
    end = "" if wanted.high is None else " AND key < CAST(? AS TEXT)"
    least = f"key {'>=' if wanted.with_low else '>'} CAST(? AS TEXT)"
    return f"{least}{end}", [wanted.low, *([] if wanted.high is None else [wanted.high])]


def _inserts(start: str, rows: list[Columns], end: str = "") -> Iterator[Statement]:
    if len(rows) == 1:
        yield start + _ROW + end, [*rows[0]]
        return
    # binding copies the values, and lets no other thread go on meanwhile
    longest = max(len(row[1]) for row in rows)
    at_once = max(1, min(_ROWS_AT_ONCE, OCTETS_AT_ONCE // (longest + 1)))
    at = 0
    while at < len(rows):
        length = min(1 << at_once.bit_length() - 1, 1 << (len(rows) - at).bit_length() - 1)
        yield start + ", ".join([_ROW] * length) + end, [value for row in rows[at : at + length] for value in row]
        at += length


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


def _text(etag: bytes | None) -> str:
    """An etag that another program wrote may be any octets, or none."""
    return (etag or b"").decode(errors="replace")


def _decoded(value: bytes, is_binary: int, etag: bytes | None, expires_at: int | None) -> StoredValue | StoreError:
    """What the columns hold, decoded as daprd's decoder does: it passes over line ends."""
    if not is_binary:
        return StoredValue(value, _text(etag), expires_at)
    with suppress(UnicodeDecodeError, msgspec.ValidationError):  # what we write, in a fourth of the time
        return StoredValue(msgspec.convert(value.decode("ascii"), bytes), _text(etag), expires_at)
    try:
        return StoredValue(
            binascii.a2b_base64(value.translate(None, b"\r\n"), strict_mode=True), _text(etag), expires_at
        )
    except binascii.Error as error:
        return Unfit(f"failed to decode binary data: {error}")
