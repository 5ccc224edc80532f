"""Odd keys: whatever a key is made of, it is one key, and no other."""

from __future__ import annotations

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, row_of, values_of
from dapr_state.testing.stores.declaring import Ability, Kind, having, lacking

ODD = {
    "prefixed": "app||key",
    "bars": "a|b|||c",
    "space": " a  b ",
    "quotes": "'\"`--;",
    "patterns": "%_*?[a-z]\\",
    "braces": "{tag}{}",
    "line end": "a\r\nb\t",
    "Cyrillic": "ключ",
    "emoji": "🗝️",
    "composed": "\u00e9",
    "decomposed": "e\u0301",
    "upper case": "KEY",
    "lower case": "key",
    "letter": "a",
    "DEL and controls": "\x01\x1f\x7f",
    "number": "0012",
    "plain number": "12",
    "slashes": "../a/./b",
    "4 KiB": "k" * 4096,
    "4 KiB and one": "k" * 4097,
    "NULL": "NULL",
}
WITH_NUL = {"NUL": "a\x00b", "NUL at the end": "a\x00"}
NOT_UTF_8 = b"caf\xe9".decode(errors="surrogateescape")


@having()
@pytest.mark.parametrize("key", ODD.values(), ids=ODD)
async def test_an_odd_key_is_saved_read_and_deleted(kind: Kind, key: str) -> None:
    """Alone, with its etag, and in a transaction."""
    await save_read_and_delete(kind, key)


@having(Ability.NUL_KEY)
@pytest.mark.parametrize("key", WITH_NUL.values(), ids=WITH_NUL)
async def test_a_key_with_a_nul_is_saved_read_and_deleted(kind: Kind, key: str) -> None:
    """As any other."""
    await save_read_and_delete(kind, key)


async def save_read_and_delete(kind: Kind, key: str) -> None:
    async with kind.opened() as store:
        await put(store, Upsert(key, b"1"))
        await put(store, Upsert(key, b"2", etag=(await row_of(store, key)).etag))
        read = await values_of(store, key)
        await store.transact([Upsert(key, b"3"), Delete(key)])

        assert [*read, *await values_of(store, key)] == [b"2", None]


@having()
async def test_odd_keys_are_not_mixed_up(kind: Kind) -> None:
    """Each has its own value, however close the keys are: in case, in form, cut at a NUL."""
    keys = list(ODD.values())
    if Ability.NUL_KEY in kind.declaration.abilities:
        keys += WITH_NUL.values()
    async with kind.opened() as store:
        await put(store, *(Upsert(key, str(number).encode()) for number, key in enumerate(keys)))

        assert await values_of(store, *keys) == [str(number).encode() for number in range(len(keys))]


@having(Ability.ANY_KEY)
async def test_a_key_that_is_not_utf_8_is_a_key(kind: Kind) -> None:
    """HTTP paths may carry any bytes."""
    async with kind.opened() as store:
        await put(store, Upsert(NOT_UTF_8, b"v"))

        assert await values_of(store, NOT_UTF_8, "caf\u00e9") == [b"v", None]


@lacking(Ability.ANY_KEY)
async def test_a_key_that_is_not_utf_8_is_refused_alone(kind: Kind) -> None:
    """The entry says so, by name; its neighbours are served."""
    async with kind.opened() as store:
        outcomes = await store.write([Upsert("a", b"1"), Upsert(NOT_UTF_8, b"2"), Upsert("b", b"3", first_write=True)])
        guarded = await store.write([Upsert(NOT_UTF_8, b"2", etag="x"), Delete(NOT_UTF_8)])
        entries = await store.get(["a", NOT_UTF_8, "b"])

    assert [str(outcome) for outcome in (outcomes[1], *guarded, entries[1])] == [
        "the key is not valid UTF-8: 'caf\\udce9'"
    ] * 4
    assert (outcomes[0], outcomes[2]) == (None, None)
    assert [entry.value for entry in entries if isinstance(entry, StoredValue)] == [b"1", b"3"]


@lacking(Ability.ANY_KEY)
async def test_a_transaction_with_a_key_that_is_not_utf_8_leaves_no_trace(kind: Kind) -> None:
    """All or nothing."""
    async with kind.opened() as store:
        with pytest.raises(StoreError, match="not valid UTF-8"):
            await store.transact([Upsert("a", b"1"), Upsert(NOT_UTF_8, b"2")])

        assert await store.get(["a"]) == [None]


@lacking(Ability.NUL_KEY)
@pytest.mark.parametrize("key", WITH_NUL.values(), ids=WITH_NUL)
async def test_a_key_with_a_nul_is_refused_alone(kind: Kind, key: str) -> None:
    """The entry says so, by name; its neighbours are served."""
    async with kind.opened() as store:
        outcomes = await store.write([Upsert("b", b"1"), Upsert(key, b"2"), Delete(key), Upsert("c", b"3")])
        with pytest.raises(StoreError, match="NUL"):
            await store.transact([Upsert("b", b"2"), Upsert(key, b"2")])
        entries = await store.get(["b", key, "c"])

    assert ["NUL" in str(outcome) for outcome in (*outcomes, entries[1])] == [False, True, True, False, True]
    assert [entry.value for entry in entries if isinstance(entry, StoredValue)] == [b"1", b"3"]
