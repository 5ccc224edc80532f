"""What a row of the state table looks like in either version, and the statements that read and write many at once.

A group of writes is one statement, which the server carries out as a whole or not at all. It is given the versions by
which the group was judged, takes locks on those rows, and does nothing if one of them is another: then it answers with
the versions that there are. So no lock is ever held while a client thinks.
"""

from __future__ import annotations

import binascii
import uuid
from itertools import repeat
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from dapr_state.golang import strconv
from dapr_state.stores.base import EtagInvalid, StoreError, Unfit, conflict
from dapr_state.stores.etags import new_etags
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.stores.sql import keys

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from dapr_state.stores.model import Operation
    from dapr_state.stores.sql.writeset import Change

_XID_BITS: Final = 32
_UUID_LENGTHS: Final = (32, 36, 38, 45)  # without dashes; with them; in braces; behind urn:uuid:


class Layout(msgspec.Struct, frozen=True):
    """Where the two versions of the table differ."""

    value: str  # the column as octets
    raw_value: str  # as the column holds it, for rows that `value` cannot make octets of
    etag: str
    expiry: str
    columns: str  # that a write sets, in the order of `new`
    new: str
    updated: str  # when
    size: str  # of the value as callers see it
    keeps_etag: bool  # where a row gets another time to live
    live: str
    expired: str
    new_etags: Callable[[], Iterator[str]]
    judge: Callable[[Operation, str | None], StoreError | None]
    canonical: Callable[[str], str]  # an etag as the server writes it


def refusal(key: str) -> StoreError | None:
    """Why there can be no row with this key: text in PostgreSQL holds no NUL."""
    if "\0" in key:
        return Unfit(f"PostgreSQL keeps no key with a NUL: {key!a}")
    return keys.refusal(key)


def _canonical_xmin(etag: str) -> str:
    try:
        return str(strconv.parse_uint(etag, bits=_XID_BITS))
    except ValueError:
        return etag


def _judge_xmin(operation: Operation, current: str | None) -> StoreError | None:
    if operation.etag:
        try:
            strconv.parse_uint(operation.etag, bits=_XID_BITS)
        except ValueError as error:
            return EtagInvalid(str(error))
    return _judge(operation, current, _canonical_xmin)


def _canonical_uuid(etag: str) -> str:
    """As daprd reads a UUID: in any case, with or without dashes, in braces or behind `urn:uuid:`."""
    if len(etag) not in _UUID_LENGTHS:
        return etag
    try:
        return str(uuid.UUID(etag))
    except ValueError:
        return etag


def _judge_uuid(operation: Operation, current: str | None) -> StoreError | None:
    return _judge(operation, current, _canonical_uuid)


def _judge(operation: Operation, current: str | None, canonical: Callable[[str], str]) -> StoreError | None:
    if operation.etag and canonical(operation.etag) == current:
        return None
    return conflict(operation, current)


V1: Final = Layout(
    value="CASE WHEN isbinary THEN decode(value #>> '{}', 'base64') ELSE convert_to(value::text, 'UTF8') END",
    raw_value="convert_to(value::text, 'UTF8')",
    etag="xmin::text",
    expiry="expiredate",
    columns="key, value, isbinary, expiredate",
    new=(
        "key, CASE WHEN isbinary THEN to_jsonb(translate(encode(value, 'base64'), E'\\n', '')) "
        "ELSE convert_from(value, 'UTF8')::jsonb END, isbinary, expiry"
    ),
    updated="updatedate",
    size=("CASE WHEN isbinary THEN octet_length(decode(value #>> '{}', 'base64')) ELSE octet_length(value::text) END"),
    keeps_etag=False,  # the row's version is the transaction that has written it
    live="(expiredate IS NULL OR expiredate >= CURRENT_TIMESTAMP)",
    expired="expiredate < CURRENT_TIMESTAMP",
    new_etags=lambda: repeat("new"),  # the server makes it, as it writes the row
    judge=_judge_xmin,
    canonical=_canonical_xmin,
)
V2: Final = Layout(
    value="value",
    raw_value="value",
    etag="etag::text",
    expiry="expires_at",
    columns="key, value, etag, expires_at",
    new="key, value, etag::uuid, expiry",
    updated="updated_at",
    size="octet_length(value)",
    keeps_etag=True,
    live="(expires_at IS NULL OR expires_at >= CURRENT_TIMESTAMP)",
    expired="expires_at < CURRENT_TIMESTAMP",
    new_etags=new_etags,
    judge=_judge_uuid,
    canonical=_canonical_uuid,
)

