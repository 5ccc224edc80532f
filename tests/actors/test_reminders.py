"""Embedded reminders on a turned clock: what fires when, what is kept, and what happens after a restart."""

from __future__ import annotations

import asyncio
import itertools
import random
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors.embedded_reminders import EmbeddedReminders
from dapr_state.actors.firing import AT_ONCE, UNDER_WAY
from dapr_state.actors.reminder_store import StoredReminders
from dapr_state.actors.reminders import DROP, ExistsError, Policy, ReminderRequest
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.app.model import ActorId, AppError, Trigger, UnreachableError
from dapr_state.clock import ManualClock
from dapr_state.stores.base import Page, StoreError
from dapr_state.stores.memory import MemoryStore
from tests.actors.triggering import CANCEL, CART, TriggerTarget, settle, turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.model import Operation

FAILED = AppError("error from actor service: (500) ")
OTHER = ActorId("cart", "2")
GONE = UnreachableError("connection refused")


class Failing(MemoryStore):
    """Fails while it `is_down`."""

    is_down = False
    writes = 0

    async def write(self, operations: Sequence[Operation]) -> list[StoreError | None]:
        self.writes += 1
        if self.is_down:
            raise StoreError("down")
        return await self._write(operations)

    async def _write(self, operations: Sequence[Operation]) -> list[StoreError | None]:
        return await super().write(operations)


class LikeRedis(Failing):
    """It lists in no order, and each row twice; versions are counted for each row, and begin again after a delete."""

    async def _write(self, operations: Sequence[Operation]) -> list[StoreError | None]:
        outcomes = []
        for operation in operations:
            row = self._rows.get(operation.key)
            self._etags = itertools.repeat(str(int(row.etag) + 1 if row else 1))
            outcomes += await super()._write([operation])
        return outcomes

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        page = await super().list(prefix, after=after, limit=limit)
        return Page([*reversed(page.entries), *page.entries], page.after)


@pytest.fixture(params=[Failing, LikeRedis], autouse=True)
def _kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every test is about both kinds of stores: with an order and versions that come once, and with neither."""
    monkeypatch.setattr(House, "actor_type", request.param)


class House:
    """One store, clock and application, and one sidecar after another."""

    actor_type: type[Failing] = Failing

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = self.actor_type(self.clock)
        self.host = TriggerTarget(self.clock)
        self.counted: list[tuple[str, bool]] = []
        self.reminders = self.start()

    def start(self, me: str = "one") -> EmbeddedReminders:
        """Another sidecar begins; what became of the one before is the caller's affair."""
        self.reminders = EmbeddedReminders(
            self.host,
            StoredReminders("app", lambda: self.store, self.clock),
            me,
            self.clock,
            self.clock,
            fired=lambda actor_type, success: self.counted.append((actor_type, success)),
        )
        self.reminders.begin()
        return self.reminders

    async def create(
        self, name: str = "n", due_time: str = "", period: str = "", ttl: str = "", **more: object
    ) -> None:
        actor = more.pop("actor", CART)
        await self.reminders.create(ReminderRequest(actor, name, due_time, period, ttl, **more))  # type: ignore[arg-type]

    async def turn(self, seconds: float) -> None:
        await turn(self.clock, seconds)

    async def names(self, actor_type: str = "cart", identity: str | None = None) -> list[str]:
        return [each.name for each in await self.reminders.list(actor_type, identity)]


