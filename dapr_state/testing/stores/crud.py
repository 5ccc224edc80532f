"""Saving, reading, deleting: what every store does."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, Upsert
from dapr_state.testing.stores.asking import put, row_of, value_of, values_of, write_one
from dapr_state.testing.stores.declaring import Ability, Kind, having, lacking

VALUES = {
    "text": b"hello",
    "empty": b"",
    "JSON": b'{"b": 1.00000000000000000001, "a": [12345678901234567890, null]}',
    "zeros": b"\x00\x00",
    "all bytes": bytes(range(256)),
    "not UTF-8": b"\xff\xfe",
    "1 MiB": bytes(range(256)) * 4096,
    "line ends": b"\r\n\n",
}


@having()
async def test_a_store_promises_what_is_declared(kind: Kind) -> None:
    """The features that a store tells are those of its line, in their order."""
    async with kind.opened() as store:
        assert store.features == kind.declaration.features


@having()
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_a_value_comes_back_as_it_was_saved(kind: Kind, value: bytes) -> None:
    """Values are bytes, an empty one included."""
    async with kind.opened() as store:
        await put(store, Upsert("k", value))

        assert (await row_of(store, "k")).value == value


@having(Ability.JSON_AS_TEXT)
@pytest.mark.parametrize(
    "value", [b'{"b":1,"a":2}', b'"text"', b"null", b" [1, 2]\n", '"\u00e9\u2028"'.encode(), b'"\xff"']
)
async def test_json_comes_back_as_the_text_that_was_saved(kind: Kind, value: bytes) -> None:
    """Its spaces, the order of its members and its numbers are kept."""
    async with kind.opened() as store:
        await put(store, Upsert("k", value, is_json=True))

        assert (await row_of(store, "k")).value == value


@lacking(Ability.JSON_AS_TEXT)
@pytest.mark.parametrize(
    "value", [b'{"b":1,"a":12345678901234567890}', b'"text"', b"null", b" [1, 2]\n", '"\u00e9\u2028"'.encode(), b"0.1"]
)
async def test_json_comes_back_as_equal_json(kind: Kind, value: bytes) -> None:
    """As the database writes it: no digit of a number is lost."""
    async with kind.opened() as store:
        await put(store, Upsert("k", value, is_json=True))
        read = (await row_of(store, "k")).value

        assert json.loads(read, parse_float=Decimal) == json.loads(value, parse_float=Decimal)


@having()
@pytest.mark.parametrize("value", [b'"\xff"', b'"\\u0000"', b'"\\ud800"', b"1e1000000", b"no JSON"])
async def test_json_that_no_database_takes_comes_back_as_it_was_saved(kind: Kind, value: bytes) -> None:
    """A value is a value, also in a transaction; and its neighbours are what they are."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"1", is_json=True), Upsert("k", value, is_json=True), Upsert("b", b"\xff"))
        await store.transact([Upsert("{t}c", b"1", is_json=True), Upsert("{t}l", value, is_json=True)])

        assert await values_of(store, "a", "k", "b", "{t}c", "{t}l") == [b"1", value, b"\xff", b"1", value]


@having()
async def test_a_value_that_was_json_may_become_bytes_and_back(kind: Kind) -> None:
    """Nothing of the earlier value's nature stays with the key."""
    async with kind.opened() as store:
        seen = []
        for operation in (Upsert("k", b"{}", is_json=True), Upsert("k", b"{}"), Upsert("k", b"[]", is_json=True)):
            await put(store, operation)
            seen.append(await value_of(store, "k"))

        assert seen == [b"{}", b"{}", b"[]"]


@having()
async def test_a_missing_key_is_none(kind: Kind) -> None:
    """No row, which is not the same as an empty value."""
    async with kind.opened() as store:
        assert await store.get(["nobody"]) == [None]


@having()
async def test_a_save_replaces_the_value(kind: Kind) -> None:
    """Without etag and options the last save wins."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"a long first value"))
        await put(store, Upsert("k", b"b"))

        assert await value_of(store, "k") == b"b"


@having()
async def test_a_deleted_key_is_gone(kind: Kind) -> None:
    """And the others stay."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"1"), Upsert("b", b"2"))
        await put(store, Delete("a"))

        assert await values_of(store, "a", "b") == [None, b"2"]


@having()
async def test_deleting_a_missing_key_succeeds(kind: Kind) -> None:
    """Delete is idempotent."""
    async with kind.opened() as store:
        assert await write_one(store, Delete("nobody")) is None


@having()
async def test_an_open_store_answers_a_ping(kind: Kind) -> None:
    """No error, no result."""
    async with kind.opened() as store:
        assert await store.ping() is None  # type: ignore[func-returns-value]


@having()
async def test_after_close_every_call_is_refused(kind: Kind) -> None:
    """A StoreError each, no hang and no answer from a store that is closed."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
    calls = [store.get(["k"]), store.write([Upsert("k", b"w")]), store.transact([Delete("k")]), store.ping()]

    ends = await asyncio.gather(*calls, return_exceptions=True)

    assert [isinstance(end, StoreError) for end in ends] == [True] * 4


@having()
async def test_close_may_be_said_twice(kind: Kind) -> None:
    """The second one finds nothing to do."""
    async with kind.opened() as store:
        await store.close()


@having(Ability.DURABLE)
async def test_values_outlive_the_store(kind: Kind) -> None:
    """What one object wrote, the next one reads, etag included."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v", ttl=1000))
        before = await row_of(store, "k")
    async with kind.opened() as store:
        after = await row_of(store, "k")

    assert (after.value, after.etag) == (before.value, before.etag)


@lacking(Ability.DURABLE)
async def test_values_in_memory_end_with_the_store(kind: Kind) -> None:
    """A new object starts empty."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
    async with kind.opened() as store:
        assert await store.get(["k"]) == [None]


@having()
async def test_the_repr_is_fit_for_a_log(kind: Kind) -> None:
    """It names the store and holds neither keys nor values."""
    async with kind.opened() as store:
        await put(store, Upsert("secret-key", b"secret-value"))
        shown = repr(store)

    assert shown.startswith(f"<{type(store).__name__} ")
    assert "secret" not in shown
