"""The tables and the form of a row, which daprd reads and writes too (state-stores.md 2.4, 2.5, 2.10)."""

from __future__ import annotations

import asyncio
import base64
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.stores.base import EtagInvalid, EtagMismatch, StoreError
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.testing.stores.asking import put, row_of, value_of, write_one
from tests.support.client import item
from tests.support.components import component
from tests.support.sidecar import Daprd

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.stores.postgresql.conftest import Database

COLUMNS = {
    "v1": [
        ("key", "text", "NO", None),
        ("value", "jsonb", "NO", None),
        ("isbinary", "boolean", "NO", None),
        ("insertdate", "timestamp with time zone", "NO", "now()"),
        ("updatedate", "timestamp with time zone", "YES", None),
        ("expiredate", "timestamp with time zone", "YES", None),
        ("row_id", "bigint", "NO", None),
    ],
    "v2": [
        ("key", "text", "NO", None),
        ("value", "bytea", "NO", None),
        ("etag", "uuid", "NO", "gen_random_uuid()"),
        ("created_at", "timestamp with time zone", "NO", "now()"),
        ("updated_at", "timestamp with time zone", "YES", None),
        ("expires_at", "timestamp with time zone", "YES", None),
        ("row_id", "bigint", "NO", None),
    ],
}
LEVELS = {
    "v1": [("lock", "lock"), ("migrations", "3")],
    "v2": [("lock", "lock"), ("migrations-state-v2-", "2")],
}


