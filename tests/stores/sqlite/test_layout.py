"""The tables and the form of a row, which daprd reads and writes too (state-stores.md 2.6, 2.10)."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.api import expiry
from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, row_of, values_of
from tests.stores.sqlite.conftest import store

if TYPE_CHECKING:
    from tests.stores.sqlite.conftest import File

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d")
COLUMNS = [  # name, type, not null, default, in the primary key
    ("key", "TEXT", 1, None, 1),
    ("value", "TEXT", 1, None, 0),
    ("is_binary", "BOOLEAN", 1, None, 0),
    ("etag", "TEXT", 1, None, 0),
    ("expiration_time", "TIMESTAMP", 0, "NULL", 0),
    ("update_time", "TIMESTAMP", 1, "CURRENT_TIMESTAMP", 0),
]


async def test_the_tables_are_as_daprd_makes_them(file: File) -> None:
    """Columns in their order, no index of our own, migration level 1."""
    async with file.opened():
        pass

    assert [row[1:] for row in file.sql("PRAGMA table_info(state)")] == COLUMNS
    assert [row[1:4] for row in file.sql("PRAGMA table_info(metadata)")] == [("key", "TEXT", 1), ("value", "TEXT", 1)]
    assert file.sql("SELECT * FROM metadata") == [("migrations", "1")]
    assert file.sql("SELECT name FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL") == []
    assert file.sql("SELECT rowid FROM state") == []


async def test_table_names_are_the_component_s(file: File) -> None:
    """And nothing is made under the usual names."""
    async with file.opened(tableName="t1", metadataTableName="m1") as opened:
        await put(opened, Upsert("k", b"v"))

    assert file.sql("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name") == [("m1",), ("t1",)]
    assert file.sql("SELECT key FROM t1") == [("k",)]


async def test_bytes_are_base64_and_json_is_text(file: File) -> None:
    """Both in storage class text, told apart by is_binary."""
    async with file.opened() as opened:
        await put(
            opened, Upsert("bytes", b"\x01\xff\x00"), Upsert("json", b'{"a": 1}', is_json=True), Upsert("empty", b"")
        )

    assert file.sql("SELECT key, value, typeof(value), is_binary FROM state") == [
        ("bytes", "Af8A", "text", 1),
        ("json", '{"a": 1}', "text", 0),
        ("empty", "", "text", 1),
    ]


async def test_a_row_carries_a_uuid_and_times_in_utc(file: File) -> None:
    """The expiry is text with a blank, to the second; the update time too."""
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v", ttl=3600), Upsert("lasting", b"v"))
    ((etag, expires, updated, delay),) = file.sql(
        "SELECT etag, expiration_time, update_time, unixepoch(expiration_time) - unixepoch() FROM state WHERE key = 'k'"
    )

    assert UUID4.fullmatch(etag)
    assert TIMESTAMP.fullmatch(expires)
    assert TIMESTAMP.fullmatch(updated)
    assert 3590 <= delay <= 3600
    assert file.sql("SELECT expiration_time FROM state WHERE key = 'lasting'") == [(None,)]


async def test_a_plain_save_renews_the_rowid_and_an_etag_keeps_it(file: File) -> None:
    """Daprd lists keys in the order of rowids, so they are moved as daprd moves them."""
    async with file.opened() as opened:
        await put(opened, Upsert("a", b"1"), Upsert("b", b"1"), Upsert("c", b"1"))
        await put(opened, Upsert("a", b"2"))
        await put(opened, Upsert("b", b"2", etag=(await row_of(opened, "b")).etag))

    assert file.sql("SELECT rowid, key FROM state ORDER BY rowid") == [(2, "b"), (3, "c"), (4, "a")]


async def test_new_rows_stand_in_the_order_of_their_last_save(file: File) -> None:
    """Also when one call, and one statement, made them all."""
    async with file.opened() as opened:
        await put(opened, *(Upsert(key, b"v") for key in "cabac"), Delete("x"))

    assert file.sql("SELECT key FROM state ORDER BY rowid") == [("b",), ("a",), ("c",)]


@pytest.mark.parametrize(
    ("expiry", "told"),
    [
        ("2100-01-01 00:00:00", 4102444800),
        ("2100-01-01T00:00:00Z", 4102444800),
        ("2100-01-01 00:00:00.750", 4102444800),
        (None, None),
    ],
)
async def test_expiry_times_of_other_writers_are_read(file: File, expiry: str | None, told: int | None) -> None:
    """Other forms of the same time are understood."""
    async with file.opened() as opened:
        file.sql(
            "INSERT INTO state (key, value, is_binary, etag, expiration_time) VALUES ('k', '1', 0, 'e', ?)", (expiry,)
        )

        assert await opened.get(["k"]) == [StoredValue(b"1", "e", told)]


@pytest.mark.parametrize("expiry", ["2020-01-01 00:00:00", "2020-01-01T00:00:00Z", 4102444800, 0])
async def test_rows_of_other_writers_that_count_as_expired(file: File, expiry: object) -> None:
    """A number sorts before any text, so for daprd and for us it has passed."""
    async with file.opened() as opened:
        file.sql(
            "INSERT INTO state (key, value, is_binary, etag, expiration_time) VALUES ('k', '1', 0, 'e', ?)", (expiry,)
        )

        assert await opened.get(["k"]) == [None]


async def test_values_of_other_writers_are_read(file: File) -> None:
    """Blobs, etags of any form, base64 with line ends."""
    rows = [("blob", b"\xff\x00", 0), ("wrapped", "AAEC\r\nAwQ=\n", 1), ("blob64", b"AAEC", 1), ("number", 12, 0)]
    rows.append(("padded", "AAEC====", 1))
    async with file.opened() as opened:
        for row in rows:
            file.sql("INSERT INTO state (key, value, is_binary, etag) VALUES (?, ?, ?, 'not a uuid')", row)
        await put(opened, Upsert("blob", b"w", etag="not a uuid"))

        assert await values_of(opened, "blob", "wrapped", "blob64", "number", "padded") == [
            b"w",
            b"\x00\x01\x02\x03\x04",
            b"\x00\x01\x02",
            b"12",
            b"\x00\x01\x02",
        ]


ETAGS = [("x'ff0d'", "\ufffd\r"), ("x'6162'", "ab"), ("CAST(x'61ff' AS TEXT)", "a\ufffd"), ("x''", ""), ("7", "7")]


@pytest.mark.parametrize(("stored", "told"), ETAGS)
@pytest.mark.parametrize("is_binary", [0, 1])
async def test_an_etag_of_another_writer_is_text(file: File, stored: str, told: str, is_binary: int) -> None:
    """Alone, beside others and in a list; it guards a write, and does not keep others in its group from theirs."""
    async with file.opened() as opened:
        await put(opened, Upsert("other", b"v"))
        file.sql(f"INSERT INTO state (key, value, is_binary, etag) VALUES ('k', 'dg==', {is_binary}, {stored})")
        row = await row_of(opened, "k")
        beside, other, _ = await opened.get(["k", "other", "missing"])
        (listed,) = (await opened.list("k", limit=9)).entries
        stale, done = await asyncio.gather(
            opened.write([Upsert("k", b"w", etag="x")]), opened.write([Upsert("new", b"v", first_write=True)])
        )
        await put(opened, Upsert("k", b"w", etag=row.etag))

    assert row.etag == told
    assert row.value == (b"v" if is_binary else b"dg==")
    assert beside == listed.row == row
    assert isinstance(other, StoredValue)
    assert [isinstance(stale[0], EtagMismatch), done] == [True, [None]]


@pytest.mark.parametrize("value", ["AAEC*", "AAE", "=", "\u00e9", b"\xff"])
async def test_a_row_that_cannot_be_decoded_is_its_own_error(file: File, value: str | bytes) -> None:
    """The others are read."""
    async with file.opened() as opened:
        await put(opened, Upsert("sound", b"v"))
        file.sql("INSERT INTO state (key, value, is_binary, etag) VALUES ('k', ?, 1, 'e')", (value,))
        (alone,) = await opened.get(["k"])
        entries = await opened.get(["k", "sound"])

    assert str(alone).startswith("failed to decode binary data: ")
    assert isinstance(entries[0], StoreError)
    assert isinstance(entries[1], StoredValue)


@pytest.mark.parametrize("level", ["abc", "-1", "", "1.0"])
async def test_an_odd_migration_level_is_refused(file: File, level: str) -> None:
    """In daprd's words."""
    async with file.opened():
        file.sql("UPDATE metadata SET value = ?", (level,))
    with pytest.raises(StoreError) as refused:
        await store(connectionString=str(file.path)).open()

    assert (
        str(refused.value) == f"failed to perform migrations: invalid migration level found in metadata table: {level}"
    )


