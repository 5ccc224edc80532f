"""What the metadata of a component means, and which of it is refused, in daprd's words."""

from __future__ import annotations

import traceback

import pytest

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties, PropertiesError
from dapr_state.stores import registry
from dapr_state.stores.base import StoreError
from dapr_state.stores.postgresql import PostgresV1, PostgresV2, options
from dapr_state.stores.registry import UnknownStoreError

HOST = {"connectionString": "host=db"}


def read(**properties: str) -> options.Options:
    return options.read_v2(Properties({**HOST, **properties}))


@pytest.mark.parametrize(
    ("kind", "version", "store"),
    [
        ("state.postgresql", "", PostgresV1),
        ("state.postgresql", "v1", PostgresV1),
        ("state.Postgres", "v0", PostgresV1),
        ("state.postgresql", "v2", PostgresV2),
        ("state.postgres", "V2", PostgresV2),
        ("state.cockroachdb", "v2", PostgresV2),
        ("state.yugabytedb", "v2", PostgresV2),
        ("state.yugabyte", "v2", PostgresV2),
    ],
)
def test_types_and_versions_are_daprd_s(kind: str, version: str, store: type) -> None:
    """The first version is the default; two aliases have the second one only."""
    assert type(registry.create(Component("s", kind, version, Properties(HOST)))) is store


@pytest.mark.parametrize(("kind", "version"), [("state.postgresql", "v3"), ("state.yugabytedb", "v1")])
def test_another_version_is_unknown(kind: str, version: str) -> None:
    """As the type is."""
    with pytest.raises(UnknownStoreError, match=f"couldn't find state store {kind}/{version}"):
        registry.create(Component("s", kind, version, Properties(HOST)))


def test_the_defaults_are_daprd_s() -> None:
    """Names, times, and the number of connections."""
    first, second = options.read_v1(Properties(HOST)), read()

    assert (first.table, first.metadata_table, first.timeout) == ("state", "dapr_metadata", 20.0)
    assert (first.cleanup_interval, first.idle_time, first.prepared, first.pooled) == (3600.0, 1800.0, True, False)
    assert first.max_connections >= 4
    assert second == first


@pytest.mark.parametrize(
    ("properties", "field", "value"),
    [
        ({"tablePrefix": "x_"}, "table", "x_state"),
        ({"metadataTableName": "s.m"}, "metadata_table", "s.m"),
        ({"timeout": "5s"}, "timeout", 5.0),
        ({"timeoutInSeconds": "7"}, "timeout", 7.0),
        ({"cleanupInterval": "0"}, "cleanup_interval", 0.0),
        ({"cleanupInterval": "-1s"}, "cleanup_interval", 0.0),
        ({"cleanupInterval": ""}, "cleanup_interval", 3600.0),
        ({"cleanupIntervalInSeconds": "10"}, "cleanup_interval", 10.0),
        ({"maxConns": "2"}, "max_connections", 2),
        ({"maxConns": "0x10"}, "max_connections", 16),
        ({"connectionMaxIdleTime": "5m"}, "idle_time", 300.0),
        ({"connectionMaxIdleTime": "0"}, "idle_time", 1800.0),
        ({"queryExecMode": "cache_describe"}, "prepared", False),
        ({"queryExecMode": "exec"}, "pooled", True),
        ({"queryExecMode": "simple_protocol"}, "pooled", True),
    ],
)
def test_a_field_is_read(properties: dict[str, str], field: str, value: object) -> None:
    """Durations as Go writes them, or in seconds."""
    assert getattr(read(**properties), field) == value


def test_few_connections_are_as_many_as_by_default() -> None:
    """Only more than one are meant."""
    assert read(maxConns="1").max_connections == read().max_connections


@pytest.mark.parametrize(
    ("properties", "dsn"),
    [
        ({"connectionString": "host=h port=1 database=d user=u"}, "postgresql://?host=h&port=1&user=u&dbname=d"),
        ({"connectionString": "host=h stray pool_max_conns=3"}, "postgresql://?host=h"),
        (
            {"connectionString": "host=h user=u", "user": "w", "password": "p q"},
            "postgresql://?host=h&user=w&password=p%20q",
        ),
        ({"host": "h", "sslRootCert": "/ca.pem"}, "postgresql://?host=h&sslrootcert=%2Fca.pem"),
        ({"connectionString": "host=h", "hostaddr": "10.0.0.1"}, "postgresql://?host=10.0.0.1"),
        ({"url": "postgres://u:p@h:1/d?pool_max_conns=3&sslmode=disable"}, "postgres://u:p@h:1/d?sslmode=disable"),
        (
            {"url": "postgres://u:p@h/d", "user": "a@b", "password": "x", "host": "i", "port": "2", "database": "e"},
            "postgres://a%40b:x@i:2/e",
        ),
        ({"url": "postgresql://h", "sslRootCert": "/c"}, "postgresql://h?sslrootcert=%2Fc"),
        ({"url": "postgresql://[::1]/d", "port": "2"}, "postgresql://[::1]:2/d"),
    ],
)
def test_a_connection_string_and_the_fields_make_one_address(properties: dict[str, str], dsn: str) -> None:
    """A field replaces what the string says; what is for daprd's driver alone is left out."""
    assert options.read_v2(Properties(properties)).dsn == dsn


@pytest.mark.parametrize(
    ("properties", "text"),
    [
        ({"connectionString": ""}, "failed to build connection string"),
        ({"timeout": "999ms"}, "invalid value for 'timeout': must be greater than 1s"),
        ({"timeout": ""}, "invalid value for 'timeout': must be greater than 1s"),
        ({"queryExecMode": "foo"}, "invalid queryExecMode metadata value: foo"),
        ({"maxConns": "abc"}, "cannot parse 'maxConns' as int: strconv.ParseInt: parsing \"abc\": invalid syntax"),
        ({"connectionString": "postgres://h:1", "port": "2"}, "too many colons in address"),
        ({"useAzureAD": "true"}, "useAzureAD is not supported"),
        ({"useAWSIAM": "true"}, "useAWSIAM is not supported"),
    ],
)
def test_a_field_is_refused(properties: dict[str, str], text: str) -> None:
    """With daprd's text, where it refuses it as well; the first version puts words before it."""
    with pytest.raises(PropertiesError) as raised:
        read(**properties)

    assert text in str(raised.value)


def test_the_first_version_does_not_see_aws() -> None:
    """As in daprd; what it refuses, it says to be a failure of the metadata."""
    assert options.read_v1(Properties({**HOST, "useAWSIAM": "true"})).table == "state"
    with pytest.raises(PropertiesError, match=r"^failed to parse metadata: failed to build connection string"):
        options.read_v1(Properties({}))


def test_a_password_is_not_shown() -> None:
    """Options may stand in a log line."""
    assert "s3cret" not in repr(read(password="s3cret"))


@pytest.mark.parametrize("sign", ["#", "/", "?"])
async def test_a_password_that_is_not_encoded_is_not_told(sign: str) -> None:
    """What stands before the sign is where a URL has its port, and no error quotes it."""
    store = PostgresV2(read(connectionString=f"postgres://user:s3cret{sign}1@127.0.0.1/db"))
    with pytest.raises(StoreError, match="failed to connect: the connection string is no URL") as raised:
        await store.open()

    assert "s3cret" not in "".join(traceback.format_exception(raised.value)).replace("user:s3cret", "")