@pytest.mark.parametrize(
    ("due_time", "period", "ttl", "times"),
    [
        ("0s", "", "", [0]),
        ("1s", "", "", [1]),
        ("1s", "2s", "", [1, 3, 5, 7, 9]),
        ("", "2s", "", [2, 4, 6, 8]),
        ("", "R2/PT2S", "", [2, 4]),
        ("0s", "R2/PT2S", "", [0, 2]),
        ("1s", "2s", "4s", [1, 3, 5]),  # the moment of expiry is in time
        ("", "1s", "2s", [1, 2]),
        ("0s", "1h", "1s", [0]),
        ("1s", "1s", "0s", [1]),
        ("", "1s", "0s", []),
        ("", "1s", "-1h", []),
        ("-3s", "R6/PT1S", "", [0, 0, 0, 0, 1, 2]),  # triggers that were missed follow one another
        ("1s", "0s", "", [1]),  # daprd does not rest any more
        ("", "R5", "", [0]),
        ("2023-11-14T22:13:24Z", "", "", [4]),
    ],
)
async def test_when_a_reminder_fires(due_time: str, period: str, ttl: str, times: list[float]) -> None:
    """At the due time, else after one period; then each period, until it is over, when nothing of it is kept."""
    house = House()
    await house.create("n", due_time, period, ttl)
    await house.turn(9.5)

    assert house.host.times() == times
    assert await house.names() == ([] if period in {"", "0s"} or times[-1:] < [8] else ["n"])


async def test_what_the_application_gets() -> None:
    """The data as it was given; due time and period are empty, as daprd leaves them."""
    house = House()
    await house.create("n", "1s", "1s", data=b'{"b": 1.0}')
    await house.create("none", "1s")
    await house.turn(1)

    assert house.host.triggers == [Trigger(CART, "n", b'{"b": 1.0}'), Trigger(CART, "none")]
    assert house.counted == [("cart", True)] * 2


@pytest.mark.parametrize(
    ("policy", "times"),
    [
        (Policy(), [0, 1, 2, 3, 8, 9, 10, 11]),
        (DROP, [0, 8]),
        (Policy(1, 2.0), [0, 2, 8, 10]),
        (Policy(None, 3.0), [0, 3, 6, 9, 12]),
    ],
)
async def test_a_tick_that_fails_is_tried_again(policy: Policy, times: list[float]) -> None:
    """As the policy says; then it is given up, and the schedule stays where it was."""
    house = House()
    house.host.fails = [FAILED] * 100
    await house.create("n", "0s", "8s", policy=policy)
    await house.turn(13)

    assert house.host.times() == times
    assert house.counted == [("cart", False)] * len(times)


async def test_the_last_tick_is_given_up() -> None:
    """A reminder that fires once is gone after its attempts."""
    house = House()
    house.host.fails = [FAILED] * 4
    await house.create("n", "1s")
    await house.turn(3.5)
    before = await house.names()
    await house.turn(9)

    assert house.host.times() == [1, 2, 3, 4]
    assert (before, await house.names()) == (["n"], [])


async def test_attempts_are_counted_across_restarts() -> None:
    """A sidecar that starts in between goes on where the last one was."""
    house = House()
    house.host.fails = [FAILED] * 100
    await house.create("n", "0s", "1h")
    await house.turn(1.5)
    await house.reminders.close()
    house.start()
    await house.turn(9)

    assert house.host.times() == [0, 1, 1.5, 2.5]


async def test_an_application_that_is_not_there_costs_no_attempt() -> None:
    """It is tried each second by one reminder, until somebody is there; then all of the type come, `drop` or not."""
    house = House()
    house.host.fails = [GONE] * 21
    await house.create("n", "0s")
    await house.create("dropped", "0s", policy=DROP)
    await house.turn(20)
    before = (house.host.seen.copy(), await house.names())
    await house.turn(3)

    assert [when for _, when in before[0]] == list(range(21))
    assert before[1] == ["dropped", "n"]
    assert sorted(name for name, _ in house.host.seen[21:]) == ["dropped", "n"]
    assert await house.names() == []


async def test_an_application_that_is_not_there_costs_nothing_else(caplog: pytest.LogCaptureFixture) -> None:
    """A thousand reminders that wait for it are one attempt a second and one line a minute, and write nothing."""
    house = House()
    house.host.fails = [GONE] * 1000
    for number in range(1000):
        await house.create(f"n{number}", "1s", actor=ActorId("cart", str(number)))
    caplog.clear()
    house.store.writes = 0
    await house.turn(31)
    lines = [record.getMessage() for record in caplog.records if record.levelname != "DEBUG"]

    assert len(house.host.seen) < 31 + AT_ONCE
    assert (lines, house.store.writes) == (["Reminders of cart wait for the application: connection refused"], 0)


