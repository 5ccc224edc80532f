"""Transactions: all or nothing, in their order, whatever fails and wherever."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.stores.base import EtagMismatch, StoreError
from dapr_state.stores.model import Delete, Feature, Upsert
from dapr_state.testing.stores.asking import put, row_of, value_of, values_of
from dapr_state.testing.stores.declaring import Ability, Kind, having

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.stores.model import Operation

LONGEST = 5
KEPT = ["victim", *(f"old{number}" for number in range(LONGEST))]
FREE = [f"new{number}" for number in range(LONGEST)]

# each makes an operation that must fail; it is given an etag that nothing has
FAILURES: dict[str, Callable[[str], Operation]] = {
    "save with a stale etag": lambda etag: Upsert("victim", b"x", etag=etag),
    "save of a missing key with an etag": lambda etag: Upsert("nobody", b"x", etag=etag),
    "first-write of an existing key": lambda _: Upsert("victim", b"x", first_write=True),
    "delete with a stale etag": lambda etag: Delete("victim", etag=etag),
    "delete of a missing key with an etag": lambda etag: Delete("nobody", etag=etag),
}


def sound(number: int) -> Operation:
    """An operation that would succeed: by turns it creates, replaces with a TTL, and deletes."""
    choices = (Upsert(f"new{number}", b"x"), Upsert(f"old{number}", b"x", ttl=1000), Delete(f"old{number}"))
    return choices[number % 3]


@having(Feature.TRANSACTIONAL, without=Ability.SLOTS)
@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES)
async def test_a_failure_at_any_position_leaves_no_trace(kind: Kind, failure: Callable[[str], Operation]) -> None:
    """In transactions of one to five operations: no value, etag or expiry is changed, nothing is created."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"before", ttl=100_000) for key in KEPT))
        before = await store.get(KEPT)
        for length in range(1, LONGEST + 1):
            for position in range(length):
                operations = [sound(number) for number in range(length)]
                operations[position] = failure(kind.foreign_etag)
                with pytest.raises(EtagMismatch):
                    await store.transact(operations)

                where = f"position {position} of {length}"
                assert await store.get(KEPT) == before, where
                assert await store.get([*FREE, "nobody"]) == [None] * (len(FREE) + 1), where


@having(Feature.TRANSACTIONAL, without=Ability.SLOTS)
async def test_of_two_failures_the_first_is_told(kind: Kind) -> None:
    """Operations are judged in their order."""
    async with kind.opened() as store:
        with pytest.raises(EtagMismatch, match="key=first"):
            await store.transact([
                Upsert("a", b"1"),
                Delete("first", etag=kind.foreign_etag),
                Delete("second", etag=kind.foreign_etag),
            ])  # fmt: skip


@having(Feature.TRANSACTIONAL, without=Ability.SLOTS)
async def test_saves_and_deletes_are_applied_in_order(kind: Kind) -> None:
    """The same key may come several times; the last word counts."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"0"), Upsert("b", b"0"))
        await store.transact([
            Delete("a"),
            Upsert("b", b"1"),
            Delete("b"),
            Upsert("c", b"1"),
            Upsert("a", b"1"),
            Upsert("c", b"2"),
            Delete("nobody"),
        ])  # fmt: skip

        assert await values_of(store, "a", "b", "c") == [b"1", None, b"2"]


@having(Feature.TRANSACTIONAL)
async def test_each_operation_sees_those_before_it(kind: Kind) -> None:
    """First-write passes after a delete of the same key."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"0"))
        await store.transact([Delete("k"), Upsert("k", b"1", first_write=True)])

        assert await value_of(store, "k") == b"1"


IN_SEQUENCE: dict[str, Callable[[str], list[Operation]]] = {
    "one etag twice": lambda etag: [Upsert("k", b"1", etag=etag), Upsert("k", b"2", etag=etag)],
    "etag after a plain save": lambda etag: [Upsert("k", b"1"), Upsert("k", b"2", etag=etag)],
    "etag after a delete": lambda etag: [Delete("k"), Upsert("k", b"2", etag=etag)],
    "delete with an etag twice": lambda etag: [Delete("k", etag=etag), Delete("k", etag=etag)],
    "first-write after a save": lambda _: [Upsert("new", b"1"), Upsert("new", b"2", first_write=True)],
    "first-write twice": lambda _: [Upsert("new", b"1", first_write=True), Upsert("new", b"2", first_write=True)],
}


@having(Feature.TRANSACTIONAL, Feature.ETAG, without=Ability.SLOTS)
@pytest.mark.parametrize("operations", IN_SEQUENCE.values(), ids=IN_SEQUENCE)
async def test_what_an_operation_did_can_fail_the_next(
    kind: Kind, operations: Callable[[str], list[Operation]]
) -> None:
    """As in a SQL transaction, and then neither has happened."""
    async with kind.opened() as store:
        await put(store, Upsert("k", b"0"))
        before = await row_of(store, "k")
        with pytest.raises(EtagMismatch):
            await store.transact(operations(before.etag))

        assert await store.get(["k", "new"]) == [before, None]


@having(Feature.TRANSACTIONAL, Feature.ETAG, without=Ability.SLOTS)
async def test_etags_that_hold_let_all_pass(kind: Kind) -> None:
    """Guarded saves and deletes beside unguarded ones."""
    async with kind.opened() as store:
        await put(store, *(Upsert(key, b"0") for key in "abc"))
        etags = {key: (await row_of(store, key)).etag for key in "abc"}
        await store.transact([
            Upsert("a", b"1", etag=etags["a"]),
            Delete("b", etag=etags["b"]),
            Upsert("c", b"1"),
            Upsert("d", b"1", first_write=True),
        ])  # fmt: skip

        assert await values_of(store, *"abcd") == [b"1", None, b"1", b"1"]
        assert (await row_of(store, "a")).etag != etags["a"]


@having(Feature.TRANSACTIONAL, Feature.TTL, without=Ability.SLOTS)
async def test_each_operation_has_its_own_ttl(kind: Kind) -> None:
    """Set with the value, in the same step."""
    async with kind.opened() as store:
        await store.transact([Upsert("a", b"v", ttl=1000), Upsert("b", b"v"), Upsert("c", b"v", ttl=1000)])

        assert [(await row_of(store, key)).expires_at is None for key in "abc"] == [False, True, False]


@having(Feature.TRANSACTIONAL, without=Ability.SLOTS)
async def test_empty_and_large_values_pass_through_a_transaction(kind: Kind) -> None:
    """As they do through a save."""
    large = bytes(range(256)) * 4096
    async with kind.opened() as store:
        await store.transact([Upsert("empty", b""), Upsert("large", large), Upsert("json", b"{}", is_json=True)])

        assert await values_of(store, "empty", "large", "json") == [b"", large, b"{}"]


@having(Feature.TRANSACTIONAL, Ability.SLOTS)
async def test_a_transaction_over_several_slots_is_refused_and_leaves_no_trace(kind: Kind) -> None:
    """The reason names keys that are apart, and how braces put them together; with braces it is done."""
    async with kind.opened() as store:
        await put(store, Upsert("a", b"before"))
        with pytest.raises(StoreError, match=r"'a' and 'b' are in two: keys with the same text in braces are in one"):
            await store.transact([Upsert("a", b"1"), Upsert("a", b"2"), Upsert("b", b"1")])
        refused = await values_of(store, "a", "b")
        await store.transact([Upsert("{order}a", b"1"), Upsert("{order}b", b"1"), Delete("{order}c")])

        assert refused == [b"before", None]
        assert await values_of(store, "{order}a", "{order}b") == [b"1", b"1"]
