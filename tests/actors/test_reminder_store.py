"""Where reminders are kept: rows of the actor state store, found by prefix, written together, under their versions."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors import reminder, reminder_store
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.reminder_table import Put, Remove
from dapr_state.actors.reminders import ReminderRequest
from dapr_state.actors.state import NoStoreError
from dapr_state.app.model import ActorId
from dapr_state.stores.base import StoreError, Unsupported
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Feature, Upsert
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.actors.reminder import Key, Reminder
    from dapr_state.actors.reminder_table import Change, Kept
    from dapr_state.stores.base import Outcomes, StateStore
    from dapr_state.stores.model import Operation


class Counting(Wrapper):
    """Counts writes; `fails` are raised, one for each, before or after it has happened."""

    def __init__(self, inner: StateStore) -> None:
        super().__init__(inner)
        self.writes: list[int] = []
        self.fails: list[str] = []

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        await asyncio.sleep(0)  # as every store with a connection or a thread
        self.writes.append(len(operations))
        failure = self.fails.pop(0) if self.fails else ""
        if failure == "before":
            raise StoreError("down")
        outcomes = await super().write(operations)
        if failure == "after":
            raise StoreError("lost")
        return outcomes


def _new(name: str, data: bytes = b"", actor_type: str = "cart", actor_id: str = "1") -> Reminder:
    return reminder.register(ReminderRequest(ActorId(actor_type, actor_id), name, "1h", data=data or None), 1000, "me")


def _table(memory: StateStore) -> StoredReminders:
    return StoredReminders("app", lambda: memory)


async def _all(table: StoredReminders, actor_type: str = "", actor_id: str | None = None) -> list[Reminder]:
    return [kept.reminder async for page in table.pages(actor_type, actor_id) for kept in page]


async def _read(table: StoredReminders, key: Key) -> Kept:
    kept = await table.read(key)
    assert kept
    return kept


async def test_what_was_written_is_found_by_the_next_sidecar(store: StateStore) -> None:
    """Every field of a reminder, data included, to the letter."""
    memory = Counting(store)
    request = ReminderRequest(
        ActorId("cart", "\u00fc||1"), "n", "1s", "R3/PT2S", "2099-01-01T00:00:00Z", b'{"b": 1.0,"a":null}'
    )
    kept = reminder.register(request, 1000, "me")
    none, null = _new("none"), _new("null", b"null")
    await asyncio.gather(*(_table(memory).write(Put(each)) for each in (kept, none, null)))
    again = _table(memory)

    assert {each.name: each for each in await _all(again)} == {"n": kept, "none": none, "null": null}
    assert [bytes((await _read(again, each.key)).reminder.data) for each in (kept, none, null)] == [
        b'{"b": 1.0,"a":null}',
        b"",
        b"null",
    ]


NESTED = [b"[" * levels + b"]" * levels for levels in (499, 500, 980, 985, 990, 995, 1_000, 10_000)]
ODD = [
    *NESTED,
    b'{"a":' * 990 + b"1" + b"}" * 990,
    b'"\\ud800"',
    b'"\\ud83d\\ude00"',
    b'"\xff"',
    b"[" + b"{}," * 40_000 + b"{}]",
]


@pytest.mark.parametrize("data", ODD, ids=lambda data: f"{data[:8]!r} of {len(data)}")
async def test_whatever_was_accepted_is_read_again(store: StateStore, data: bytes) -> None:
    """Data that Go takes for JSON, however deep it is nested, is found by the next sidecar, to the letter."""
    kept = _new("n", data)
    await _table(store).write(Put(kept))
    await _table(store).write(Put(_new("other")))
    found = {each.name: each for each in await _all(_table(store))}

    assert found["n"] == kept
    assert (bytes(found["n"].view.data), found["n"].trigger().data) == (data, data)


async def test_changes_of_one_moment_are_one_write(store: StateStore) -> None:
    """Twenty registrations that come together are written together, a row each and nothing else."""
    memory = Counting(store)
    table = _table(memory)
    await asyncio.gather(*(table.write(Put(_new(f"r{number}"))) for number in range(20)))

    assert memory.writes == [20]
    assert len(await _all(table)) == 20


async def test_writes_are_bounded(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many at a time, of so many octets: a larger one goes alone."""
    monkeypatch.setattr(reminder_store, "MAX_CHANGES", 10)
    monkeypatch.setattr(reminder_store, "MAX_OCTETS", 100)
    memory = Counting(store)
    table = _table(memory)
    sizes = [0] * 15 + [40, 40, 40] + [300, 300]
    await asyncio.gather(*(table.write(Put(_new(str(number), b"1" * size))) for number, size in enumerate(sizes)))

    assert memory.writes == [10, 7, 1, 1, 1]


