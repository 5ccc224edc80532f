"""What a postgresql component says: its metadata fields, and its connection string (state-stores.md 1.4)."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final
from urllib.parse import parse_qsl, quote, urlencode, urlsplit, urlunsplit

import msgspec

from dapr_state.query import indexes
from dapr_state.resources.properties import LenientFields, PropertiesError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dapr_state.query.tree import Path
    from dapr_state.resources.properties import Properties

_CACHED: Final = "cache_statement"
_POOLED: Final = ("exec", "simple_protocol")  # a pooler such as PgBouncer may give each transaction another server
_EXEC_MODES: Final = (_CACHED, "cache_describe", "describe_exec", *_POOLED)
_CONNS_AT_LEAST: Final = 4  # as daprd's driver

# what daprd's driver takes for itself; anything else that is not about the connection goes to the server
_OF_THE_DRIVER: Final = frozenset({
    "pool_max_conns", "pool_min_conns", "pool_min_idle_conns", "pool_max_conn_lifetime", "pool_max_conn_idle_time",
    "pool_health_check_period", "pool_max_conn_lifetime_jitter", "default_query_exec_mode",
    "statement_cache_capacity", "description_cache_capacity", "connect_timeout", "sslsni", "sslnegotiation",
    "krbspn", "min_protocol_version", "max_protocol_version",
})  # fmt: skip
_UNAVAILABLE: Final = {"useAzureAD": "Azure AD", "useAWSIAM": "AWS IAM"}


class Options(msgspec.Struct, frozen=True):
    """The component's settings; durations in seconds."""

    dsn: str  # holds the password
    table: str = "state"
    metadata_table: str = "dapr_metadata"
    timeout: float = 20.0  # as daprd
    cleanup_interval: float = 3600.0  # 0 = expired rows stay in the table
    max_connections: int = _CONNS_AT_LEAST
    idle_time: float = 1800.0  # as daprd
    prepared: bool = True  # statements stay prepared on their connection
    query_indexes: tuple[Path, ...] = ()  # of version 1
    pooled: bool = False  # two statements of a connection may reach two servers, if they are of no transaction

    def __repr__(self) -> str:
        return f"<Options of {self.table}>"


def read_v1(properties: Properties) -> Options:
    """Raises PropertiesError with daprd's text."""
    try:
        return _read(properties, lambda fields: fields.text("tableName", default="state"))
    except PropertiesError as error:
        raise PropertiesError(f"failed to parse metadata: {error}") from error


def read_v2(properties: Properties) -> Options:
    """Raises PropertiesError with daprd's text."""
    return _read(properties, lambda fields: fields.text("tablePrefix", default="") + "state", is_v2=True)


def _read(properties: Properties, table: Callable[[LenientFields], str], *, is_v2: bool = False) -> Options:
    fields = LenientFields(properties)
    timeout = fields.duration("timeout", "timeoutInSeconds", default=20.0)
    cleanup_interval = fields.duration("cleanupInterval", "cleanupIntervalInSeconds", default=3600.0)
    if not fields.text("cleanupInterval", "cleanupIntervalInSeconds", default=""):
        cleanup_interval = 3600.0  # also where it is there and empty
    max_connections = fields.int("maxConns", default=0)
    idle_time = fields.duration("connectionMaxIdleTime", default=0.0)
    mode = fields.text("queryExecMode", default="") or _CACHED
    metadata_table = fields.text("metadataTableName", default="dapr_metadata")
    name = table(fields)
    query_indexes = () if is_v2 else indexes.read(fields.text(indexes.FIELD, default=""))
    for field, login in _UNAVAILABLE.items():
        if fields.bool(field) and (is_v2 or field != "useAWSIAM"):  # daprd's v1 does not see it
            raise PropertiesError(f"{field} is not supported: this store has no login through {login}")
    fields.check()
    dsn = _dsn(fields)
    if timeout < 1:
        raise PropertiesError("invalid value for 'timeout': must be greater than 1s")
    if mode not in _EXEC_MODES:
        raise PropertiesError(f"invalid queryExecMode metadata value: {mode}")
    return Options(
        dsn=dsn,
        table=name,
        metadata_table=metadata_table,
        timeout=timeout,
        cleanup_interval=max(0.0, cleanup_interval),
        max_connections=max_connections if max_connections > 1 else max(_CONNS_AT_LEAST, os.cpu_count() or 1),
        idle_time=idle_time if idle_time > 0 else 1800.0,
        prepared=mode == _CACHED,
        query_indexes=query_indexes,
        pooled=mode in _POOLED,
    )


def _dsn(fields: LenientFields) -> str:
    """One URL of what the connection string and the single fields say."""
    text = fields.text("connectionString", "url", default="")
    single = {
        name: value
        for name in ("host", "hostaddr", "port", "database", "user", "password", "sslRootCert")
        if (value := fields.text(name, default=""))
    }
    if text.startswith(("postgres://", "postgresql://")):
        return _url(text, single)
    words = dict(word.split("=", 1) for word in text.split(" ") if "=" in word)
    words |= {name.lower(): value for name, value in single.items()}
    if not words:
        raise PropertiesError("failed to build connection string")
    if "database" in words:
        words["dbname"] = words.pop("database")
    if "hostaddr" in words:
        words["host"] = words.pop("hostaddr")
    return "postgresql://?" + urlencode(_for_the_server(words.items()), quote_via=quote)


def _url(text: str, single: dict[str, str]) -> str:
    try:
        url = urlsplit(text)
    except ValueError as error:
        raise PropertiesError(f"failed to parse connection string: {error}") from None
    login, _, place = url.netloc.rpartition("@")
    user, _, password = login.partition(":")
    user = quote(single["user"], safe="") if "user" in single else user
    password = quote(single["password"], safe="") if "password" in single else password
    place = single.get("hostaddr", single.get("host", place))
    if "port" in single:
        if place.rpartition("]")[2].count(":"):
            raise PropertiesError("failed to parse connection string: too many colons in address")
        place += f":{single['port']}"
    login = f"{user}:{password}" if password else user
    path = "/" + quote(single["database"], safe="") if "database" in single else url.path
    query = dict(_for_the_server(parse_qsl(url.query, keep_blank_values=True)))
    if "sslRootCert" in single:
        query["sslrootcert"] = single["sslRootCert"]
    return urlunsplit((url.scheme, f"{login}@{place}" if login else place, path, urlencode(query, quote_via=quote), ""))


def _for_the_server(words: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    return [(name, value) for name, value in words if name not in _OF_THE_DRIVER]
