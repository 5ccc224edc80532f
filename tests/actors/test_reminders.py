"""Embedded reminders on a turned clock: what fires when, what is kept, and what happens after a restart."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.actors.reminder import DROP, Policy, Request
from dapr_state.actors.reminders import EmbeddedReminders, ExistsError
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.state import NoStoreError
from dapr_state.app.model import ActorId, AppError, Tick, UnreachableError
from dapr_state.clock import ManualClock
from dapr_state.stores.base import StoreError
from dapr_state.stores.memory import MemoryStore
from tests.actors.ticking import CANCEL, CART, TickHost, settle, turn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.stores.model import Operation

FAILED = AppError("error from actor service: (500) ")
GONE = UnreachableError("connection refused")


class Failing(MemoryStore):
    """Fails while it `is_down`."""

    is_down = False

    async def transact(self, operations: Sequence[Operation]) -> None:
        if self.is_down:
            raise StoreError("down")
        await super().transact(operations)


class House:
    """One store, clock and application, and one sidecar after another."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = Failing(self.clock)
        self.host = TickHost(self.clock)
        self.counted: list[tuple[str, bool]] = []
        self.reminders = self.start()

    def start(self) -> EmbeddedReminders:
        """Another sidecar begins; what became of the one before is the caller's affair."""
        self.reminders = EmbeddedReminders(
            self.host, "app", lambda: self.store, self.clock, lambda kind, success: self.counted.append((kind, success))
        )
        self.reminders.begin()
        return self.reminders

    async def create(
        self, name: str = "n", due_time: str = "", period: str = "", ttl: str = "", **more: object
    ) -> None:
        actor = more.pop("actor", CART)
        await self.reminders.create(Request(actor, name, due_time, period, ttl, **more))  # type: ignore[arg-type]

    async def turn(self, seconds: float) -> None:
        await turn(self.clock, seconds)

    async def names(self, kind: str = "cart", identity: str | None = None) -> list[str]:
        return [each.name for each in await self.reminders.list(kind, identity)]


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
        ("-3s", "R6/PT1S", "", [0, 0, 0, 0, 1, 2]),  # ticks that were missed follow one another
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

    assert house.host.ticks == [Tick(CART, "n", b'{"b": 1.0}'), Tick(CART, "none")]
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

    assert house.host.times() == [0, 1, 2, 3]


async def test_an_application_that_is_not_there_costs_no_attempt() -> None:
    """The tick is tried each second until somebody is there; only the policy `drop` gives it up."""
    house = House()
    house.host.fails = [GONE] * 21
    await house.create("n", "0s")
    await house.create("dropped", "0s", policy=DROP)
    await house.turn(19.5)
    before = await house.names()
    await house.turn(1)

    assert house.host.times("dropped") == [0]
    assert house.host.times() == list(range(21))
    assert (before, await house.names()) == (["n"], [])


async def test_the_cancel_header_ends_a_reminder() -> None:
    """Nothing of it is left."""
    house = House()
    house.host.answer = CANCEL
    await house.create("n", "1s", "1s")
    await house.turn(5)

    assert (house.host.times(), await house.names()) == ([1], [])


async def test_reminders_survive_the_end_of_the_sidecar() -> None:
    """What fell due meanwhile fires at once, each missed tick; what is due later fires then."""
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
    """What the dead one does afterwards is not taken for an answer to the tick of the next."""
    house = House()
    house.host.gate = asyncio.Event()
    await house.create("n", "1s")
    await house.turn(1)
    dead = house.reminders
    for task in dead._tasks:
        task.cancel()
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
    await house.create("quick", "1s", "1s")
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
    assert [tick.data for tick in house.host.ticks] == [b"1", b"2", b"2", b"2"]


@pytest.mark.parametrize("due_time", ["0s", "2s"])
async def test_registered_anew_during_its_own_tick(due_time: str) -> None:
    """The end of the old tick, success or cancellation, leaves the new registration alone."""
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
    """It does not come back with the end of the tick, not even with a failed one."""
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
    assert [tick.data for tick in house.host.ticks] == [b"1", None]