_ROWS: Final = (
    "(SELECT key, value, isbinary, etag, CURRENT_TIMESTAMP + ttl * INTERVAL '1 second' AS expiry FROM "
    "unnest(${}::text[], ${}::bytea[], ${}::bool[], ${}::text[], ${}::int8[]) AS n(key, value, isbinary, etag, ttl)) "
    "AS new"
)


class StateTable:
    """The statements for one table. Its name is the component's, verbatim, as in daprd."""

    def __init__(self, table: str, layout: Layout) -> None:
        self.layout = layout
        live, expiry = layout.live, f"extract(epoch FROM {layout.expiry})::float8"
        fields = f"{layout.value}, {layout.etag}, {expiry}"
        raw = f"{layout.raw_value}, {layout.etag}, {expiry}"
        self.ping = f"SELECT 1 FROM {table} LIMIT 1"  # noqa: S608
        self.read = f"SELECT key, {fields} FROM {table} WHERE key = ANY($1::text[]) AND {live}"  # noqa: S608
        self.read_raw = (
            f"SELECT key, {raw}, {'isbinary' if layout is V1 else 'FALSE'} FROM {table} "  # noqa: S608
            f"WHERE key = ANY($1::text[]) AND {live}"
        )
        # in the order of code points, for which a table that we made has an index
        self.pages = [
            f'SELECT key FROM {table} WHERE key COLLATE "C" {least} $1 AND '  # noqa: S608
            f'($2::text IS NULL OR key COLLATE "C" < $2) AND {live} ORDER BY key COLLATE "C" LIMIT $3'
            for least in (">", ">=")
        ]
        self._table = table
        self.touch = (
            f"UPDATE {table} SET {layout.expiry} = CURRENT_TIMESTAMP + $2 * INTERVAL '1 second' "  # noqa: S608
            f"WHERE key = $1 AND {live} AND ($3::text = '' OR {layout.etag} = $3)"
        )
        self.etag = f"SELECT {layout.etag} FROM {table} WHERE key = $1 AND {live}"  # noqa: S608
        self.expire = (
            f'WITH gone AS (DELETE FROM {table} WHERE key COLLATE "C" >= $1 AND '  # noqa: S608
            f'($2::text IS NULL OR key COLLATE "C" < $2) AND {layout.expired} RETURNING 1) SELECT count(*) FROM gone'
        )
        sets = [f"{name} = excluded.{name}" for name in layout.columns.split(", ")[1:]]
        put = f"INSERT INTO {table} AS stored ({layout.columns}) SELECT {layout.new} FROM {_ROWS}"  # noqa: S608
        merge = f"ON CONFLICT (key) DO UPDATE SET {', '.join(sets)}, {layout.updated} = CURRENT_TIMESTAMP"
        # locks are taken in the order of keys, so that two groups do not wait for each other
        self.put = f"{put} ORDER BY key {merge}".format(*range(1, 6))
        self.delete = f"DELETE FROM {table} WHERE key = ANY($1::text[])"  # noqa: S608
        rows = put.format(*range(5, 10))
        self.hold = (
            f"SELECT key, {layout.etag} FROM {table} WHERE key = ANY($1::text[]) AND {live} "  # noqa: S608
            "ORDER BY key FOR UPDATE"
        )
        self.held_by_others = (
            f"WITH free AS MATERIALIZED (SELECT key FROM {table} WHERE key = ANY($1::text[]) FOR UPDATE SKIP LOCKED) "  # noqa: S608
            f"SELECT key FROM {table} WHERE key = ANY($1::text[]) AND key NOT IN (SELECT key FROM free)"
        )
        self.write = f"""
            WITH held AS MATERIALIZED (
                SELECT key, {layout.etag} AS etag FROM {table}
                WHERE key = ANY($1::text[]) AND {live} ORDER BY key FOR UPDATE
            ), unfit AS MATERIALIZED (
                SELECT FROM unnest($1::text[], $2::text[]) AS judged(key, etag) LEFT JOIN held USING (key)
                WHERE held.etag IS DISTINCT FROM judged.etag LIMIT 1
            ), gone AS (
                DELETE FROM {table} WHERE key = ANY($4::text[]) AND NOT EXISTS (SELECT FROM unfit)
            ), put AS (
                {rows} WHERE NOT EXISTS (SELECT FROM unfit) ORDER BY key {merge}
                WHERE stored.key <> ALL($3::text[]) OR stored.{layout.expired} RETURNING 1
            )
            SELECT CASE WHEN EXISTS (SELECT FROM unfit) THEN FALSE
                        ELSE 1 / ((SELECT count(*) FROM put) = cardinality($5::text[]))::int = 1 END,
                   ARRAY(SELECT key FROM held), ARRAY(SELECT etag FROM held)"""  # noqa: S608

    def keys(self, *, reverse: bool, sizes: bool, with_low: bool) -> str:
        """The rows of a range without their values: from $1 on, to $2 if there is one, $3 of them."""
        layout = self.layout
        size = layout.size if sizes else "NULL"
        return (
            f"SELECT key, {layout.etag}, extract(epoch FROM {layout.expiry})::float8, {size} FROM {self._table} "  # noqa: S608
            f'WHERE {self._range(with_low=with_low)} ORDER BY key COLLATE "C" {"DESC" if reverse else "ASC"} LIMIT $3'
        )

    def count(self, *, sizes: bool, with_low: bool) -> str:
        """How many there are among the first $3 of a range; $4 characters on, none that counts has $5 in its key."""
        size = self.layout.size if sizes else "0"
        among = (
            f"SELECT key, {size} AS size FROM {self._table} WHERE {self._range(with_low=with_low)} "  # noqa: S608
            'ORDER BY key COLLATE "C" LIMIT $3'
        )
        kept = "FILTER (WHERE $5::text = '' OR position($5 IN substr(key, $4)) = 0)"
        return (
            f'SELECT count(*), max(key COLLATE "C"), count(*) {kept}, coalesce(sum(size) {kept}, 0)::int8 '  # noqa: S608
            f"FROM ({among}) AS among"
        )

    def _range(self, *, with_low: bool) -> str:
        return (
            f'key COLLATE "C" {">=" if with_low else ">"} $1 AND ($2::text IS NULL OR key COLLATE "C" < $2) '
            f"AND {self.layout.live}"
        )