async def test_the_cancel_header_ends_a_reminder() -> None:
    """Nothing of it is left."""
    house = House()
    house.host.answer = CANCEL
    await house.create("n", "1s", "1s")
    await house.turn(5)

    assert (house.host.times(), await house.names()) == ([1], [])


async def test_reminders_survive_the_end_of_the_sidecar() -> None:
    """What fell due meanwhile fires at once, each missed trigger; what is due later fires then."""
    house = House()
    await house.create("overdue", "2s")
    await house.create("recurring", "2s", "2s")
    await house.create("later", "10s")
    await house.turn(0.5)
    await house.reminders.close()
    house.clock.advance(6)
    house.start()
    await house.turn(6)

    assert house.host.times("overdue") == [6.5]
    assert house.host.times("recurring") == [6.5, 6.5, 6.5, 8, 10, 12]
    assert house.host.times("later") == [10]


async def test_a_sidecar_that_dies_during_a_tick_gives_it_again() -> None:
    """What the dead one does afterwards is not taken for an answer to the trigger of the next."""
    house = House()
    house.host.gate = asyncio.Event()
    await house.create("n", "1s")
    await house.turn(1)
    dead = house.reminders
    assert dead._reader is not None
    dead._reader.cancel()
    house.host.gate = None
    house.start()
    await house.turn(1)

    assert house.host.times() == [1, 1]
    assert await house.names() == []


async def test_a_tick_does_not_overlap_with_the_next() -> None:
    """While one lasts its reminder does not fire again, all others do."""
    house = House()
    house.host.gate = gate = asyncio.Event()
    await house.create("slow", "1s", "1s")
    await house.turn(1)
    house.host.gate = None
    await house.create("quick", "1s", "1s", actor=OTHER)
    await house.turn(2.5)
    running = list(house.host.running)
    gate.set()
    await house.turn(1)

    assert running == ["slow"]
    assert house.host.times("slow") == [1, 3.5, 3.5, 4]
    assert house.host.times("quick") == [2, 3, 4]


async def test_registered_anew() -> None:
    """Everything is replaced, counting begins again, and the old one fires no more."""
    house = House()
    await house.create("n", "1s", "R3/PT1S", data=b"1")
    await house.turn(1)
    await house.create("n", "1s", "R3/PT1S", data=b"2")
    await house.turn(9)

    assert house.host.times() == [1, 2, 3, 4]
    assert [trigger.data for trigger in house.host.triggers] == [b"1", b"2", b"2", b"2"]


@pytest.mark.parametrize("due_time", ["0s", "2s"])
async def test_registered_anew_during_its_own_tick(due_time: str) -> None:
    """The end of the old trigger, success or cancellation, leaves the new registration alone."""
    house = House()
    house.host.gate = asyncio.Event()
    house.host.answer = CANCEL
    await house.create("n", "1s")
    await house.turn(1)
    await house.create("n", due_time)
    await house.turn(0.5)
    before = house.host.times()
    house.host.gate.set()
    await house.turn(5)

    assert before == [1]
    assert house.host.times() == ([1, 1.5] if due_time == "0s" else [1, 3])
    assert await house.names() == []


async def test_deleted_during_its_own_tick() -> None:
    """It does not come back with the end of the trigger, not even with a failed one."""
    house = House()
    house.host.gate = asyncio.Event()
    house.host.fails = [FAILED]
    await house.create("n", "1s", "1s")
    await house.turn(1)
    await house.reminders.delete(CART, "n")
    house.host.gate.set()
    await house.turn(5)

    assert (house.host.times(), await house.names()) == ([1], [])