@pytest.mark.parametrize("level", ["1", "7"])
async def test_a_level_that_is_reached_needs_no_migration(file: File, level: str) -> None:
    """As in daprd the level does not name its table: with another table name calls fail, opening does not."""
    async with file.opened():
        file.sql("UPDATE metadata SET value = ?", (level,))
    async with file.opened(tableName="other") as opened:
        with pytest.raises(StoreError, match=r"^SQL logic error: no such table: other \(1\)$"):
            await opened.get(["k"])
        outcomes = await opened.write([Upsert("k", b"v")])

    assert [str(outcome) for outcome in outcomes] == ["SQL logic error: no such table: other (1)"]


async def test_an_unreached_level_is_migrated(file: File) -> None:
    """An empty metadata table is level 0."""
    file.sql("CREATE TABLE metadata (key text NOT NULL PRIMARY KEY, value text NOT NULL)")
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v"))

    assert file.sql("SELECT * FROM metadata") == [("migrations", "1")]


async def test_many_that_open_a_new_file_at_once_all_succeed(file: File) -> None:
    """One migrates, the others wait for it."""
    stores = [store(connectionString=str(file.path)) for _ in range(5)]
    await asyncio.gather(*(each.open() for each in stores))
    outcomes: list[Any] = await asyncio.gather(*(each.write([Upsert(f"k{n}", b"v")]) for n, each in enumerate(stores)))
    await asyncio.gather(*(each.close() for each in stores))

    assert outcomes == [[None]] * 5
    assert file.sql("SELECT count(*) FROM state") == [(5,)]


