"""Where reminders are kept: pages in the actor state store, written together, read again if another changed them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors import reminder
from dapr_state.actors.reminder import Reminder, Request
from dapr_state.actors.reminder_pages import PAGE_BYTES, Change
from dapr_state.actors.reminder_store import ReminderStore
from dapr_state.app.model import ActorId
from dapr_state.stores.base import StoreError
from dapr_state.stores.memory import MemoryStore

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.actors.reminder import Key
    from dapr_state.stores.model import Operation, Row


class Counting(MemoryStore):
    """Counts transactions; `fails` are raised, one for each, before or after it has happened."""

    def __init__(self) -> None:
        super().__init__()
        self.transactions: list[int] = []
        self.fails: list[str] = []

    async def transact(self, operations: Sequence[Operation]) -> None:
        await asyncio.sleep(0)  # as every store with a connection or a thread
        self.transactions.append(len(operations))
        failure = self.fails.pop(0) if self.fails else ""
        if failure == "before":
            raise StoreError("down")
        await super().transact(operations)
        if failure == "after":
            raise StoreError("lost")

    def sizes(self) -> dict[str, int]:
        return {key: len(row.value) for key, row in self._rows.items()}


def _new(name: str, data: bytes = b"", kind: str = "cart") -> Reminder:
    return reminder.register(Request(ActorId(kind, "1"), name, "1h", data=data or None), now=1000.0)


def _put(*reminders: Reminder) -> list[Change]:
    return [Change(each.key, each) for each in reminders]


def _store(memory: MemoryStore, told: list[Key] | None = None) -> ReminderStore:
    return ReminderStore("app", lambda: memory, (told if told is not None else []).append)


def _names(store: ReminderStore) -> set[str]:
    return {each.name for each in store.all()}


async def test_what_was_written_is_found_by_the_next_sidecar() -> None:
    """Every field of a reminder, data included, to the letter."""
    memory = Counting()
    request = Request(
        ActorId("cart", "\u00fc||1"), "n", "1s", "R3/PT2S", "2099-01-01T00:00:00Z", b'{"b": 1.0,"a":null}'
    )
    kept = reminder.register(request, now=1000.25)
    none, null = _new("none"), _new("null", b"null")
    await _store(memory).apply(_put(kept, none, null))
    told: list[Key] = []
    again = _store(memory, told)
    await again.load()

    assert {each.name: each for each in again.all()} == {"n": kept, "none": none, "null": null}
    assert [bytes(again.get(each.key).data) for each in (kept, none, null)] == [  # type: ignore[union-attr]
        b'{"b": 1.0,"a":null}',
        b"",
        b"null",
    ]
    assert sorted(told) == sorted([kept.key, none.key, null.key])


async def test_changes_of_one_moment_are_one_transaction() -> None:
    """Twenty registrations that come together are written together, as one page and the number of pages."""
    memory = Counting()
    store = _store(memory)
    await asyncio.gather(*(store.apply(_put(_new(f"r{number}"))) for number in range(20)))

    assert memory.transactions == [2]
    assert len(store) == 20


async def test_pages_stay_small() -> None:
    """A thousand reminders, one after another, take pages of 4 KiB; what is larger than that has one of its own."""
    memory = Counting()
    store = _store(memory)
    for number in range(1000):
        await store.apply(_put(_new(f"r{number}")))
    await store.apply(_put(_new("large", b'"' + b"x" * 10_000 + b'"')))
    sizes = sorted(memory.sizes().values())

    assert sizes[-1] < 11_000
    assert sizes[-2] <= PAGE_BYTES
    assert len(sizes) < 50
    assert max(memory.transactions) == 2


async def test_pages_are_used_again() -> None:
    """Ten times as many reminders as there ever are at once take no more rows than those."""
    memory = Counting()
    store = _store(memory)
    for start in range(0, 2000, 200):
        some = [_new(f"r{number}") for number in range(start, start + 200)]
        await store.apply(_put(*some))
        await store.apply([Change(each.key, None) for each in some])

    assert {key: row.value for key, row in memory._rows.items()} == {
        "app||dapr.internal.reminders||pages": b'{"pages":8}'
    }


async def test_conditions_of_a_change() -> None:
    """Only new; only in the place of one registration; nothing is written where nothing changes."""
    memory = Counting()
    store = _store(memory)
    first, second = _new("n"), _new("n")
    await store.apply(_put(first))
    outcomes = await store.apply(
        [
            Change(first.key, second, only_new=True),
            Change(first.key, None, second.registration),
            Change(("cart", "1", "unknown"), None),
            Change(("cart", "1", "unknown"), second, first.registration),
        ]
    )
    assert (outcomes, len(memory.transactions)) == ([False] * 4, 1)
    outcomes = await store.apply(
        [Change(first.key, second, first.registration), Change(first.key, first, only_new=True)]
    )

    assert outcomes == [True, False]
    assert store.get(first.key) is second


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_write_that_fails_is_told(moment: str) -> None:
    """Whether it has happened or not, what is known afterwards is what the store holds."""
    memory = Counting()
    store = _store(memory)
    await store.apply(_put(_new("kept")))
    memory.fails = [moment]
    with pytest.raises(StoreError):
        await store.apply(_put(_new("failed")))
    await store.load()
    expected = {"kept"} if moment == "before" else {"kept", "failed"}
    assert _names(store) == expected
    await store.apply(_put(_new("next")))
    again = _store(memory)
    await again.load()

    assert _names(store) == _names(again) == {*expected, "next"}


async def test_all_changes_of_a_failed_write_are_told() -> None:
    """None of those who wait is left without an answer, and those that come later are written."""
    memory = Counting()
    store = _store(memory)
    memory.fails = ["before"]
    results = await asyncio.gather(
        *(store.apply(_put(_new(f"r{number}"))) for number in range(100)), return_exceptions=True
    )

    assert [isinstance(result, StoreError) for result in results] == [True] * 64 + [False] * 36
    assert _names(store) == {f"r{number}" for number in range(64, 100)}


async def test_two_sidecars_lose_nothing() -> None:
    """Each sees that the other has written, reads that, and applies its own changes to it."""
    memory = Counting()
    told: list[Key] = []
    one, two = _store(memory, told), _store(memory)
    await asyncio.gather(one.load(), two.load())
    for number in range(30):
        await asyncio.gather(one.apply(_put(_new(f"one{number}"))), two.apply(_put(_new(f"two{number}"))))
    await one.apply([Change(("cart", "1", "two0"), None)])
    await two.apply([Change(("cart", "1", "one0"), None)])
    third = _store(memory)
    await third.load()

    assert _names(third) == {f"{who}{number}" for who in ("one", "two") for number in range(1, 30)}
    assert {("cart", "1", f"two{number}") for number in range(28)} < set(told)


async def test_small_transactions() -> None:
    """A store that takes few operations at once gets them in so many pieces."""
    memory = Counting()
    memory.max_transaction_size = 7
    store = _store(memory)
    large = b'"' + b"x" * PAGE_BYTES + b'"'
    await store.apply(_put(*(_new(f"r{number}", large) for number in range(20))))

    assert max(memory.transactions) <= 7 + 4
    assert len(store) == 20


async def test_a_page_that_cannot_be_read_is_left_alone() -> None:
    """The others are served, and it stays in the store as it is."""
    memory = Counting()
    store = _store(memory)
    await store.apply(_put(*(_new(f"r{number}", b'"' + b"x" * 3000 + b'"') for number in range(4))))
    key = next(key for key, row in memory._rows.items() if b'"r1"' in row.value)
    memory._put(key, (await _row(memory, key)).__class__(b"not ours", "etag"))
    again = _store(memory)
    await again.load()
    await again.apply(_put(*(_new(f"s{number}", b'"' + b"x" * 3000 + b'"') for number in range(20))))

    assert _names(again) >= {"r0", "r2", "r3"} | {f"s{number}" for number in range(20)}
    assert (await _row(memory, key)).value == b"not ours"


async def _row(memory: MemoryStore, key: str) -> Row:
    (row,) = await memory.get([key])
    assert not isinstance(row, StoreError)
    assert row
    return row