def puts(changes: Sequence[Change]) -> list[list[Any]]:
    """Keys, values, which are binary, etags and TTLs of the rows that are to be written."""
    columns: list[list[Any]] = [[], [], [], [], []]
    for change in changes:
        operation = change.operation
        if isinstance(operation, Upsert):
            row = (operation.key, operation.value, not is_text(operation), change.etag, operation.ttl)
            for column, cell in zip(columns, row, strict=True):
                column.append(cell)
    return columns


def deletes(changes: Sequence[Change]) -> list[str]:
    return [change.operation.key for change in changes if isinstance(change.operation, Delete)]


def is_json(operation: Operation) -> bool:
    return isinstance(operation, Upsert) and operation.is_json


def as_bytes(operation: Operation) -> Operation:
    """With a value that is kept as it is, whatever it is: jsonb takes no NUL, for one."""
    return replace(operation, is_json=False) if isinstance(operation, Upsert) else operation


def is_text(operation: Upsert) -> bool:
    """Whether a column of text, or of JSON, can hold the value as it is."""
    if not operation.is_json:
        return False
    if operation.value.isascii():
        return True
    try:
        operation.value.decode()
    except UnicodeDecodeError:
        return False
    return True


def guesses(operations: Sequence[Operation], canonical: Callable[[str], str]) -> dict[str, str]:
    """What must be stored for the first guard of each key to hold: it does most of the time."""
    stored: dict[str, str] = {}
    seen: set[str] = set()
    for operation in operations:
        if (operation.etag or operation.first_write) and operation.key not in seen:
            seen.add(operation.key)
            if operation.etag:
                stored[operation.key] = canonical(operation.etag)
    return stored


def decoded(value: bytes, etag: str, expires_at: float | None, is_binary: bool) -> StoredValue | StoreError:
    """A row as the column holds it: of JSON, or a JSON string with base64."""
    if not is_binary:
        return StoredValue(value, etag, expires_at)
    try:
        return StoredValue(
            binascii.a2b_base64(msgspec.json.decode(value, type=str), strict_mode=True), etag, expires_at
        )
    except (binascii.Error, msgspec.DecodeError) as error:
        return Unfit(f"failed to decode binary data: {error}")
