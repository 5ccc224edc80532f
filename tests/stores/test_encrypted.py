"""Encryption at rest: what is stored, what is read back, and when a component is encrypted at all."""

from __future__ import annotations

import base64
import logging
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.component import Component, SecretKeyRef
from dapr_state.resources.properties import Properties, PropertiesError
from dapr_state.stores import encryption
from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.build import build
from dapr_state.stores.encrypted import EncryptedStore
from dapr_state.stores.encryption import PRIMARY, SECONDARY, Key
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert

if TYPE_CHECKING:
    from collections.abc import Mapping

K1, K2 = Key("k1", bytes(range(16))), Key("k2", bytes(range(32)))
HEX = bytes(16).hex()
NOT_ON_RECORD = "could not decrypt data for state store lite: encryption key name not found on record"


def over(inner: MemoryStore, *keys: Key) -> EncryptedStore:
    return EncryptedStore(inner, "lite", keys)


def described(properties: Mapping[str, str], secrets: Mapping[str, str], secret_store: str = "lf") -> Component:
    """An in-memory component; `secrets` are the names of the secrets that its properties come from."""
    return Component(
        name="lite",
        type="state.in-memory",
        properties=Properties(properties),
        secret_keys={name.lower(): SecretKeyRef(secret, secret) for name, secret in secrets.items()},
        secret_store=secret_store,
    )


@pytest.mark.parametrize("value", [b"", b"hello", b'{"a":1}', bytes(range(256)), b"a||k1", b"x" * 2**20], ids=range(6))
async def test_values_come_back_as_they_were_written(value: bytes) -> None:
    """Every value keeps its bytes, written alone or in a transaction."""
    store = over(MemoryStore(), K1)

    await store.write([Upsert("a", value, is_json=True)])
    await store.transact([Upsert("b", value)])
    found = await store.get(["a", "b"])

    assert [row.value for row in found if isinstance(row, StoredValue)] == [value, value]


async def test_what_is_stored_has_the_layout_of_daprd() -> None:
    """Nonce, ciphertext and tag in base64, then the name of the secret."""
    inner = MemoryStore()

    await over(inner, K1).write([Upsert("a", b"hello")])
    (stored,) = await inner.get(["a"])

    assert isinstance(stored, StoredValue)
    text, name = stored.value.split(b"||")
    assert (len(base64.b64decode(text)), name) == (12 + 5 + 16, b"k1")


async def test_a_row_that_daprd_wrote_is_read() -> None:
    """Bytes taken from a database of daprd 1.18.1 decrypt to what was saved there."""
    inner = MemoryStore()
    await inner.write([Upsert("a", b"9UHJs/9W/TeaEbl/2RVRXf4C6jfrW3xVQD0JrlvAwc0s||k1")])

    (found,) = await over(inner, K1).get(["a"])

    assert isinstance(found, StoredValue)
    assert found.value == b"hello"


async def test_the_same_value_is_never_stored_twice_alike() -> None:
    """Each write has a nonce of its own."""
    inner = MemoryStore()

    await over(inner, K1).write([Upsert("a", b"hello"), Upsert("b", b"hello")])
    first, second = await inner.get(["a", "b"])

    assert isinstance(first, StoredValue)
    assert isinstance(second, StoredValue)
    assert first.value != second.value


async def test_after_a_rotation_old_values_are_read_and_new_ones_carry_the_new_key() -> None:
    """The secondary key reads what it once wrote; whatever is written again is under the primary key."""
    inner = MemoryStore()
    await over(inner, K1).write([Upsert("old", b"1"), Upsert("again", b"2")])
    rotated = over(inner, K2, K1)

    await rotated.write([Upsert("again", b"3")])
    read = await rotated.get(["old", "again"])
    stored = await inner.get(["old", "again"])

    assert [row.value for row in read if isinstance(row, StoredValue)] == [b"1", b"3"]
    assert [row.value[-2:] for row in stored if isinstance(row, StoredValue)] == [b"k1", b"k2"]


async def test_two_keys_of_one_secret_are_both_tried() -> None:
    """A rotation within one secret of two keys leaves both readable, although they share its name."""
    inner = MemoryStore()
    old, new = Key("s", K1.secret), Key("s", K2.secret)
    await over(inner, old).write([Upsert("a", b"1")])
    rotated = over(inner, new, old)

    await rotated.write([Upsert("b", b"2")])
    found = await rotated.get(["a", "b"])

    assert [row.value for row in found if isinstance(row, StoredValue)] == [b"1", b"2"]


