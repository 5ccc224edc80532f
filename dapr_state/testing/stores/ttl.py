"""Expiry: a value lives as long as its save said, and no trace of an earlier TTL stays."""

from __future__ import annotations

from datetime import datetime

import pytest

from dapr_state.api import expiry
from dapr_state.clock import VISIBLE
from dapr_state.stores.base import EtagMismatch
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.testing.stores.asking import conflicts, put, row_of, value_of, values_of, write_one
from dapr_state.testing.stores.declaring import Kind, having

TTL = 2  # seconds; a store that counts whole ones keeps a TTL of 1 for less than that


@having(Feature.TTL)
async def test_a_value_is_there_at_first_and_gone_at_last(kind: Kind) -> None:
    """And one without a TTL beside it stays."""
    async with kind.opened() as store:
        await put(store, Upsert("mortal", b"v", ttl=TTL), Upsert("lasting", b"v"))
        at_first = await value_of(store, "mortal")
        await kind.until_gone(store, "mortal", TTL)

        assert at_first == b"v"
        assert await values_of(store, "mortal", "lasting", "mortal") == [None, b"v", None]


@having(Feature.TTL)
async def test_the_expiry_is_told(kind: Kind) -> None:
    """In unix seconds, from the store's own clock; None where there is none."""
    async with kind.opened() as store:
        await put(store, Upsert("soon", b"v", ttl=100), Upsert("late", b"v", ttl=100_000), Upsert("never", b"v"))
        rows = [row for row in await store.get(["soon", "late", "never"]) if isinstance(row, StoredValue)]

    soon, late, never = (row.expires_at for row in rows)
    assert soon is not None
    assert late is not None
    assert 99_899 <= late - soon <= 99_901
    assert never is None


@having(Feature.TTL)
async def test_the_expiry_is_counted_from_now(kind: Kind) -> None:
    """To the second, where the store's clock is this machine's."""
    async with kind.opened() as store:
        earliest = VISIBLE.now() + 1000
        await put(store, Upsert("k", b"v", ttl=1000))
        latest = VISIBLE.now() + 1000
        told = (await row_of(store, "k")).expires_at

    assert told is not None
    assert kind.place.turn or earliest - 1 <= told <= latest + 1


@having(Feature.TTL)
async def test_a_save_without_ttl_clears_it(kind: Kind) -> None:
    """With and without an etag, alone and in a transaction."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v", ttl=1000) for key in "abc"))
        await put(store, Upsert("a", b"w"))
        await put(store, Upsert("b", b"w", etag=(await row_of(store, "b")).etag))
        await store.transact([Upsert("c", b"w")])

        assert [(await row_of(store, key)).expires_at for key in "abc"] == [None] * 3


@having(Feature.TTL)
async def test_a_save_with_ttl_sets_and_replaces_it(kind: Kind) -> None:
    """The last save's word counts."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
        await put(store, Upsert("k", b"v", ttl=1000))
        first = (await row_of(store, "k")).expires_at
        await put(store, Upsert("k", b"v", ttl=5000, etag=(await row_of(store, "k")).etag))
        second = (await row_of(store, "k")).expires_at

    assert first is not None
    assert second is not None
    assert 3999 <= second - first <= 4010


@having(Feature.TTL)
async def test_the_longest_ttl_is_kept(kind: Kind) -> None:
    """The API lets 2,147,483,647 seconds pass: 68 years."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v", ttl=2**31 - 1), Upsert("soon", b"v", ttl=1000))
        far, near = (await row_of(store, "k")).expires_at, (await row_of(store, "soon")).expires_at

    assert far is not None
    assert near is not None
    assert 2**31 - 1 - 1010 <= far - near <= 2**31 - 1 - 990


@having(Feature.TTL, Feature.ETAG)
async def test_an_expired_row_is_a_missing_one(kind: Kind) -> None:
    """Its etag serves nobody, first-write finds the place free, and a delete finds nothing to refuse."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"v", ttl=TTL) for key in "abcd"))
        etags = {key: (await row_of(store, key)).etag for key in "abcd"}
        for key in "abcd":
            await kind.until_gone(store, key, TTL)
        outcomes = await store.write([
            Upsert("a", b"w", etag=etags["a"]),
            Delete("b", etag=etags["b"]),
            Upsert("c", b"w", first_write=True),
            Delete("d"),
        ])  # fmt: skip

        assert conflicts(outcomes) == [True, True, False, False]
        assert await values_of(store, *"abcd") == [None, None, b"w", None]


@having(Feature.TTL, Feature.ETAG)
async def test_a_refused_save_does_not_touch_the_ttl(kind: Kind) -> None:
    """Value, etag and expiry change together or not at all."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v", ttl=1000))
        before = await row_of(store, "k")
        refused = [
            await write_one(store, Upsert("k", b"w", etag=kind.foreign_etag)),
            await write_one(store, Upsert("k", b"w", first_write=True, ttl=5)),
        ]

        assert [type(outcome) for outcome in refused] == [EtagMismatch] * 2
        assert await row_of(store, "k") == before


@having(Feature.TTL)
@pytest.mark.parametrize("seconds", [2**31, 2**33 + 1, 10**11, 10**12, 9 * 10**15, 10**16, 2**63 - 1])
async def test_whatever_ttl_is_accepted_the_value_stays_and_can_be_told(kind: Kind, seconds: int) -> None:
    """SQL stores refuse what is above 2,147,483,647; elsewhere an end beyond the year 9999 is no end."""
    async with kind.opened() as store:
        asked = {"ttlInSeconds": str(seconds)}
        if store.ttl_rule.ranged:
            with pytest.raises(ValueError, match="must be -1 or greater"):
                store.ttl_rule.read(asked)
            return
        ttl = store.ttl_rule.read(asked)
        await put(store, Upsert("k", b"v", ttl=ttl), Upsert("beside", b"v"))
        row = await row_of(store, "k")

        assert row.value == b"v"
        assert await value_of(store, "beside") == b"v"
    told = expiry.metadata(row).get("ttlExpireTime", "never")
    assert told == "never" if seconds > 10**11 else datetime.fromisoformat(told).year < 10_000