async def test_without_overwriting() -> None:
    """A name that is taken is refused and left as it is; two at once are one that succeeds and one that does not."""
    house = House()
    await house.create("n", "1s", data=b"1")
    with pytest.raises(ExistsError):
        await house.create("n", "1s", data=b"2", overwrite=False)
    both = await asyncio.gather(*(house.create("new", "1s", overwrite=False) for _ in range(2)), return_exceptions=True)
    await house.turn(1)

    assert [type(each) for each in both] == [type(None), ExistsError]
    assert [trigger.data for trigger in house.host.triggers] == [b"1", None]


async def test_what_is_shown_of_a_reminder() -> None:
    """Due time as given, the period in the scheduler's form, a ttl only if it is a time."""
    house = House()
    await house.create("a", "PT1H", "R5/PT2H", "2099-01-01T00:00:00Z", data=b"1")
    await house.create("b", "", "90s", "1h")
    a, b = await house.reminders.list("cart")
    assert (a.due_time, a.period, a.ttl, bytes(a.data)) == (
        *("PT1H", "@every 2h0m0s"),
        *("2099-01-01T00:00:00Z", b"1"),
    )
    assert (b.due_time, b.period, b.ttl, bytes(b.data)) == ("", "@every 1m30s", "", b"")
    assert await house.reminders.get(CART, "a") == a
    assert await house.reminders.get(CART, "c") is None


async def test_all_of_a_type_or_of_an_actor() -> None:
    """Exactly these are listed, by id and name, and deleted; a type whose name begins alike is another one."""
    house = House()
    for actor_type, identity, name in (("ta", "2", "x"), ("ta", "1", "y"), ("ta", "1", "x"), ("tab", "1", "x")):
        await house.create(name, "1h", actor=ActorId(actor_type, identity))
    listed = [(each.id, each.name) for each in await house.reminders.list("ta")]
    of_one = await house.names("ta", "1")
    await house.reminders.delete_all("ta", "1")
    left = [(each.id, each.name) for each in await house.reminders.list("ta")]
    await house.reminders.delete_all("ta")
    await house.reminders.delete_all("unknown")

    assert (listed, of_one, left) == ([("1", "x"), ("1", "y"), ("2", "x")], ["x", "y"], [("2", "x")])
    assert house.reminders.counts() == {"tab": 1}


async def test_ticks_wait_for_a_host() -> None:
    """Those of a type that is not hosted come the moment it is, and cost no attempt."""
    house = House()
    house.host.types = set()
    await house.create("n", "1s", "2s")
    await house.create("other", "1s", actor=ActorId("other", "1"))
    await house.turn(4)
    before = list(house.host.seen)
    house.host.types = {"cart", "other"}
    house.reminders.hosted(["cart"])
    await house.turn(2)

    assert before == []
    assert house.host.times() == [4, 4, 5]
    assert house.host.times("other") == []


async def test_a_host_that_goes_during_a_tick() -> None:
    """The trigger is no attempt, and comes when the type is hosted again."""
    house = House()
    house.host.gate = asyncio.Event()
    house.host.fails = [FAILED]
    await house.create("n", "1s", policy=DROP)
    await house.turn(1)
    house.host.types = set()
    house.host.gate.set()
    await house.turn(2)
    house.host.types = {"cart"}
    house.reminders.hosted(["cart"])
    await house.turn(1)

    assert house.host.times() == [1, 3]
    assert house.counted == [("cart", True)]


async def test_a_sidecar_that_stops_takes_no_attempt() -> None:
    """A trigger that is refused because the sidecar is about to end comes after the next start."""
    house = House()
    house.host.fails = [ClosingError()]
    await house.create("n", "1s", policy=DROP)
    await house.turn(3)
    await house.reminders.close()
    house.start()
    await house.turn(1)

    assert house.host.times() == [1, 3]


