"""What administration asks of a store: keys without values, either way; counting, removing, another time to live."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.stores import paging
from dapr_state.stores.base import EtagMismatch, StoreError, Unsupported
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, row_of, value_of
from dapr_state.testing.stores.declaring import Kind, having, lacking
from dapr_state.testing.stores.lists import keys_for, told

if TYPE_CHECKING:
    from dapr_state.stores.base import Count, KeyRow, StateStore

TTL = 2
VALUES = {"a": b"", "b": b"1", "c": b"12", "d": b"123", "e": b"\xff\0\x80", "f": "\u00e9".encode(), "g": b"x" * 5000}


async def rows_of(
    store: StateStore, prefix: str, limit: int, *, reverse: bool = False, sizes: bool = False, after: str = ""
) -> list[KeyRow]:
    """All rows of a list."""
    rows: list[KeyRow] = []
    while True:
        page = await store.keys(prefix, after=after, limit=limit, reverse=reverse, sizes=sizes)
        assert len(page.rows) <= limit
        rows += page.rows
        after = page.after
        if not after:
            return rows


async def total(store: StateStore, prefix: str, *, hidden: str = "", sizes: bool = False) -> tuple[int, int]:
    """All steps of a count."""
    keys = octets = 0
    after = ""
    while True:
        step: Count = await store.count(prefix, after=after, hidden=hidden, sizes=sizes)
        keys, octets, after = keys + step.keys, octets + step.size, step.after
        if not after:
            return keys, octets


async def removed(store: StateStore, prefix: str, *, hidden: str = "") -> int:
    """All steps of a removal."""
    keys, after = 0, ""
    while True:
        step = await store.remove(prefix, after=after, hidden=hidden)
        keys, after = keys + step.keys, step.after
        if not after:
            return keys


@having(Feature.LIST)
@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_keys_are_listed_without_their_values(kind: Kind, limit: int) -> None:
    """Every key as a prefix: characters that mean something elsewhere mean themselves."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in keys_for(kind)))
        prefixes = keys_for(kind) if limit == 1000 else ["", "a", "a||", "\u00e9"]
        found = {prefix: told(kind, [row.key for row in await rows_of(store, prefix, limit)]) for prefix in prefixes}

    assert found == {prefix: sorted(key for key in keys_for(kind) if key.startswith(prefix)) for prefix in prefixes}


@having(Feature.LIST, Feature.ORDER)
@pytest.mark.parametrize("limit", [1, 7, 1000])
async def test_keys_are_listed_backwards(kind: Kind, limit: int) -> None:
    """By code points, each of them once."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in keys_for(kind)))
        prefixes = keys_for(kind) if limit == 1000 else ["", "a", "a||", "\u00e9"]
        found = {prefix: [row.key for row in await rows_of(store, prefix, limit, reverse=True)] for prefix in prefixes}

    assert found == {
        prefix: sorted((key for key in keys_for(kind) if key.startswith(prefix)), reverse=True) for prefix in prefixes
    }


@lacking(Feature.ORDER)
async def test_what_has_no_order_is_not_listed_backwards(kind: Kind) -> None:
    """It is refused, rather than told in some order."""
    async with kind.opened() as store:
        if Feature.LIST in store.features:
            with pytest.raises(Unsupported, match=r"^the store does not support ORDER$"):
                await store.keys("", limit=1, reverse=True)


@having(Feature.LIST, Feature.ORDER)
@pytest.mark.parametrize("reverse", [False, True])
async def test_a_list_passes_over_a_group(kind: Kind, reverse: bool) -> None:
    """All keys that begin so, in either direction, and those beside them are all there."""
    keys = ["a", "a/", "a/1", "a/\U0010ffff", "a/\U0010ffffx", "a0", "b", "\U0010ffff", "\U0010ffffz"]
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in keys))
        behind = await rows_of(store, "", 2, after=paging.token_beyond("a/"), reverse=reverse)
        last = await rows_of(store, "", 2, after=paging.token_beyond("\U0010ffff"), reverse=reverse)

    assert [row.key for row in behind] == (["a"] if reverse else ["a0", "b", "\U0010ffff", "\U0010ffffz"])
    assert [row.key for row in last] == (["b", "a0", "a/\U0010ffffx", "a/\U0010ffff", "a/1", "a/", "a"] * reverse)


@having(Feature.LIST)
async def test_a_row_says_what_the_value_would(kind: Kind) -> None:
    """Etag and expiry, and if it is asked how long the value is as callers have it: JSON, text, octets, nothing."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, value, ttl=1000 if key < "c" else None) for key, value in VALUES.items()))
        await put(store, Upsert("h", b'{"x":1}', is_json=True))
        rows = {row.key: row for row in await rows_of(store, "", 100, sizes=True)}
        plain = {row.key: row for row in await rows_of(store, "", 100)}
        stored = {key: await row_of(store, key) for key in [*VALUES, "h"]}

    assert {key: (row.etag, row.expires_at, row.size) for key, row in rows.items()} == {
        key: (row.etag, row.expires_at, len(row.value)) for key, row in stored.items()
    }
    assert {row.size for row in plain.values()} == {None}
    assert {key: (row.etag, row.expires_at) for key, row in plain.items()} == {
        key: (row.etag, row.expires_at) for key, row in stored.items()
    }