async def test_two_stores_on_one_file_see_each_other(file: File) -> None:
    """At once: reads have no cache of their own."""
    async with file.opened() as one, file.opened() as other:
        seen = []
        for number in range(20):
            await put(one, Upsert("k", str(number).encode()))
            seen += await values_of(other, "k")

    assert seen == [str(number).encode() for number in range(20)]


async def test_all_in_memory_components_share_one_database() -> None:
    """As in daprd, whatever they are called; one that finds the other's lock tries again."""
    one, other = store(connectionString=":memory:"), store(connectionString="file::memory:?cache=private")
    await one.open()
    await other.open()
    await asyncio.gather(
        *(put(each, Upsert(f"{n}{each is one}", b"v", first_write=True)) for n in range(200) for each in (one, other))
    )
    seen = await values_of(other, *(f"{n}{mine}" for n in range(200) for mine in (True, False)))
    await one.close()
    await other.close()

    assert seen == [b"v"] * 400


async def test_the_file_is_whole_after_close(file: File) -> None:
    """The write-ahead log was written back and removed."""
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v"))
        during = sorted(path.name for path in file.path.parent.iterdir())

    assert during == ["state.db", "state.db-shm", "state.db-wal"]
    assert [path.name for path in file.path.parent.iterdir()] == ["state.db"]


async def test_ttl_is_counted_by_the_database(file: File) -> None:
    """The expiry that is told is the one in the file."""
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v", ttl=500))
        told = (await row_of(opened, "k")).expires_at

    assert file.sql("SELECT unixepoch(expiration_time) FROM state") == [(told,)]
    assert told is not None
    assert told > time.time()


@pytest.mark.parametrize(
    "stored", ["99999-01-01 00:00:00", "9999-12-31 23:59:59.9", "garbage", "zzz", 1e300, 2**62, b"\xff", "5373484"]
)
async def test_no_expiry_of_another_writer_breaks_a_read(file: File, stored: object) -> None:
    """Whatever stands in the column, the others of the read come, and it can be told."""
    async with file.opened() as opened:
        await put(opened, Upsert("k", b"v"), Upsert("beside", b"v"))
        file.sql("UPDATE state SET expiration_time = ? WHERE key = 'k'", (stored,))
        odd, beside = await opened.get(["k", "beside"])
        listed = await opened.list("", limit=10)

    assert [expiry.metadata(row).keys() <= {"ttlExpireTime"} for row in (odd, beside) if isinstance(row, StoredValue)]
    assert isinstance(beside, StoredValue)
    assert "beside" in [entry.key for entry in listed.entries]
