"""Reminders on their way from the store into the scheduler: none is lost, and none is there twice."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest
from dapr_state_proto.scheduler.v1.scheduler_pb2 import Job
from google.protobuf.json_format import MessageToDict
from google.protobuf.wrappers_pb2 import BytesValue
from msgspec import Raw, structs

from dapr_state.actors.reminder import Reminder
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.reminder_table import Put, Remove
from dapr_state.actors.scheduler import lease
from dapr_state.actors.scheduler.calls import CallError, Calls
from dapr_state.actors.scheduler.hosts import Hosts
from dapr_state.actors.scheduler.migration import CHANGES_AT_MOST, Migration
from dapr_state.stores.base import StoreError
from dapr_state.stores.memory import MemoryStore
from dapr_state.stores.model import Upsert
from tests.actors.scheduler.service import ME, Keeper
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SECOND = 1_000_000_000
DUE = 1_900_000_000 * SECOND + 123_456_789  # 2030-03-17T17:46:40.123456789Z
PLAIN = Reminder("ta", "1", "n", "r1", "me", DUE, due_time="5s")
KEY = PLAIN.key


class Setting:
    def __init__(self, service: Keeper, store: MemoryStore, table: StoredReminders, calls: Calls) -> None:
        self.service = service
        self.store = store
        self.table = table
        self.told: list[str] = []
        self._calls = calls

    def migration(self) -> Migration:
        return Migration(self.store, self.table, self._calls, ME, self.told.append)

    async def put(self, *reminders: Reminder) -> None:
        for each in reminders:
            await self.table.write(Put(each))

    async def rows(self) -> list[Reminder]:
        return [kept.reminder async for page in self.table.pages() for kept in page]


@asynccontextmanager
async def setting() -> AsyncIterator[Setting]:
    store = MemoryStore()
    async with Keeper() as service:
        hosts = Hosts([service.address])
        hosts.begin()
        try:
            yield Setting(service, store, StoredReminders("app", lambda: store), Calls(hosts))
        finally:
            await hosts.close()


@pytest.mark.parametrize(
    ("changes", "job"),
    [
        ({}, {}),
        ({"every": 90 * SECOND, "left": 3}, {"schedule": "@every 1m30s", "repeats": 3}),
        (
            {"every": SECOND, "expires_at": DUE + SECOND},
            {"schedule": "@every 1s", "ttl": "2030-03-17T17:46:41.123456789Z"},
        ),
        ({"left": 4, "expires_at": DUE}, {}),
        ({"max_retries": 0}, {"failurePolicy": {"drop": {}}}),
        ({"max_retries": None, "retry_interval": 0.5}, {"failurePolicy": {"constant": {"interval": "0.500s"}}}),
    ],
)
async def test_what_is_still_to_come_is_moved(changes: dict[str, object], job: dict[str, object]) -> None:
    """The next due time to the nanosecond, the triggers that are left, the end, the policy; its row is gone."""
    async with setting() as here:
        await here.put(structs.replace(PLAIN, **changes))
        await here.migration().run()
        rows = await here.rows()

    assert MessageToDict(here.service.kept[KEY]) == {"dueTime": "2030-03-17T17:46:40.123456789Z", **job}
    assert rows == []


@pytest.mark.parametrize("fields", [{"data": Raw(b'{"a": [1]}')}, {"coded": b'{"a": [1]}'}])
async def test_data_is_moved_as_it_stands(fields: dict[str, object]) -> None:
    """However the store has kept it."""
    async with setting() as here:
        await here.put(structs.replace(PLAIN, **fields))
        await here.migration().run()

    assert BytesValue.FromString(here.service.kept[KEY].data.value).value == b'{"a": [1]}'


async def test_all_are_moved_and_counted() -> None:
    """Pages of them; a second time there is nothing to do."""
    async with setting() as here:
        await here.put(*(structs.replace(PLAIN, id=str(number)) for number in range(450)))
        first, second = here.migration(), here.migration()
        await first.run()
        await second.run()
        rows = await here.rows()

    assert (first.report.total, first.report.moved, first.report.left) == (450, 450, 0)
    assert (second.report.total, second.report.moved) == (0, 0)
    assert (len(here.service.kept), rows, here.told) == (450, [], [])


async def test_two_at_a_time_lose_nothing() -> None:
    """One waits for the other, and finds nothing left; who waits is told."""
    async with setting() as here:
        await here.put(*(structs.replace(PLAIN, id=str(number)) for number in range(200)))
        migrations = [here.migration(), here.migration()]
        await asyncio.gather(*(migration.run() for migration in migrations))
        rows = await here.rows()

    assert (len(here.service.kept), rows) == (200, [])
    assert sorted(migration.report.moved for migration in migrations) == [0, 200]
    assert here.told == ["another migration is under way, or was broken off less than 30 s ago: it is waited for"]


async def test_one_that_cannot_renew_its_lease_stops(monkeypatch: pytest.MonkeyPatch) -> None:
    """Another one may have begun; the rest is left to it."""
    monkeypatch.setattr(lease, "RENEWAL", 0.01)
    monkeypatch.setattr(lease, "LOST", 0.05)
    async with setting() as here:
        await here.put(*(structs.replace(PLAIN, id=str(number)) for number in range(100)))
        migration = here.migration()

        async def others(_: object) -> None:
            await here.store.write([Upsert("app||dapr.internal.reminders.migration", b"another")])
            await eventually(lambda: migration._is_stopped)

        here.service.before = others
        await migration.run()
        (row,) = await here.store.get(["app||dapr.internal.reminders.migration"])

    assert 0 < migration.report.moved < 100
    assert getattr(row, "value", None) == b"another"


async def test_one_that_was_broken_off_goes_on() -> None:
    """What was made and not removed is known again, and is no other reminder of that name."""
    async with setting() as here:
        await here.put(PLAIN, structs.replace(PLAIN, id="2"))
        write, here.table.write = here.table.write, _down  # type: ignore[method-assign,assignment]
        with pytest.raises(StoreError):
            await here.migration().run()
        made = len(here.service.kept)
        here.table.write = write  # type: ignore[method-assign]
        again = here.migration()
        await again.run()

    assert made == 2
    assert (again.report.moved, again.report.superseded, here.told) == (2, 0, [])


async def _down(*_: object, **__: object) -> bool:
    raise StoreError("down")


async def test_one_that_an_application_has_made_since_counts() -> None:
    """The row goes, and it is told."""
    async with setting() as here:
        await here.put(PLAIN)
        here.service.kept[KEY] = newer = Job(due_time="1h")
        migration = here.migration()
        await migration.run()
        rows = await here.rows()

    assert (here.service.kept, rows) == ({KEY: newer}, [])
    assert (migration.report.moved, migration.report.superseded) == (0, 1)
    assert here.told == ["ta||1||n: the scheduler has one already, which counts"]


async def test_one_that_fires_meanwhile_is_moved_as_it_is_then() -> None:
    """What was made of it before is taken back."""
    later = structs.replace(PLAIN, every=SECOND, due=DUE + SECOND)
    async with setting() as here:
        await here.put(structs.replace(PLAIN, every=SECOND))
        puts = [later]

        async def fire(_: object) -> None:
            if puts:
                await here.put(puts.pop())

        here.service.before = fire
        migration = here.migration()
        await migration.run()
        rows = await here.rows()

    assert here.service.kept[KEY].due_time == "2030-03-17T17:46:41.123456789Z"
    assert (rows, migration.report.moved) == ([], 1)


async def test_one_that_is_deleted_meanwhile_is_not_there() -> None:
    """Neither here nor in the scheduler."""
    async with setting() as here:
        await here.put(PLAIN)

        async def delete(_: object) -> None:
            await here.table.write(Remove(KEY))

        here.service.before = delete
        migration = here.migration()
        await migration.run()
        rows = await here.rows()

    assert (here.service.kept, rows) == ({}, [])
    assert (migration.report.moved, migration.report.left) == (0, 0)


async def test_one_that_changes_all_the_time_stays() -> None:
    """It is the store's, and only there."""
    async with setting() as here:
        await here.put(PLAIN)
        numbers = iter(range(100))

        async def change(_: object) -> None:
            await here.put(structs.replace(PLAIN, due=DUE + next(numbers)))

        here.service.before = change
        migration = here.migration()
        await migration.run()
        rows = await here.rows()

    assert (migration.report.stay, len(rows), here.service.kept) == (1, 1, {})
    assert next(numbers) == CHANGES_AT_MOST