@having(Feature.LIST)
async def test_a_count_has_those_of_the_prefix(kind: Kind) -> None:
    """With their octets if that is asked, and without those that are hidden."""
    keys = ["app||a", "app||b", "app||T||1||x", "app||T||1||y", "app1||a", "app", "app|"]
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"12345") for key in keys))

        assert await total(store, "app||") == (4, 0)
        assert await total(store, "app||", sizes=True) == (4, 20)
        assert await total(store, "app||", hidden="||") == (2, 0)
        assert await total(store, "app||", hidden="||", sizes=True) == (2, 10)
        assert await total(store, "") == (7, 0)
        assert await total(store, "nothing", sizes=True) == (0, 0)


@having(Feature.LIST)
async def test_many_are_counted_and_removed_in_steps(kind: Kind) -> None:
    """More than one step has: none is forgotten, none counts twice where there is an order."""
    async with kind.opened() as store:
        await put(store, *(Upsert(f"many{number}", b"v") for number in range(2500)), Upsert("n", b"v"))
        counted, _ = await total(store, "many")
        gone = await removed(store, "many")

        assert counted == 2500 or (counted > 2500 and Feature.ORDER not in kind.declaration.features)
        assert gone == counted
        assert await total(store, "many") == (0, 0)
        assert await value_of(store, "n") == b"v"


@having(Feature.LIST)
async def test_what_is_removed_is_of_the_prefix_and_not_hidden(kind: Kind) -> None:
    """Those of applications with longer names stay, and so do their actors'."""
    keys = ["app||a", "app||ab", "app||a%", "app||T||1||x", "app1||a", "app"]
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v") for key in keys))
        assert await removed(store, "app||a", hidden="||") == 3
        left = {row.key for row in await rows_of(store, "", 100)}

    assert left == {"app||T||1||x", "app1||a", "app"}


@having(Feature.LIST, Feature.TTL)
async def test_expired_rows_are_not_counted(kind: Kind) -> None:
    """Nor listed."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"v", ttl=TTL), Upsert("b", b"v"))
        await kind.until_gone(store, "a", TTL)

        assert await total(store, "", sizes=True) == (1, 1)
        assert [row.key for row in await rows_of(store, "", 10)] == ["b"]


@having(Feature.LIST)
async def test_a_removal_beside_saves_leaves_nothing_old(kind: Kind) -> None:
    """What was there when it began is gone; what is saved meanwhile may stay, and no save fails."""
    async with kind.opened() as store:
        await put(store, *(Upsert(f"k{number:04}", b"old") for number in range(1200)))

        async def save() -> None:
            for number in range(100):
                await put(store, Upsert(f"k{number * 12:04}", b"new"), Upsert(f"kx{number}", b"new"))

        await asyncio.gather(removed(store, "k"), save())
        rows = await store.get([f"k{number:04}" for number in range(1200)])

    assert {row.value for row in rows if isinstance(row, StoredValue)} <= {b"new"}


@having(Feature.TOUCH)
async def test_a_touch_changes_the_expiry_alone(kind: Kind) -> None:
    """Given to one that had none, prolonged, taken away: value and etag stay."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"\xffvalue"))
        before = await row_of(store, "k")
        await store.touch("k", 100)
        short = await row_of(store, "k")
        await store.touch("k", 1000, etag=before.etag)
        long = await row_of(store, "k")
        await store.touch("k", None)
        after = await row_of(store, "k")

    assert (short.value, short.etag) == (long.value, long.etag) == (before.value, before.etag)
    assert short.expires_at
    assert long.expires_at
    assert 898 <= long.expires_at - short.expires_at <= 902
    assert after == before


@having(Feature.TOUCH)
async def test_a_touched_row_goes_when_it_says(kind: Kind) -> None:
    """And one that is kept for ever stays."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"v"), Upsert("b", b"v", ttl=TTL))
        await store.touch("b", None)
        await store.touch("a", TTL)
        await kind.until_gone(store, "a", TTL)

        assert await value_of(store, "b") == b"v"


@having(Feature.TOUCH)
async def test_a_touch_of_what_is_not_there_is_refused(kind: Kind) -> None:
    """It would be a row without a value."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"), Delete("k"))
        for ttl in (100, None):
            with pytest.raises(EtagMismatch, match="state not exist or expired for key=k"):
                await store.touch("k", ttl)

        assert await value_of(store, "k") is None


@having(Feature.TOUCH)
async def test_a_touch_of_another_version_is_refused(kind: Kind) -> None:
    """And changes nothing."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
        with pytest.raises(EtagMismatch, match="state etag not match for key=k"):
            await store.touch("k", 100, etag=kind.foreign_etag)

        assert (await row_of(store, "k")).expires_at is None


@lacking(Feature.TOUCH)
async def test_a_store_that_cannot_touch_says_so(kind: Kind) -> None:
    """It is refused in the agreed way."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
        with pytest.raises(Unsupported, match=r"^the store does not support TOUCH$"):
            await store.touch("k", 100)


@having(Feature.LIST)
@pytest.mark.parametrize("token", ["nonsense", "eDE6YQ==", "ZzE6b3RoZXI="])
async def test_keys_do_not_go_on_where_no_list_has_been(kind: Kind, token: str) -> None:
    """Nor behind a group of another prefix."""
    async with kind.opened() as store:
        with pytest.raises(StoreError, match=r"^the token to go on with was not given by this list$"):
            await store.keys("mine", after=token, limit=1)