async def test_the_end() -> None:
    """After `stop` no trigger begins, and those that end are written; after `close` nothing is under way."""
    house = House()
    house.host.gate = gate = asyncio.Event()
    await house.create("ends", "1s")
    await house.turn(1)
    house.host.gate = asyncio.Event()
    await house.create("lasts", "1s", actor=OTHER)
    await house.create("waits", "3s")
    await house.turn(1)
    house.reminders.stop()
    gate.set()
    await house.turn(5)
    await house.reminders.close()

    assert house.host.seen == [("ends", 1), ("lasts", 2)]
    assert (house.host.running, house.clock.waiting) == ([], 0)
    assert await house.names() == ["waits", "lasts"]


async def test_nothing_is_acknowledged_that_is_not_kept() -> None:
    """A store that fails is an error of the registration, and nothing fires."""
    house = House()
    await settle(house.clock)
    house.store.is_down = True
    with pytest.raises(StoreError):
        await house.create("n", "1s")
    house.store.is_down = False
    await house.turn(3)

    assert (house.host.seen, await house.names()) == ([], [])


async def test_what_became_of_a_tick_waits_for_the_store() -> None:
    """It is written as soon as the store is back; until then the reminder does not fire, then it catches up."""
    house = House()
    await house.create("n", "1s", "1s")
    house.store.is_down = True
    await house.turn(3.5)
    before = house.host.times()
    house.store.is_down = False
    await house.turn(1)

    assert before == [1]
    assert house.host.times() == [1, 4.5, 4.5, 4.5]


async def test_without_a_store() -> None:
    """Every call says so, and nothing else happens."""
    clock = ManualClock()
    reminders = EmbeddedReminders(
        TriggerTarget(clock), StoredReminders("app", lambda: None, clock), "one", clock, clock
    )
    reminders.begin()
    await settle(clock)
    calls = (
        reminders.create(ReminderRequest(CART, "n", "1s")),
        reminders.get(CART, "n"),
        reminders.delete(CART, "n"),
        reminders.list("cart"),
        reminders.delete_all("cart"),
    )
    results = await asyncio.gather(*calls, return_exceptions=True)

    await reminders.close()

    assert [type(result) for result in results] == [NoStoreError] * 5
    assert clock.waiting == 0


@pytest.mark.parametrize(("name", "due_time"), [("n", "abc"), ("\udcff", "1s")])
async def test_a_registration_that_cannot_be(name: str, due_time: str) -> None:
    """It is refused before anything is written."""
    house = House()
    with pytest.raises(ScheduleError):
        await house.create(name, due_time)

    assert await house.names() == []


async def test_wall_time_that_is_set_is_noticed() -> None:
    """A reminder that is due by the new time fires within a second."""
    house = House()
    await house.create("n", "5h")
    house.clock.jump(5 * 3600)
    await house.turn(1)

    assert [trigger.name for trigger in house.host.triggers] == ["n"]


async def test_ten_thousand_reminders() -> None:
    """They cost one alarm; after a restart all of them are there, and fire."""
    house = House()
    count = 10_000
    requests = [
        ReminderRequest(ActorId("cart", str(number % 100)), f"r{number}", "100s", "100s") for number in range(count)
    ]
    await asyncio.gather(*(house.reminders.create(request) for request in requests))
    waiting = house.clock.waiting
    await house.reminders.close()
    house.start()
    await settle(house.clock)
    house.clock.advance(100)
    while len(house.host.seen) < count:
        await turn(house.clock, 0.05, 0.01)
    await turn(house.clock, 0.05, 0.01)

    assert waiting == 2  # the other one is for the next reading of the table
    assert house.clock.waiting <= 3
    assert len({name for name, _ in house.host.seen}) == count


async def test_registering_again_and_again_leaves_nothing_behind() -> None:
    """A reminder that is put off a thousand times is one in the queue."""
    house = House()
    for _ in range(1000):
        await house.create("n", "1h")

    assert len(house.reminders._known._due._heap) < 100
    assert repr(house.reminders) == "<EmbeddedReminders 1, 0 firing, 0 parked>"


