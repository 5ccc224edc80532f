"""Encryption at rest beside daprd: each reads what the other encrypted, and both refuse the same rows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support.client import Client, item
from tests.support.components import component
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.support.components import Component
    from tests.support.redis import RedisServer

pytestmark = pytest.mark.oracle

STORES = ("redis", "lite")
DATABASE = 4  # of the server; no other test uses it
KEYS = {"k1": bytes(range(16)).hex(), "k2": bytes(range(32)).hex(), "other": "ab" * 24}
VALUES = [b"text", b"", b"\x00\xff\xfe", b'{"a": [1, 2]}', b"ends||k1", b"x" * 2**20]


class Pair(NamedTuple):
    writer: Client
    other: Client


class Servers(NamedTuple):
    """Ours and theirs, with the same components over the same data."""

    ours: Client
    theirs: Client


def encrypted(document: Component, primary: str, secondary: str = "") -> Component:
    """The component with its keys from the secret store."""
    document["auth"] = {"secretStore": "secrets"}
    names = {"primaryEncryptionKey": primary, "secondaryEncryptionKey": secondary}
    document["spec"]["metadata"] += [
        {"name": field, "secretKeyRef": {"name": name, "key": name}} for field, name in names.items() if name
    ]
    return document


def components(folder: Path, redis_server: RedisServer) -> list[Component]:
    """Each store four times over the same data: without a key, with k1, rotated to k2, and with a wrong k1."""
    (folder / "secrets.json").write_text(json.dumps(KEYS))
    (folder / "wrong.json").write_text(json.dumps(KEYS | {"k1": KEYS["other"]}))

    def stores(suffix: str) -> list[Component]:
        common = {"keyPrefix": "none"}
        return [
            component("redis" + suffix, "state.redis", redisHost=redis_server.address, redisDB=str(DATABASE), **common),
            component("lite" + suffix, "state.sqlite", connectionString=str(folder / "shared.db"), **common),
        ]

    wrong = [encrypted(document, "k1") for document in stores("-wrong")]
    for document in wrong:
        document["auth"] = {"secretStore": "wrong"}
    return [
        component("secrets", "secretstores.local.file", secretsFile=str(folder / "secrets.json")),
        component("wrong", "secretstores.local.file", secretsFile=str(folder / "wrong.json")),
        *stores("-plain"),
        *(encrypted(document, "k1") for document in stores("")),
        *(encrypted(document, "k2", "k1") for document in stores("-rotated")),
        *wrong,
    ]


@pytest.fixture(scope="module")
def servers(
    tmp_path_factory: pytest.TempPathFactory, redis_server: RedisServer, daprd_binary: Path
) -> Iterator[Servers]:
    folder = tmp_path_factory.mktemp("encryption")
    documents = components(folder, redis_server)
    with (
        Sidecar(folder, documents) as ours,
        Daprd(daprd_binary, folder, documents) as theirs,
        ours.client() as first,
        theirs.client() as second,
    ):
        yield Servers(first, second)


@pytest.fixture(params=["we write", "daprd writes"])
def pair(request: pytest.FixtureRequest, servers: Servers) -> Pair:
    """Both directions: the one that writes, and the one that comes upon it."""
    ours, theirs = servers
    return Pair(ours, theirs) if request.param == "we write" else Pair(theirs, ours)


@pytest.fixture
def key(request: pytest.FixtureRequest) -> str:
    """A key of the test's own."""
    name: str = request.node.name
    return name


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("value", VALUES, ids=range(len(VALUES)))
def test_what_one_encrypts_the_other_reads(value: bytes, store: str, pair: Pair, key: str) -> None:
    """A value of any bytes comes back as it was written, with the same etag on both, and is not stored in the clear."""
    assert pair.writer.save(store, item(key, value)).ok
    written, read, stored = (
        pair.writer.get(store, key),
        pair.other.get(store, key),
        pair.other.get(f"{store}-plain", key),
    )

    assert read.response.get("data", b"") == value
    assert read == written
    assert stored.response["data"].endswith(b"||k1")


@pytest.mark.parametrize("store", STORES)
def test_a_bulk_get_decrypts_each_row(store: str, pair: Pair, key: str) -> None:
    """Rows of the other writer are read together as well as alone."""
    for number in range(3):
        assert pair.writer.save(store, item(f"{key}{number}", b"%d" % number)).ok
    found = pair.other.bulk_get(store, f"{key}0", f"{key}1", f"{key}2")

    assert {row["key"]: row["data"] for row in found.response["items"]} == {
        f"{key}{number}": b"%d" % number for number in range(3)
    }


@pytest.mark.parametrize("store", STORES)
def test_a_rotation_is_read_by_both(store: str, pair: Pair, key: str) -> None:
    """With the old key as the secondary one, old rows stay readable, and new ones carry the new key."""
    assert pair.writer.save(store, item(key, b"old")).ok
    old = pair.other.get(f"{store}-rotated", key)
    assert pair.writer.save(f"{store}-rotated", item(key, b"new")).ok
    new = pair.other.get(f"{store}-rotated", key)
    stored = pair.other.get(f"{store}-plain", key)

    assert (old.response["data"], new.response["data"]) == (b"old", b"new")
    assert stored.response["data"].endswith(b"||k2")


@pytest.mark.parametrize("store", STORES)
def test_a_transaction_of_ours_is_read_by_daprd(store: str, servers: Servers, key: str) -> None:
    """The bytes of a transaction are encrypted as they are; daprd itself would print them as a list of numbers."""
    assert servers.ours.transact(store, ("upsert", item(key, b"abc"))).ok

    assert servers.theirs.get(store, key).response["data"] == b"abc"


@pytest.mark.parametrize("store", STORES)
def test_a_wrong_key_is_the_same_error(store: str, servers: Servers, key: str) -> None:
    """A row under another key with the same name is INTERNAL with daprd's text, alone and in a bulk get."""
    assert servers.ours.save(store, item(key, b"secret")).ok
    wrong = f"{store}-wrong"
    ours, theirs = servers.ours.get(wrong, key), servers.theirs.get(wrong, key)
    ours_bulk, theirs_bulk = servers.ours.bulk_get(wrong, key), servers.theirs.bulk_get(wrong, key)

    assert ours == theirs
    assert ours.code == "INTERNAL"
    assert ours_bulk.response["items"][0]["error"] == theirs_bulk.response["items"][0]["error"]


@pytest.mark.parametrize("store", STORES)
def test_a_row_without_a_key_name_is_the_same_error(store: str, servers: Servers, key: str) -> None:
    """Text that ends in the separator has no key name: daprd's error, and ours."""
    assert servers.ours.save(f"{store}-plain", item(key, b"AAAA||")).ok

    assert servers.ours.get(store, key) == servers.theirs.get(store, key)


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("stored", [b"plain text", b"AAAA||unknown", b"AAAA||k1"], ids=range(3))
def test_rows_that_end_daprd_are_an_error_of_one_read(store: str, stored: bytes, servers: Servers, key: str) -> None:
    """A plain row, one under an unknown key, and one too short fail alone; the next read is answered."""
    assert servers.ours.save(f"{store}-plain", item(key, stored)).ok
    assert servers.ours.save(store, item(f"{key}-good", b"good")).ok
    alone = servers.ours.get(store, key)
    together = servers.ours.bulk_get(store, key, f"{key}-good")

    assert alone.code == "INTERNAL"
    assert alone.message.startswith(f"fail to get {key} from state store {store}: ")
    assert [bool(row.get("error")) for row in together.response["items"]] == [True, False]
    assert together.response["items"][1]["data"] == b"good"