async def test_names_with_separators_are_told_apart(store: StateStore) -> None:
    """Type, actor and name are what they are, whatever is in them; each prefix finds its own."""
    table = _table(store)
    parts = [("a||b", "c", "n"), ("a", "b||c", "n"), ("a", "b", "c||n"), ("a%7C", "b", "n"), ("a|", "b", "n")]
    for actor_type, actor_id, name in parts:
        await table.write(Put(_new(name, actor_type=actor_type, actor_id=actor_id)))

    assert sorted(each.key for each in await _all(table)) == sorted(parts)
    assert [each.key for each in await _all(table, "a||b")] == [("a||b", "c", "n")]
    assert [each.key for each in await _all(table, "a", "b")] == [("a", "b", "c||n")]
    assert await _all(table, "a|", "") == []


async def test_conditions_of_a_change(store: StateStore) -> None:
    """Only new; only on the version that was seen: another one is left as it is."""
    table = _table(store)
    first, second = _new("n"), _new("n")
    assert await table.write(Put(first, only_new=True))
    seen = await _read(table, first.key)
    assert not await table.write(Put(second, only_new=True))
    assert await table.write(Put(second, seen.etag))
    assert not await table.write(Put(first, seen.etag))
    assert not await table.write(Remove(first.key, seen.etag))
    assert (await _read(table, first.key)).reminder == second
    assert await table.write(Remove(first.key))
    assert await table.write(Remove(first.key))
    assert not await table.write(Put(first, seen.etag))

    assert await table.read(first.key) is None


async def test_changes_are_told_in_the_order_in_which_they_are_written(store: StateStore) -> None:
    """Also those whose callers have gone, and those of which nobody knows whether they have happened."""
    memory = Counting(store)
    table = _table(memory)
    told: list[tuple[str, Change | None]] = []
    table.on_written = lambda key, change: told.append((key[2], change))  # type: ignore[method-assign]
    puts = [Put(_new(name)) for name in ("a", "b", "c")]
    tasks = [asyncio.create_task(table.write(put)) for put in puts]
    await asyncio.sleep(0)
    tasks[1].cancel()
    await asyncio.wait(tasks)
    memory.fails = ["after"]
    with pytest.raises(StoreError):
        await table.write(Put(_new("d")))

    assert told == [*zip("abc", puts, strict=True), ("d", None)]


async def test_all_changes_of_a_failed_write_are_told(store: StateStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """None of those who wait is left without an answer, and those that come later are written."""
    monkeypatch.setattr(reminder_store, "MAX_CHANGES", 64)
    memory = Counting(store)
    table = _table(memory)
    memory.fails = ["before"]
    results = await asyncio.gather(
        *(table.write(Put(_new(f"r{number:03}"))) for number in range(100)), return_exceptions=True
    )

    assert [isinstance(result, StoreError) for result in results] == [True] * 64 + [False] * 36
    assert {each.name for each in await _all(table)} == {f"r{number:03}" for number in range(64, 100)}


async def test_a_row_that_cannot_be_read_is_left_alone(store: StateStore) -> None:
    """The others are found, asking for it is an error that names it, and it can be registered anew."""
    memory = Counting(store)
    table = _table(memory)
    await asyncio.gather(*(table.write(Put(_new(f"r{number}"))) for number in range(3)))
    await memory.write([Upsert("app||dapr.internal.reminders||cart||1||r1", b"not ours")])
    assert {each.name for each in await _all(table)} == {"r0", "r2"}
    with pytest.raises(StoreError, match=r"cart\|\|1\|\|r1: JSON is malformed"):
        await table.read(("cart", "1", "r1"))
    await table.write(Put(_new("r1")))

    assert {each.name for each in await _all(table)} == {"r0", "r1", "r2"}


async def test_a_store_that_cannot_list_takes_none() -> None:
    """What nobody would find after a restart is refused, and says why; nothing of it is kept."""

    class Unlisted(Wrapper):
        keeps = frozenset(Feature) - {Feature.LIST}

    memory = MemoryStore()
    table = _table(Unlisted(memory))
    with pytest.raises(Unsupported, match="the store does not support LIST"):
        await table.write(Put(_new("n")))

    assert (await memory.list("", limit=10)).entries == []


async def test_without_a_store() -> None:
    """Each call says so."""
    table = StoredReminders("app", lambda: None)
    for call in (table.read(("cart", "1", "n")), table.write(Put(_new("n"))), _all(table)):
        with pytest.raises(NoStoreError):
            await call


@pytest.mark.parametrize("octets", [b'{"type":"\xff"}', b"[" * 100_000, b"{"], ids=["no text", "deep", "cut"])
async def test_a_row_that_nobody_can_read_keeps_no_other_from_being_read(octets: bytes) -> None:
    """Whatever another program has written there, the reminders beside it are found."""
    memory = MemoryStore()
    await memory.open()
    table = _table(memory)
    kept = _new("good")
    await table.write(Put(kept, None))
    (page,) = [entry.key for entry in (await memory.list("app||", limit=10)).entries]
    await memory.write([Upsert(page.replace("good", "bad"), octets)])

    found = await _all(table)

    assert found == [kept]
