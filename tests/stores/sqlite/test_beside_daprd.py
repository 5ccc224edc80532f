"""Daprd and this store on one file, at the same time: each goes on with what the other wrote."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.model import Delete, Upsert
from dapr_state.testing.stores.asking import put, row_of, values_of
from tests.support.client import item
from tests.support.components import component
from tests.support.counting import counted_by_both
from tests.support.sidecar import Daprd

if TYPE_CHECKING:
    from pathlib import Path

    from tests.stores.sqlite.conftest import File

pytestmark = pytest.mark.oracle

TURNS = 30


def _daprd(binary: Path, file: File) -> Daprd:
    shared = component("s", "state.sqlite", connectionString=str(file.path), keyPrefix="none")
    return Daprd(binary, file.path.parent, [shared])


async def test_a_file_made_by_daprd_is_opened_as_it_is(daprd_binary: Path, file: File) -> None:
    """Values, etags and expiry are read, an etag of daprd's guards our write, nothing of the layout is changed."""
    with _daprd(daprd_binary, file) as daprd, daprd.client() as client:
        client.save(
            "s", item("k", b"\x00\xff"), item("mortal", b"v", metadata={"ttlInSeconds": "1000"}), item("gone", b"")
        )
        schema = file.sql("SELECT sql FROM sqlite_master")
        etag = client.get("s", "k").response["etag"]
        async with file.opened() as store:
            read = await row_of(store, "k")
            expiry = (await row_of(store, "mortal")).expires_at
            await put(store, Upsert("k", b"ours", etag=read.etag), Delete("gone"))
        seen = client.get("s", "k").response
        deleted = client.get("s", "gone").response

    assert (read.value, read.etag) == (b"\x00\xff", etag)
    assert file.sql("SELECT unixepoch(expiration_time) FROM state WHERE key = 'mortal'") == [(expiry,)]
    assert (seen["data"], seen["etag"] == etag) == (b"ours", False)
    assert deleted == {}
    assert file.sql("SELECT sql FROM sqlite_master") == schema


async def test_a_file_made_here_is_opened_by_daprd_as_it_is(daprd_binary: Path, file: File) -> None:
    """The reverse; expiry is told alike."""
    async with file.opened() as store:
        await put(
            store, Upsert("k", b"\x00\xff", ttl=1000), Upsert("json", b'{"a":1}', is_json=True), Upsert("empty", b"")
        )
        row = await row_of(store, "k")
        with _daprd(daprd_binary, file) as daprd, daprd.client() as client:
            read = client.get("s", "k").response
            others = [client.get("s", key).response.get("data") for key in ("json", "empty")]
            saved = client.save("s", item("k", b"theirs", etag=row.etag))
            refused = client.save("s", item("json", b"", etag=row.etag))
        after = await values_of(store, "k", "json")

    assert (read["data"], read["etag"], list(read["metadata"])) == (b"\x00\xff", row.etag, ["ttlExpireTime"])
    assert others == [b'{"a":1}', None]
    assert (saved.code, refused.code) == ("OK", "ABORTED")
    assert after == [b"theirs", b'{"a":1}']
    assert file.sql("SELECT * FROM metadata") == [("migrations", "1")]


async def test_both_at_once_lose_no_update(daprd_binary: Path, file: File) -> None:
    """Each adds one, thirty times, guarded by the etag that it read."""

    with _daprd(daprd_binary, file) as daprd, daprd.client() as client:
        async with file.opened() as store:
            total = await counted_by_both(store, client, TURNS)

    assert total == str(2 * TURNS).encode()