async def test_so_many_that_are_overdue_begin_in_slices() -> None:
    """After a start others have their turn on the event loop in between, and so many are under way at most."""
    house = House()
    requests = [ReminderRequest(ActorId("cart", str(number)), "n", "100s") for number in range(3000)]
    await asyncio.gather(*(house.reminders.create(request) for request in requests))
    await house.reminders.close()
    house.clock.advance(200)
    house.host.gate = asyncio.Event()
    house.start()
    begun = [0]
    for _ in range(400):
        house.clock.advance(0)
        await asyncio.sleep(0)
        begun.append(len(house.host.seen))
    await house.reminders.close()

    assert max(after - before for before, after in itertools.pairwise(begun)) <= AT_ONCE
    assert begun[-1] == UNDER_WAY


async def test_wall_time_that_is_set_makes_nothing_late() -> None:
    """Forward: what is registered afterwards fires in its time. Backward: so does the next attempt."""
    house = House()
    await house.create("later", "50h")
    house.clock.jump(3600)
    await house.create("n", "1s")
    await house.turn(2)
    assert [trigger.name for trigger in house.host.triggers] == ["n"]
    house.host.fails = [FAILED, GONE]
    await house.create("n", "0s")
    await house.turn(0.5)
    house.clock.jump(-3600)
    await house.turn(3)

    assert [trigger.name for trigger in house.host.triggers] == ["n"] * 4


async def test_the_shortest_period_gets_ahead() -> None:
    """A period of 100 ns is not lost in rounding: with a ttl of 2 us it fires twenty-one times."""
    house = House()
    await house.create("n", "0s", "100ns", "2us")
    await house.turn(1)

    assert len(house.host.triggers) == 21
    assert await house.names() == []


async def test_a_table_that_tells_a_row_twice() -> None:
    """It is one reminder: listed once, fired once, deleted."""
    house = House()
    await house.create("a", "1s")
    await house.create("b", "1h")
    await house.reminders.close()
    house.start()
    await house.turn(2)
    names, seen = await house.names(), house.host.times("a")
    await house.reminders.delete_all("cart")

    assert (names, seen) == (["b"], [1])
    assert await house.names() == []
    assert house.reminders.counts() == {}


# Two sidecars of one app id


