"""Many keys in one call: order, duplicates, and each entry's own outcome."""

from __future__ import annotations

from dapr_state.stores.base import EtagMismatch
from dapr_state.stores.model import Delete, Upsert
from dapr_state.testing.stores.asking import conflicts, put, row_of, value_of, values_of
from dapr_state.testing.stores.declaring import Ability, Kind, having

MANY = 1000


@having()
async def test_nothing_asked_is_nothing_done(kind: Kind) -> None:
    """Empty calls succeed with empty answers."""
    async with kind.opened() as store:
        await store.transact([])

        assert (await store.get([]), await store.write([])) == ([], [])


@having()
async def test_answers_come_in_the_order_of_the_request(kind: Kind) -> None:
    """Missing keys in between, duplicates included."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"1"), Upsert("b", b"2"), Upsert("c", b"3"))

        assert await values_of(store, "c", "x", "a", "c", "x", "b", "a") == [b"3", None, b"1", b"3", None, b"2", b"1"]


@having()
async def test_a_thousand_keys_in_one_call(kind: Kind) -> None:
    """Written, read, half of them deleted, each call at once."""
    keys = [f"k{number}" for number in range(MANY)]
    async with kind.opened() as store:
        await put(store, *(Upsert(key, key.encode()) for key in keys))
        full = await values_of(store, *keys)
        await put(store, *(Delete(key) for key in keys[::2]))
        half = await values_of(store, *keys)

    assert full == [key.encode() for key in keys]
    assert half == [None if number % 2 == 0 else key.encode() for number, key in enumerate(keys)]


@having(without=Ability.SLOTS)
async def test_a_transaction_of_a_thousand_operations(kind: Kind) -> None:
    """All of them at once."""
    async with kind.opened() as store:
        await store.transact([Upsert(f"k{number}", b"v") for number in range(MANY)])

        assert await values_of(store, *(f"k{number}" for number in range(MANY))) == [b"v"] * MANY


@having()
async def test_duplicates_are_applied_in_the_order_of_the_request(kind: Kind) -> None:
    """The last one wins, whichever it is."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"1"), Upsert("b", b"1"), Delete("a"), Upsert("b", b"2"), Upsert("a", b"3"))
        await put(store, Upsert("b", b"4"), Upsert("c", b"1"), Delete("b"), Upsert("c", b"2"))

        assert await values_of(store, "a", "b", "c") == [b"3", None, b"2"]


@having()
async def test_a_failed_entry_leaves_the_others(kind: Kind) -> None:
    """Independent operations: each has its own outcome, in its place, and names its key."""
    async with kind.opened() as store:
        await put(store, Upsert("old", b"0"))
        outcomes = await store.write([
            Upsert("a", b"1"),
            Upsert("old", b"1", etag=kind.foreign_etag),
            Upsert("b", b"1"),
            Delete("missing", etag=kind.foreign_etag),
            Upsert("old", b"1", first_write=True),
            Delete("a"),
        ])  # fmt: skip

        assert conflicts(outcomes) == [False, True, False, True, True, False]
        assert [("old" in str(outcomes[1])), ("missing" in str(outcomes[3])), ("old" in str(outcomes[4]))] == [True] * 3
        assert await values_of(store, "a", "b", "old") == [None, b"1", b"0"]


@having()
async def test_one_etag_serves_one_of_two_duplicates(kind: Kind) -> None:
    """The first write moves the version on, so the second one comes too late."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"0"))
        etag = (await row_of(store, "k")).etag
        outcomes = await store.write([Upsert("k", b"1", etag=etag), Upsert("k", b"2", etag=etag)])

        assert conflicts(outcomes) == [False, True]
        assert isinstance(outcomes[1], EtagMismatch)
        assert await value_of(store, "k") == b"1"


@having()
async def test_each_entry_sees_what_those_before_it_did(kind: Kind) -> None:
    """First-write after a delete in the same call finds the place free, after a save it does not."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"0"))
        outcomes = await store.write([
            Delete("k"),
            Upsert("k", b"1", first_write=True),
            Upsert("k", b"2", first_write=True),
            Delete("k"),
            Delete("k", etag=kind.foreign_etag),
        ])  # fmt: skip

        assert conflicts(outcomes) == [False, False, True, False, True]
        assert await value_of(store, "k") is None
