"""Component properties and connection strings: how they are read, and the words in which they are refused."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.properties import Properties, PropertiesError
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Upsert
from dapr_state.stores.sqlite.options import Database, Options, read
from dapr_state.testing.stores.asking import put, value_of, values_of
from tests.stores.sqlite.conftest import store

if TYPE_CHECKING:
    from tests.stores.sqlite.conftest import File

MUST_BE_A_SECOND = "invalid value for 'timeout': must be greater than 1s"
BAD = 'time: invalid duration "abc"\nstrconv.ParseInt: parsing "abc": invalid syntax'

REFUSED = [
    ({}, "missing connection string"),
    ({"connectionString": ""}, "missing connection string"),
    ({"connectionString": "x", "timeout": "0"}, MUST_BE_A_SECOND),
    ({"connectionString": "x", "timeout": ""}, MUST_BE_A_SECOND),
    ({"connectionString": "x", "timeoutInSeconds": "999ms"}, MUST_BE_A_SECOND),
    (
        {"connectionString": "x", "timeout": "abc", "busyTimeout": "abc"},
        f"2 error(s) decoding:\n\n* error decoding 'busyTimeout': {BAD}\n* error decoding 'timeout': {BAD}",
    ),
    ({"connectionString": "x", "tableName": "a-b"}, "invalid identifier: a-b"),
    ({"connectionString": "x", "tableName": ""}, "invalid identifier: "),
    ({"connectionString": "x", "metadataTableName": "a b"}, "invalid identifier: a b"),
    ({"connectionString": "x?_txlock=bogus"}, 'failed to ping: unknown _txlock "bogus"'),
    *(
        (
            {"connectionString": f"x?_pragma={pragma}(1)"},
            f"found forbidden option '_pragma={pragma}' in the connection string",
        )
        for pragma in ("busy_timeout", "journal_mode", "foreign_keys")
    ),
]

READ = [
    ({"connectionString": "x.db"}, Options(Database("file:x.db"))),
    ({"URL": "file:x.db"}, Options(Database("file:x.db"))),
    ({"connectionString": "a", "url": "b"}, Options(Database("file:a"))),
    ({"connectionString": "x", "timeout": "1s"}, Options(Database("file:x"), timeout=1)),
    ({"connectionString": "x", "timeoutInSeconds": "5"}, Options(Database("file:x"), timeout=5)),
    ({"connectionString": "x", "busyTimeout": "150ms"}, Options(Database("file:x", busy_timeout=0.15))),
    ({"connectionString": "x", "busyTimeout": "-3"}, Options(Database("file:x", busy_timeout=0))),
    ({"connectionString": "x", "cleanupInterval": "1m"}, Options(Database("file:x"), cleanup_interval=60)),
    ({"connectionString": "x", "cleanupIntervalInSeconds": "-1"}, Options(Database("file:x"))),
    ({"connectionString": "x", "disableWAL": "yes"}, Options(Database("file:x", journal_mode="DELETE"))),
    ({"connectionString": "x", "disableWAL": "perhaps"}, Options(Database("file:x"))),
    (
        {"connectionString": "x", "tableName": "t", "metadataTableName": "m"},
        Options(Database("file:x"), table="t", metadata_table="m"),
    ),
    (
        {"connectionString": "x?mode=ro"},
        Options(Database("file:x?mode=ro", journal_mode="DELETE")),
    ),
    (
        {"connectionString": "x?immutable=1&_txlock=EXCLUSIVE"},
        Options(Database("file:x?immutable=1", journal_mode="DELETE", begin="BEGIN EXCLUSIVE")),
    ),
    (
        {"connectionString": "file:x?_pragma=synchronous(OFF)&vfs=unix&_time_format=sqlite"},
        Options(Database("file:x?vfs=unix", pragmas=("synchronous(OFF)",))),
    ),
    *(
        ({"connectionString": text}, Options(Database(uri, in_memory=True, journal_mode="MEMORY")))
        for text, uri in [
            (":memory:", "file::memory:?cache=shared"),
            ("file::MEMORY:?cache=private", "file::MEMORY:?cache=shared"),
            ("file:x?mode=memory", "file:x?mode=memory&cache=shared"),
        ]
    ),
]


@pytest.mark.parametrize(("properties", "text"), REFUSED, ids=lambda value: str(value)[:60])
def test_what_cannot_be_used_is_refused_in_daprd_s_words(properties: dict[str, str], text: str) -> None:
    """Before any file is touched."""
    with pytest.raises(PropertiesError) as refused:
        read(Properties(properties))

    assert str(refused.value) == text


@pytest.mark.parametrize(("properties", "expected"), READ, ids=lambda value: str(value)[:60])
def test_what_is_written_is_read(properties: dict[str, str], expected: Options) -> None:
    """Names in any case, aliases, units, the parts of a connection string."""
    assert read(Properties(properties)) == expected


def test_a_lock_mode_that_is_not_recommended_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Deferred is taken as immediate: a writer that reads first must not be overtaken."""
    with caplog.at_level(logging.WARNING):
        options = read(Properties({"connectionString": "x?_txlock=deferred"}))

    assert options.database.begin == "BEGIN IMMEDIATE"
    assert "_txlock different from the recommended value 'immediate'" in caplog.text