def _layout(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    """The columns, the indexes that daprd has as well, and the levels of migration that were reached."""
    return {
        "columns": database.sql(
            "SELECT column_name, data_type, is_nullable, column_default FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = 'state' ORDER BY ordinal_position"
        ),
        "indexes": database.sql(
            "SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = 'state'"
            " AND indexname <> 'state_key_c_idx' ORDER BY 1"
        ),
        "levels": database.sql("SELECT key, value FROM dapr_metadata WHERE key NOT LIKE 'last-%%' ORDER BY key"),
        "identity": database.sql(
            "SELECT identity_generation FROM information_schema.columns"
            " WHERE table_schema = 'public' AND column_name = 'row_id'"
        ),
    }


def _daprd(binary: Path, folder: Path, database: Database) -> Daprd:
    url = database.server.url(database.name)
    return Daprd(
        binary, folder, [component("s", f"state.postgresql/{database.version}", connectionString=url, keyPrefix="none")]
    )


async def test_the_tables_are_as_daprd_makes_them(database: Database) -> None:
    """Columns in their order, and the level of migration that daprd has."""
    async with database.opened():
        pass
    layout = _layout(database)

    assert layout["columns"] == COLUMNS[database.version]
    assert layout["levels"] == LEVELS[database.version]


async def test_names_are_the_component_s(database: Database) -> None:
    """With a schema, if one is named; and nothing is made under the usual names."""
    database.sql("CREATE SCHEMA IF NOT EXISTS other")
    database.sql("DROP TABLE IF EXISTS other.state, other.meta")
    async with database.opened(tableName="other.state", tablePrefix="other.", metadataTableName="other.meta") as store:
        await put(store, Upsert("k", b"v", first_write=True))
        assert await value_of(store, "k") == b"v"

    assert database.sql("SELECT key FROM other.state") == [("k",)]
    assert database.sql("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'") == [(0,)]


async def test_sidecars_that_start_together_make_the_tables_once(database: Database) -> None:
    """None of them fails."""
    stores = [database.store() for _ in range(4)]
    await asyncio.gather(*(store.open() for store in stores))
    await asyncio.gather(*(store.close() for store in stores))

    assert _layout(database)["levels"] == LEVELS[database.version]


async def test_a_level_that_is_none_is_told(database: Database) -> None:
    """As daprd tells it."""
    async with database.opened():
        pass
    database.sql("UPDATE dapr_metadata SET value = 'x' WHERE key LIKE 'migrations%%'")
    with pytest.raises(StoreError, match="invalid migration level found in metadata table: x"):
        await database.store().open()


async def test_a_save_keeps_what_daprd_s_keeps(database: Database) -> None:
    """The first date, and the place of the row; the date of the change is that of the last one."""
    made, changed = {"v1": ("insertdate", "updatedate"), "v2": ("created_at", "updated_at")}[database.version]
    async with database.opened() as store:
        await put(store, Upsert("k", b"1"))
        before = database.sql(f"SELECT row_id, {made} FROM state")
        dates = database.sql(f"SELECT {changed} FROM state")
        await put(store, Upsert("k", b"2"))

        assert dates == [(None,)]
        assert database.sql(f"SELECT row_id, {made} FROM state") == before
        assert database.sql(f"SELECT {changed} IS NULL FROM state") == [(False,)]


async def test_the_first_version_tells_bytes_from_json(database: Database) -> None:
    """JSON as it is, anything else as a string of base64."""
    if database.version == "v2":
        return
    async with database.opened() as store:
        await put(
            store, Upsert("bytes", b"\x01\xff" * 60), Upsert("json", b'{"a": 1}', is_json=True), Upsert("no", b"")
        )
        await put(store, Upsert("damaged", b"v"), Upsert("sound", b"w"))
        database.sql("UPDATE state SET value = '\"?\"' WHERE key = 'damaged'")
        damaged, sound = await store.get(["damaged", "sound"])
        rows = database.sql(
            "SELECT key, value #>> '{}', isbinary FROM state WHERE key IN ('bytes', 'json', 'no') ORDER BY key"
        )

    assert rows == [
        ("bytes", base64.b64encode(b"\x01\xff" * 60).decode(), True),
        ("json", '{"a": 1}', False),
        ("no", "", True),
    ]
    assert "failed to decode binary data" in str(damaged)
    assert isinstance(sound, StoredValue)
    assert sound.value == b"w"


async def test_an_etag_may_be_written_as_daprd_reads_it(database: Database) -> None:
    """A UUID in capitals, without dashes, in braces or behind urn: is the same; a number may begin with 0."""
    forms: list[Callable[[str], str]] = ["00{}".format]
    if database.version == "v2":
        forms = [str.upper, "{{{}}}".format, "urn:uuid:{}".format, lambda etag: etag.replace("-", "")]
    async with database.opened() as store:
        await put(store, Upsert("k", b"1"))
        for form in forms:
            await put(store, Upsert("k", b"2", etag=form((await row_of(store, "k")).etag)))


@pytest.mark.parametrize("etag", ["nonsense", "4294967296", "-1", "00000000-0000-4000-8000-000000000000"])
async def test_an_etag_of_no_form_is_invalid_in_the_first_version(database: Database, etag: str) -> None:
    """It is the number of a transaction; in the second one, any text is just another version."""
    async with database.opened() as store:
        await put(store, Upsert("k", b"1"))
        kind = EtagInvalid if database.version == "v1" else EtagMismatch

        assert isinstance(await write_one(store, Upsert("k", b"2", etag=etag)), kind)


@pytest.mark.oracle
async def test_the_layout_is_daprd_s(database: Database, daprd_binary: Path, tmp_path: Path) -> None:
    """Made by daprd or made here, it is equal, and neither finds anything to migrate in the other's."""
    async with database.opened() as store:
        await put(store, Upsert("k", b"ours"))
    ours = _layout(database)
    with _daprd(daprd_binary, tmp_path, database) as daprd, daprd.client() as client:
        found = client.get("s", "k").response["data"]
    left_by_daprd, log = _layout(database), daprd.log()
    database.server.wipe(database.name)
    with _daprd(daprd_binary, tmp_path, database) as daprd, daprd.client() as client:
        client.save("s", item("k", b"theirs"))
    theirs = _layout(database)
    async with database.opened() as store:
        value = await value_of(store, "k")
        listed = [entry.key for entry in (await store.list("", limit=10)).entries]

    assert (found, value, listed) == (b"ours", b"theirs", ["k"])
    assert "igration" not in log
    assert ours == left_by_daprd == theirs == _layout(database)


async def test_two_sidecars_create_a_key_once(database: Database) -> None:
    """First-write of many callers on two stores at once: one of them wins, whole transactions included."""
    async with database.opened() as first, database.opened() as second:
        for number in range(20):
            calls = [
                store.transact([Upsert(f"k{number}", b"v", first_write=True), Upsert(f"{number}-{at}", b"v")])
                for at, store in enumerate((first, second, first, second))
            ]
            ends = await asyncio.gather(*calls, return_exceptions=True)
            assert sorted(type(end).__name__ for end in ends) == ["EtagMismatch"] * 3 + ["NoneType"]
            beside = await first.get([f"{number}-{at}" for at in range(4)])
            assert [row is not None for row in beside] == [end is None for end in ends]
