"""What a sqlite component says: its metadata fields, and how its connection string is read (state-stores.md 1.3)."""

from __future__ import annotations

import logging
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode

from msgspec import Struct

from dapr_state.query import indexes
from dapr_state.resources.properties import LenientFields, PropertiesError

if TYPE_CHECKING:
    from dapr_state.query.tree import Path
    from dapr_state.resources.properties import Properties

log = logging.getLogger("dapr.contrib")

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_]+")
_OWN_PRAGMAS: Final = ("busy_timeout", "journal_mode", "foreign_keys")  # the store sets them itself
_IMMEDIATE: Final = "immediate"
# deferred is read as immediate: a writer looks at etags before it writes, so it wants the lock from the start
_BEGIN: Final = {"deferred": "BEGIN IMMEDIATE", _IMMEDIATE: "BEGIN IMMEDIATE", "exclusive": "BEGIN EXCLUSIVE"}


class Database(Struct, frozen=True):
    """What to open, and how every connection to it is set up."""

    uri: str
    pragmas: tuple[str, ...] = ()  # "synchronous(OFF)" or "synchronous=OFF"
    begin: str = "BEGIN IMMEDIATE"
    in_memory: bool = False
    journal_mode: str = "WAL"
    busy_timeout: float = 2.0


class Options(Struct, frozen=True):
    """The component's settings; durations in seconds."""

    database: Database
    table: str = "state"
    metadata_table: str = "metadata"
    timeout: float = 20.0
    cleanup_interval: float = 0.0  # 0 = expired rows stay in the file
    query_indexes: tuple[Path, ...] = ()


def read(properties: Properties) -> Options:
    """Raises PropertiesError with daprd's text."""
    fields = LenientFields(properties)
    connection_string = fields.text("connectionString", "url", default="")
    timeout = fields.duration("timeout", "timeoutInSeconds", default=20.0)
    busy_timeout = fields.duration("busyTimeout", default=2.0)
    cleanup_interval = fields.duration("cleanupInterval", "cleanupIntervalInSeconds", default=0.0)
    disable_wal = fields.bool("disableWAL")
    table = fields.text("tableName", default="state")
    metadata_table = fields.text("metadataTableName", default="metadata")
    query_indexes = indexes.read(fields.text(indexes.FIELD, default=""))
    fields.check()
    if not connection_string:
        raise PropertiesError("missing connection string")
    for identifier in (table, metadata_table):
        if not _IDENTIFIER.fullmatch(identifier):
            raise PropertiesError(f"invalid identifier: {identifier}")
    if timeout < 1:
        raise PropertiesError("invalid value for 'timeout': must be greater than 1s")
    database = _database(connection_string, max(0.0, busy_timeout), disable_wal=disable_wal)
    return Options(database, table, metadata_table, timeout, max(0.0, cleanup_interval), query_indexes)


def _database(connection_string: str, busy_timeout: float, *, disable_wal: bool) -> Database:
    path, _, query = connection_string.partition("?")
    options = parse_qsl(query, keep_blank_values=True)
    in_memory = path.lower().startswith((":memory:", "file::memory:")) or ("mode", "memory") in options
    if in_memory:  # one database for all connections, and for all such components of this process
        options = [*((name, value) for name, value in options if name != "cache"), ("cache", "shared")]
    if not path.startswith("file:"):
        path = "file:" + path
    # SQLite skips options that it does not know, but those of daprd's driver are not its business
    for_sqlite = [(name, value) for name, value in options if not name.startswith("_")]
    return Database(
        uri=f"{path}?{urlencode(for_sqlite, quote_via=quote)}" if for_sqlite else path,
        pragmas=tuple(_checked_pragma(value) for name, value in options if name == "_pragma"),
        begin=_begin(dict(options)),
        in_memory=in_memory,
        journal_mode=_journal_mode(dict(options), in_memory=in_memory, disable_wal=disable_wal),
        busy_timeout=busy_timeout,
    )


def _checked_pragma(pragma: str) -> str:
    for own in _OWN_PRAGMAS:
        if pragma.lower().startswith(own):
            raise PropertiesError(f"found forbidden option '_pragma={own}' in the connection string")
    return pragma


def _begin(options: dict[str, str]) -> str:
    lock = options.get("_txlock", _IMMEDIATE).lower()
    if lock not in _BEGIN:
        raise PropertiesError(f'failed to ping: unknown _txlock "{lock}"')
    if lock != _IMMEDIATE:
        log.warning(
            "Database connection is being created with a _txlock different from the recommended value 'immediate'"
        )
    return _BEGIN[lock]


def _journal_mode(options: dict[str, str], *, in_memory: bool, disable_wal: bool) -> str:
    if in_memory:
        return "MEMORY"
    read_only = options.get("mode") == "ro" or options.get("immutable") == "1"
    return "DELETE" if disable_wal or read_only else "WAL"