@pytest.mark.parametrize("start", ["", "file:"])
async def test_the_path_is_decoded_as_a_uri(file: File, start: str) -> None:
    """As daprd does, with and without `file:` before it."""
    encoded = store(connectionString=f"{start}{file.path.parent}/%73tate%2Edb")
    async with file.opened() as plain:
        await encoded.open()
        await put(encoded, Upsert("k", b"v"))
        seen = await value_of(plain, "k")
        await encoded.close()

    assert seen == b"v"


async def test_a_pragma_is_said_on_every_connection(file: File) -> None:
    """One that the file does not keep shows it."""
    async with file.opened("?_pragma=cache_size(-777)&_pragma=synchronous=NORMAL") as opened:
        sizes = [executor.connection.execute("PRAGMA cache_size").fetchone() for executor in opened._executors]
        levels = [executor.connection.execute("PRAGMA synchronous").fetchone() for executor in opened._executors]

    assert (sizes, levels) == ([(-777,)] * 3, [(1,)] * 3)


async def test_no_pragma_turns_the_order_of_answers(file: File) -> None:
    """SQLite can be told to reverse what has no order; answers have one."""
    async with file.opened("?_pragma=reverse_unordered_selects(1)") as opened:
        await put(opened, Upsert("a", b"1"), Upsert("b", b"2"), Upsert("c", b"3"))

        assert await values_of(opened, "c", "a", "x", "b") == [b"3", b"1", None, b"2"]


async def test_an_acknowledged_write_is_synchronous_by_default(file: File) -> None:
    """FULL, and with a write-ahead log, as daprd's."""
    async with file.opened() as opened:
        writer = opened._executors[0].connection
        seen = [
            writer.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode", "busy_timeout")
        ]

    assert seen == [2, "wal", 2000]


async def test_without_wal_the_file_has_no_log(file: File) -> None:
    """And the store works all the same."""
    async with file.opened(disableWAL="true") as opened:
        await put(opened, Upsert("k", b"v"))
        seen = await value_of(opened, "k")

    assert seen == b"v"
    assert file.sql("PRAGMA journal_mode") == [("delete",)]


async def test_a_readable_pragma_error_is_a_failed_ping(file: File) -> None:
    """An unfinished pragma is SQLite's own complaint."""
    with pytest.raises(StoreError, match=r"^failed to ping: SQL logic error: incomplete input \(1\)$"):
        await store(connectionString=f"{file.path}?_pragma=nonsense(5").open()


@pytest.mark.parametrize("name", ["1a", "select"])
async def test_a_name_that_sql_does_not_take_fails_the_migration(file: File, name: str) -> None:
    """It passes the check of its letters only."""
    with pytest.raises(
        StoreError, match=r"^failed to perform migrations: failed to perform migration 0: failed to create"
    ):
        await store(connectionString=str(file.path), tableName=name).open()