class Pair(House):
    """Two sidecars on one store; the second has an application of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.first_host = self.reminders, self.host
        self.second_host = self.host = TriggerTarget(self.clock)
        self.second = self.start("two")

    async def on(self, sidecar: EmbeddedReminders, name: str, due_time: str, period: str = "", ttl: str = "") -> None:
        await sidecar.create(ReminderRequest(CART, name, due_time, period, ttl))

    async def kill(self, sidecar: EmbeddedReminders) -> None:
        """It ends without a word; nothing that it has begun is written."""
        sidecar._table.write = _lost  # type: ignore[method-assign]
        await sidecar.close()

    def times(self) -> tuple[list[float], list[float]]:
        return self.first_host.times(), self.second_host.times()


async def _lost(*_: object, **__: object) -> bool:
    raise StoreError("killed")


async def test_a_delete_by_another_sidecar_deletes() -> None:
    """Whichever has registered it, and whether the other knows of it or not."""
    pair = Pair()
    await pair.turn(1)
    await pair.on(pair.first, "n", "1s", "1s")
    await pair.second.delete(CART, "n")
    await pair.turn(40)

    assert await pair.names() == []
    assert pair.times() == ([], [])
    assert (pair.first.counts(), pair.second.counts()) == ({}, {})


async def test_one_name_is_one_reminder() -> None:
    """The last registration counts, wherever it was made, and only its owner fires it."""
    pair = Pair()
    await pair.on(pair.first, "n", "10s", "1s")
    await pair.on(pair.second, "n", "2s", "10s")
    await pair.turn(21)

    assert await pair.names() == ["n"]
    assert pair.times() == ([], [2, 12])


async def test_without_overwriting_what_another_sidecar_has_registered() -> None:
    """It is there for the second one too, read or not."""
    pair = Pair()
    await pair.on(pair.first, "n", "1h")
    with pytest.raises(ExistsError):
        await pair.second.create(ReminderRequest(CART, "n", "2s", overwrite=False))

    assert [each.due_time for each in await pair.second.list("cart")] == ["1h"]


async def test_a_tick_fires_on_one_of_two() -> None:
    """On the owner, for as long as the trigger lasts, and though the other knows that it is due."""
    pair = Pair()
    await pair.on(pair.first, "n", "35s", "20s")
    pair.first_host.gate = asyncio.Event()
    await pair.turn(60)
    before = pair.times()
    pair.first_host.gate.set()
    await pair.turn(20)

    assert before == ([35], [])
    assert pair.times() == ([35, 60, 75], [])


async def test_a_sidecar_that_has_died_is_followed() -> None:
    """Its reminders fire on the other one, a trigger that was not finished too, so much later."""
    pair = Pair()
    await pair.on(pair.first, "n", "40s", "20s")
    pair.first_host.gate = asyncio.Event()
    await pair.turn(41)
    await pair.kill(pair.first)
    await pair.turn(30)
    first, second = pair.times()

    assert first == [40]
    assert 45 <= second[0] <= 50
    assert second[1:] == [60]


async def test_a_sidecar_that_begins_takes_what_is_overdue() -> None:
    """What another one should have fired long ago and has not touched is taken over."""
    pair = Pair()
    await pair.on(pair.first, "n", "3s")
    await pair.kill(pair.first)
    await pair.second.close()
    await pair.turn(20)
    pair.start("three")
    await pair.turn(10)

    assert pair.times() == ([], [25])
    assert await pair.names() == []


async def test_a_tick_leaves_what_another_has_registered_meanwhile() -> None:
    """Its end neither removes nor changes the new one, whatever versions the store gives."""
    pair = Pair()
    pair.first_host.gate = asyncio.Event()
    await pair.on(pair.first, "n", "1s")
    await pair.turn(1)
    await pair.second.delete(CART, "n")
    await pair.on(pair.second, "n", "3s")
    pair.first_host.gate.set()
    await pair.turn(1)
    before = await pair.names()
    await pair.turn(5)

    assert before == ["n"]
    assert pair.times() == ([1], [4])
    assert await pair.names() == []


@pytest.mark.parametrize("seed", range(300))
async def test_random_programs_of_two_sidecars(seed: int) -> None:
    """What was acknowledged is so: one row a name, none of what was deleted, at least one trigger of what was due."""
    chance = random.Random(seed)
    pair = Pair()
    expected: dict[str, float] = {}  # names that are registered, and when they are due at last
    deleted: dict[str, float] = {}
    fires: dict[str, int] = {}
    for _ in range(chance.randrange(5, 25)):
        sidecar, name = chance.choice((pair.first, pair.second)), chance.choice("abcd")
        now = pair.clock.now() - pair.host.began
        await settle(pair.clock)
        match chance.randrange(3):
            case 0:
                wait = chance.randrange(1, 8)
                await pair.on(sidecar, name, f"{wait}s")
                expected[name] = now + wait
                deleted.pop(name, None)
                fires[name] = _fired(pair, name)
            case 1:
                await sidecar.delete(CART, name)
                expected.pop(name, None)
                deleted[name] = _fired(pair, name)
            case 2:
                await pair.turn(chance.choice((0.5, 1, 3)))
        for each, due in tuple(expected.items()):
            if due <= pair.clock.now() - pair.host.began and _fired(pair, each) > fires[each]:
                del expected[each]
    await turn(pair.clock, 0.02, 0.01)
    expected = {name: due for name, due in expected.items() if _fired(pair, name) == fires[name]}
    left = await pair.names()
    assert set(left) <= set(expected)
    assert len(left) == len(set(left))
    await pair.turn(15)

    assert {name: _fired(pair, name) for name in deleted} == deleted
    assert {name: _fired(pair, name) - fires[name] for name in expected} == dict.fromkeys(expected, 1)
    assert await pair.names() == []


def _fired(pair: Pair, name: str) -> int:
    return sum(map(len, (pair.first_host.times(name), pair.second_host.times(name))))
