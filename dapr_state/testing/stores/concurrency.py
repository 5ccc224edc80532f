"""Many callers at once: nothing is lost, mixed up, done by half, or left without an answer."""

from __future__ import annotations

import asyncio

from dapr_state.clock import WAITING
from dapr_state.stores.base import EtagMismatch, StateStore, StoreError
from dapr_state.stores.model import Delete, Feature, StoredValue, Upsert
from dapr_state.testing.stores.asking import put, row_of, value_of, values_of, write_one
from dapr_state.testing.stores.declaring import Ability, Kind, having

CALLERS = 100


@having(Feature.ETAG)
async def test_no_update_is_lost(kind: Kind) -> None:
    """A hundred callers each add one, guarded by the etag, until they get through."""

    async def increment(store: StateStore) -> None:
        while True:
            row = await row_of(store, "n")
            outcome = await write_one(store, Upsert("n", str(int(row.value) + 1).encode(), etag=row.etag))
            if not isinstance(outcome, EtagMismatch):
                assert outcome is None
                return

    async with kind.opened() as store:
        await put(store, Upsert("n", b"0"))
        await asyncio.gather(*(increment(store) for _ in range(CALLERS)))

        assert await value_of(store, "n") == str(CALLERS).encode()


@having(Feature.ETAG)
async def test_one_of_many_first_writers_wins(kind: Kind) -> None:
    """And its value is what is stored."""
    async with kind.opened() as store:
        outcomes = await asyncio.gather(
            *(write_one(store, Upsert("k", str(number).encode(), first_write=True)) for number in range(CALLERS))
        )
        winners = [str(number).encode() for number, outcome in enumerate(outcomes) if outcome is None]

        assert len(winners) == 1
        assert await value_of(store, "k") == winners[0]


@having()
async def test_everybody_gets_his_own_answer(kind: Kind) -> None:
    """Reads, writes and failures of many callers beside each other."""

    async def visit(store: StateStore, number: int) -> tuple[bytes | None, bool]:
        key, value = f"k{number}", str(number).encode()
        await put(store, Upsert(key, value))
        failed = await write_one(store, Delete(f"missing{number}", etag=kind.foreign_etag))
        return await value_of(store, key), f"key=missing{number}" in str(failed)

    async with kind.opened() as store:
        answers = await asyncio.gather(*(visit(store, number) for number in range(CALLERS)))

    assert answers == [(str(number).encode(), True) for number in range(CALLERS)]


@having()
async def test_a_caller_reads_what_he_was_told_is_written(kind: Kind) -> None:
    """Each of many callers, after each of his writes, whatever the others do."""

    async def visit(store: StateStore, number: int) -> list[bytes | None]:
        seen = []
        for turn in range(10):
            await put(store, Upsert(f"k{number}", str(turn).encode()), Upsert("shared", b"x"))
            seen.append(await value_of(store, f"k{number}"))
        return seen

    async with kind.opened() as store:
        answers = await asyncio.gather(*(visit(store, number) for number in range(20)))

    assert answers == [[str(turn).encode() for turn in range(10)]] * 20


@having(Feature.TRANSACTIONAL, without=Ability.SLOTS)
async def test_a_reader_never_sees_half_a_transaction(kind: Kind) -> None:
    """Two keys that are always written together are always read equal."""

    async def write(store: StateStore) -> None:
        for number in range(100):
            await store.transact([Upsert("a", str(number).encode()), Upsert("b", str(number).encode())])

    async with kind.opened() as store:
        await store.transact([Upsert("a", b""), Upsert("b", b"")])
        writing = asyncio.create_task(write(store))
        seen = [await values_of(store, "a", "b")]
        while not writing.done():
            seen.append(await values_of(store, "a", "b"))
            await asyncio.sleep(0)
        await writing

    assert [pair for pair in seen if pair[0] != pair[1]] == []


@having(Feature.TRANSACTIONAL, without=Ability.SLOTS)
async def test_a_cancelled_caller_leaves_whole_work_or_none(kind: Kind) -> None:
    """Whenever he goes, and those beside him get their answers."""

    async def pair(store: StateStore, number: int) -> None:
        await store.transact([Upsert(f"a{number}", b"v"), Upsert(f"b{number}", b"v")])

    async with kind.opened() as store:
        tasks = [asyncio.create_task(pair(store, number)) for number in range(CALLERS)]
        for steps, task in enumerate(tasks[::2]):
            if steps % 10 == 9:  # some are cancelled before they began, some while they wait, some too late
                await asyncio.sleep(0)
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)
        firsts = await values_of(store, *(f"a{number}" for number in range(CALLERS)))
        seconds = await values_of(store, *(f"b{number}" for number in range(CALLERS)))

    assert {type(end) for end in ends[::2]} <= {type(None), asyncio.CancelledError}
    assert ends[1::2] == [None] * (CALLERS // 2)
    assert firsts == seconds
    assert firsts[1::2] == [b"v"] * (CALLERS // 2)


@having()
async def test_cancelled_readers_and_writers_do_not_shift_the_answers_of_others(kind: Kind) -> None:
    """Each of those who stay gets the value of his own key."""
    keys = [f"k{number}" for number in range(CALLERS)]
    async with kind.opened() as store:
        await put(store, *(Upsert(key, key.encode()) for key in keys))
        tasks = [asyncio.create_task(store.get([key])) for key in keys]
        await asyncio.sleep(0)
        for task in tasks[::3]:
            task.cancel()
        ends = await asyncio.gather(*tasks, return_exceptions=True)

    answers = {key: end[0] for key, end in zip(keys, ends, strict=True) if isinstance(end, list)}
    assert len(answers) >= CALLERS * 2 // 3
    assert [key for key, row in answers.items() if not isinstance(row, StoredValue) or row.value != key.encode()] == []


@having()
async def test_close_answers_everybody(kind: Kind) -> None:
    """Whoever waits when the store is closed gets his result or a StoreError; what was told to be written is."""
    async with kind.opened() as store:
        tasks = [asyncio.create_task(store.write([Upsert(f"k{number}", b"v")])) for number in range(CALLERS)]
        await asyncio.sleep(0)
        async with WAITING.timeout(10):
            await store.close()
            ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert [end for end in ends if end != [None] and not isinstance(end, StoreError)] == []


@having()
async def test_work_under_way_is_finished_by_close(kind: Kind) -> None:
    """A write that began before close is answered, and not with an error."""
    async with kind.opened() as store:
        writing = asyncio.create_task(store.write([Upsert("k", b"v")]))
        await asyncio.sleep(0)
        await store.close()

        assert await writing == [None]