async def test_what_is_shown_of_a_reminder() -> None:
    """Due time as given, the period in the scheduler's form, a ttl only if it is a time."""
    house = House()
    await house.create("a", "PT1H", "R5/PT2H", "2099-01-01T00:00:00Z", data=b"1")
    await house.create("b", "", "90s", "1h")
    a, b = await house.reminders.list("cart")
    assert (a.due_time, a.shown_period, a.shown_ttl, bytes(a.data)) == (
        *("PT1H", "@every 2h0m0s"),
        *("2099-01-01T00:00:00Z", b"1"),
    )
    assert (b.due_time, b.shown_period, b.shown_ttl, bytes(b.data)) == ("", "@every 1m30s", "", b"")
    assert await house.reminders.get(CART, "a") is a
    assert await house.reminders.get(CART, "c") is None


async def test_all_of_a_type_or_of_an_actor() -> None:
    """Exactly these are listed, by id and name, and deleted; a type whose name begins alike is another one."""
    house = House()
    for kind, identity, name in (("ta", "2", "x"), ("ta", "1", "y"), ("ta", "1", "x"), ("tab", "1", "x")):
        await house.create(name, "1h", actor=ActorId(kind, identity))
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
    """The tick is no attempt, and comes when the type is hosted again."""
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
    """A tick that is refused because the sidecar is about to end comes after the next start."""
    house = House()
    house.host.fails = [ClosingError()]
    await house.create("n", "1s", policy=DROP)
    await house.turn(3)
    await house.reminders.close()
    house.start()
    await house.turn(1)

    assert house.host.times() == [1, 3]


async def test_the_end() -> None:
    """After `stop` no tick begins, and those that end are written; after `close` nothing is under way."""
    house = House()
    house.host.gate = gate = asyncio.Event()
    await house.create("ends", "1s")
    await house.turn(1)
    house.host.gate = asyncio.Event()
    await house.create("lasts", "1s")
    await house.create("waits", "3s")
    await house.turn(1)
    house.reminders.stop()
    gate.set()
    await house.turn(5)
    await house.reminders.close()

    assert house.host.seen == [("ends", 1), ("lasts", 2)]
    assert (house.host.running, house.clock.waiting) == ([], 0)
    assert await house.names() == ["lasts", "waits"]


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
    reminders = EmbeddedReminders(TickHost(clock), "app", lambda: None, clock)
    reminders.begin()
    await settle(clock)
    calls = (
        reminders.create(Request(CART, "n", "1s")),
        reminders.get(CART, "n"),
        reminders.delete(CART, "n"),
        reminders.list("cart"),
        reminders.delete_all("cart"),
    )
    results = await asyncio.gather(*calls, return_exceptions=True)

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
    """A reminder that is due by the new time fires within a minute."""
    house = House()
    await house.create("n", "5h")
    house.clock._now += 5 * 3600
    await house.turn(60)

    assert [tick.name for tick in house.host.ticks] == ["n"]


async def test_ten_thousand_reminders() -> None:
    """They cost one alarm; after a restart all of them are there, and fire."""
    house = House()
    count = 10_000
    requests = [Request(ActorId("cart", str(number % 100)), f"r{number}", "100s", "100s") for number in range(count)]
    await asyncio.gather(*(house.reminders.create(request) for request in requests))
    waiting = house.clock.waiting
    await house.reminders.close()
    house.start()
    await settle(house.clock)
    house.clock.advance(100)
    while len(house.host.seen) < count:
        await settle(house.clock)

    assert waiting == 1
    assert len(set(house.host.seen)) == count
    assert house.clock.waiting == 1


async def test_registering_again_and_again_leaves_nothing_behind() -> None:
    """A reminder that is put off a thousand times is one in the queue."""
    house = House()
    for _ in range(1000):
        await house.create("n", "1h")

    assert len(house.reminders._queue) < 100
    assert repr(house.reminders) == "<EmbeddedReminders 1, 0 firing, 0 parked>"
