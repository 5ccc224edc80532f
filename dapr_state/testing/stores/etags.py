"""Versions: an etag that is given is enforced, and first-write finds the place free or fails."""

from __future__ import annotations

import pytest

from dapr_state.stores.base import EtagMismatch
from dapr_state.stores.model import Delete, Feature, Upsert
from dapr_state.testing.stores.asking import conflicts, put, row_of, value_of, values_of, write_one
from dapr_state.testing.stores.declaring import Kind, having


@having(Feature.ETAG)
async def test_every_save_makes_a_new_etag(kind: Kind) -> None:
    """Also when the value is the same."""
    async with kind.opened() as store:
        seen = []
        for _ in range(5):
            await put(store, Upsert("k", b"v"))
            seen.append((await row_of(store, "k")).etag)

    assert all(seen)
    assert len(set(seen)) == len(seen)


@having(Feature.ETAG)
async def test_reading_and_others_do_not_change_an_etag(kind: Kind) -> None:
    """Only a write to the key does."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"), Upsert("other", b"v"))
        before = (await row_of(store, "k")).etag
        await put(store, Upsert("other", b"w"), Delete("gone"))

        assert (await row_of(store, "k")).etag == before


@having(Feature.ETAG)
async def test_the_current_etag_lets_a_write_pass(kind: Kind) -> None:
    """Save and delete alike."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"1"), Upsert("b", b"1"))
        await put(store, Upsert("a", b"2", etag=(await row_of(store, "a")).etag))
        await put(store, Delete("b", etag=(await row_of(store, "b")).etag))

        assert await values_of(store, "a", "b") == [b"2", None]


@having(Feature.ETAG)
@pytest.mark.parametrize("first_write", [False, True])
async def test_a_stale_etag_refuses_a_write(kind: Kind, first_write: bool) -> None:
    """Whatever the concurrency option, the row stays; the error names key, current and given etag."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"1"))
        stale = (await row_of(store, "k")).etag
        await put(store, Upsert("k", b"2"))
        current = await row_of(store, "k")
        outcomes = await store.write([
            Upsert("k", b"3", etag=stale, first_write=first_write),
            Delete("k", etag=stale, first_write=first_write),
        ])  # fmt: skip

        cause = f"state etag not match for key=k: current={current.etag}, expect={stale}"
        assert [str(outcome) for outcome in outcomes] == [
            f"possible etag mismatch. error from state store: {cause}"
        ] * 2
        assert await row_of(store, "k") == current


@having(Feature.ETAG)
async def test_an_etag_on_a_missing_key_refuses_a_write(kind: Kind) -> None:
    """Nothing is created, and there was nothing to delete."""
    async with kind.opened() as store:
        outcomes = await store.write([Upsert("k", b"v", etag=kind.foreign_etag), Delete("k", etag=kind.foreign_etag)])

        assert [str(outcome) for outcome in outcomes] == [
            "possible etag mismatch. error from state store: state not exist or expired for key=k"
        ] * 2
        assert await value_of(store, "k") is None


@having(Feature.ETAG)
@pytest.mark.parametrize("etag", ["nonsense", "-1", "0", " ", "\u00e9", "9" * 30, "1.0", "+9", "09", "x" * 5000])
async def test_an_etag_that_no_store_makes_refuses_a_write(kind: Kind, etag: str) -> None:
    """A conflict or an invalid etag, as the store knows it; the row stays."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
        before = await row_of(store, "k")
        outcomes = await store.write([Upsert("k", b"w", etag=etag), Delete("k", etag=etag)])

        assert conflicts(outcomes) == [True, True]
        assert await row_of(store, "k") == before


@having(Feature.ETAG)
async def test_the_etag_of_a_deleted_row_does_not_serve_its_successor(kind: Kind) -> None:
    """A key that was deleted and saved again is another row, where etags are unique; at least the delete counts."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"1"))
        etag = (await row_of(store, "k")).etag
        await put(store, Delete("k"))

        assert conflicts([await write_one(store, Upsert("k", b"2", etag=etag))]) == [True]


@having(Feature.ETAG)
async def test_first_write_creates_once(kind: Kind) -> None:
    """The second one is a conflict, each time, and the row stays."""
    async with kind.opened() as store:
        outcomes = [await write_one(store, Upsert("k", value, first_write=True)) for value in (b"1", b"2", b"3")]

        assert conflicts(outcomes) == [False, True, True]
        assert str(outcomes[2]) == (
            "possible etag mismatch. error from state store: item already exists and no etag was passed for key=k"
        )
        assert await value_of(store, "k") == b"1"


@having(Feature.ETAG)
async def test_first_write_leaves_no_mark(kind: Kind) -> None:
    """Later plain saves pass, and after a delete the place is free again."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"1", first_write=True))
        await put(store, Upsert("k", b"2"))
        await put(store, Delete("k"))
        await put(store, Upsert("k", b"3", first_write=True))

        assert await value_of(store, "k") == b"3"


@having(Feature.ETAG)
async def test_first_write_with_the_current_etag_passes(kind: Kind) -> None:
    """The etag says more than the option."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"1"))
        await put(store, Upsert("k", b"2", etag=(await row_of(store, "k")).etag, first_write=True))

        assert await value_of(store, "k") == b"2"


@having(Feature.ETAG)
async def test_first_write_on_an_empty_value_is_a_conflict(kind: Kind) -> None:
    """An empty value is a value."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b""))

        assert isinstance(await write_one(store, Upsert("k", b"v", first_write=True)), EtagMismatch)


@having(Feature.ETAG)
async def test_a_first_write_delete_without_etag_deletes(kind: Kind) -> None:
    """The option means nothing more than the etag."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v"))
        await put(store, Delete("k", first_write=True))

        assert await value_of(store, "k") is None


@having()
async def test_strong_consistency_is_served(kind: Kind) -> None:
    """A store without replicas has nothing to wait for."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"v", strong=True), Upsert("gone", b"v"), Delete("gone", strong=True))

        assert await values_of(store, "k", "gone") == [b"v", None]