async def test_what_the_scheduler_does_not_take_stays() -> None:
    """Each with the reason; the others are moved."""
    async with setting() as here:
        await here.put(PLAIN, structs.replace(PLAIN, name="a||b"), structs.replace(PLAIN, name="refused"))

        async def refuse(key: tuple[str, str, str]) -> None:
            if key[2] == "refused":
                here.service.fails = [(grpc.StatusCode.UNKNOWN, "job name is invalid")]

        here.service.before = refuse
        migration = here.migration()
        await migration.run()
        rows = await here.rows()

    assert {each.name for each in rows} == {"a||b", "refused"}
    assert (migration.report.moved, migration.report.stay) == (1, 2)
    assert "ta||1||refused stays: rpc error: code = Unknown desc = job name is invalid" in here.told


async def test_a_scheduler_that_goes_ends_it() -> None:
    """With its reason; what was not moved is where it was."""
    async with setting() as here:
        await here.put(PLAIN)
        here.service.fails = [(grpc.StatusCode.UNAVAILABLE, "gone")]
        with pytest.raises(CallError, match="gone"):
            await here.migration().run()

        assert len(await here.rows()) == 1


async def test_a_stop_begins_nothing_more() -> None:
    """What is under way comes to its end; the rest is there for the next time."""
    async with setting() as here:
        await here.put(*(structs.replace(PLAIN, id=str(number)) for number in range(100)))
        migration = here.migration()

        async def stop(_: object) -> None:
            migration.stop()

        here.service.before = stop
        await migration.run()
        rows = await here.rows()

    assert 0 < migration.report.moved < 100
    assert len(rows) == 100 - migration.report.moved == migration.report.left
    assert len(here.service.kept) == migration.report.moved