@pytest.mark.parametrize(
    ("stored", "expected"),
    [
        (b"plain text", NOT_ON_RECORD),
        (b'{"a":1}', NOT_ON_RECORD),
        (b"AAAA||other", NOT_ON_RECORD),
        (b"AAAA||", NOT_ON_RECORD),
        (b"%%%||k1", "illegal base64 data"),
        (b"AAAA||k1", "cipher: message authentication failed"),
        (b"||k1", "cipher: message authentication failed"),
        (base64.b64encode(bytes(40)) + b"||k1", "cipher: message authentication failed"),
    ],
)
async def test_a_row_that_cannot_be_decrypted_fails_alone(stored: bytes, expected: str) -> None:
    """Foreign, damaged and plain rows are errors of their own key; the others of the call are read."""
    inner = MemoryStore()
    store = over(inner, K1)
    await store.write([Upsert("good", b"1")])
    await inner.write([Upsert("bad", stored)])

    bad, good, missing = await store.get(["bad", "good", "missing"])

    assert (isinstance(bad, StoreError), str(bad)) == (True, expected)
    assert isinstance(good, StoredValue)
    assert missing is None


async def test_an_empty_row_of_a_foreign_writer_is_empty() -> None:
    """What holds no bytes is nobody's ciphertext."""
    inner = MemoryStore()
    await inner.write([Upsert("a", b"")])

    (found,) = await over(inner, K1).get(["a"])

    assert isinstance(found, StoredValue)
    assert found.value == b""


async def test_etags_and_expiry_are_those_of_the_store() -> None:
    """Encryption changes the value and nothing else: conflicts, deletes and TTLs work as without it."""
    inner = MemoryStore()
    store = over(inner, K1)
    await store.write([Upsert("a", b"1", ttl=60)])
    (read,), (stored,) = await store.get(["a"]), await inner.get(["a"])
    refused, removed = await store.write([Upsert("a", b"2", etag="stale"), Delete("a", etag=getattr(read, "etag", ""))])

    assert isinstance(read, StoredValue)
    assert isinstance(stored, StoredValue)
    assert (read.etag, read.expires_at) == (stored.etag, stored.expires_at)
    assert isinstance(refused, EtagMismatch)
    assert removed is None
    assert {*inner.features} - {*store.features} == {Feature.QUERY}


def test_the_store_shows_key_names_and_no_keys() -> None:
    """What ends in a log line has the names of the keys and nothing of their bytes."""
    assert repr(over(MemoryStore(), K1, K2)) == "<EncryptedStore k1, k2: <MemoryStore 0 keys>>"
    assert repr(K1) == "Key(name='k1')"


def test_a_component_with_a_secret_and_a_secret_store_is_encrypted() -> None:
    """Both keys count, the primary first."""
    component = described({PRIMARY: HEX, SECONDARY: HEX}, {PRIMARY: "k1", SECONDARY: "k2"})

    assert [key.name for key in encryption.keys(component)] == ["k1", "k2"]
    assert isinstance(build(component), EncryptedStore)


@pytest.mark.parametrize(
    ("properties", "secret_store", "remedy"),
    [
        ({PRIMARY: HEX}, "", "auth: {secretStore: <name>}"),
        ({PRIMARY: ""}, "", "auth: {secretStore: <name>}"),
        ({PRIMARY: ""}, "lf", "primaryEncryptionKey is empty"),
        ({SECONDARY: HEX}, "lf", "give the key to write with as primaryEncryptionKey"),
        ({"PrimaryEncryptionKey": HEX}, "lf", "must be spelled primaryEncryptionKey"),
    ],
)
def test_keys_that_do_not_count_are_told(
    properties: dict[str, str], secret_store: str, remedy: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Where daprd silently stores plain values although a key is given, so do we, with a warning that names the fix."""
    with caplog.at_level(logging.WARNING):
        store = build(described(properties, {}, secret_store))

    (warning,) = caplog.messages
    assert isinstance(store, MemoryStore)
    assert warning.startswith("Values of lite (state.in-memory) are stored WITHOUT encryption: ")
    assert remedy in warning


def test_a_component_without_keys_is_not_spoken_of(caplog: pytest.LogCaptureFixture) -> None:
    """No key, no word about encryption."""
    with caplog.at_level(logging.DEBUG):
        build(described({"redisHost": "h"}, {}))

    assert caplog.messages == []


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zz", "primaryEncryptionKey: the key is not written in hexadecimal digits"),
        ("0011", "primaryEncryptionKey: the key has 2 bytes; AES keys have 16, 24 or 32"),
        ("", "could not get encryption key from secret k1"),
    ],
)
def test_a_key_that_cannot_be_used_stops_the_component(text: str, expected: str) -> None:
    """No store is opened without the encryption that was asked for, and the key is not quoted."""
    with pytest.raises(PropertiesError) as raised:
        build(described({PRIMARY: text}, {PRIMARY: "k1"}))

    assert str(raised.value) == expected


async def test_a_key_in_the_component_file_works_and_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Values under a key without a name can be read again, unlike with daprd, which the log says."""
    with caplog.at_level(logging.WARNING):
        store = build(described({PRIMARY: HEX}, {}))
    await store.write([Upsert("a", b"1")])

    (found,) = await store.get(["a"])

    assert isinstance(found, StoredValue)
    assert found.value == b"1"
    assert "daprd cannot read the values" in caplog.text
