"""Timers on a turned clock."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from dapr_state.actors import firing
from dapr_state.actors.schedule import ScheduleError
from dapr_state.actors.timers import Timers
from dapr_state.app.model import ActorId, AppError, Trigger
from dapr_state.clock import ManualClock
from tests.actors.triggering import CANCEL, CART, TriggerTarget, turn


def _trigger(
    name: str = "n", due_time: str = "", period: str = "", data: bytes | None = None, actor: ActorId = CART
) -> Trigger:
    return Trigger(actor, name, data, due_time, period, "callback")


@pytest.mark.parametrize(
    ("due_time", "period", "ttl", "times"),
    [
        ("", "", "", [0]),
        ("1s", "", "", [1]),
        ("1s", "0s", "", [1]),
        ("", "R3", "", [0]),
        ("1s", "2s", "", [1, 3, 5, 7, 9]),
        ("0s", "R2/PT2S", "", [0, 2]),
        ("", "R3/PT1S", "", [0, 1, 2]),
        ("1s", "1s", "2s", [1, 2]),  # the moment of expiry is too late
        ("0s", "1s", "2100ms", [0, 1, 2]),
        ("-3s", "1s", "4500ms", [0, 0, 0, 0, 1]),  # triggers that were missed follow one another
        ("1s", "", "1s", [1]),
        ("", "", "0s", []),
        ("2023-11-14T22:13:24Z", "", "", [4]),
    ],
)
async def test_when_a_timer_fires(due_time: str, period: str, ttl: str, times: list[float]) -> None:
    """As daprd: due time, then each period, until the number of fires or the time to live is used up."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    timers.create(_trigger("n", due_time, period), ttl)
    await turn(clock, 9.5)

    assert host.times() == times
    assert timers.counts() == ({"cart": 1} if period == "2s" else {})


async def test_the_application_gets_the_timer_as_it_was_given() -> None:
    """Data, callback, due time and period are those of the registration, at each fire."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    timers.create(_trigger("n", "1s", "R2/PT1S", b'{"a": 1}'))
    await turn(clock, 3)

    assert host.triggers == [_trigger("n", "1s", "R2/PT1S", b'{"a": 1}')] * 2


async def test_a_slow_fire_delays_no_other_actor() -> None:
    """One whose fire lasts does not overlap with itself or others of its actor, and catches up."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    host.gate = asyncio.Event()
    timers.create(_trigger("slow", "1s", "1s"))
    await turn(clock, 1)
    gate, host.gate = host.gate, None
    timers.create(_trigger("quick", "1s", "1s", actor=ActorId("cart", "2")))
    timers.create(_trigger("next", "1s"))
    await turn(clock, 3)
    assert host.running == ["slow"]
    gate.set()
    await turn(clock, 1)

    assert host.times("quick") == [2, 3, 4, 5]
    assert host.times("slow") == [1, 4, 4, 4, 5]
    assert host.times("next") == [4]


@pytest.mark.parametrize("answer", ["failure", "cancel"])
async def test_no_answer_ends_a_timer(answer: str) -> None:
    """Neither an error nor the header that cancels a reminder changes the schedule; both kinds of fire are counted."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    counted: list[tuple[str, bool]] = []
    timers = Timers(host, clock, lambda actor_type, is_success: counted.append((actor_type, is_success)))
    if answer == "failure":
        host.fails = [AppError("error from actor service: (500) "), RuntimeError("a defect")]
    else:
        host.answer = CANCEL
    timers.create(_trigger("n", "1s", "1s"))
    await turn(clock, 3)

    assert host.times() == [1, 2, 3]
    assert counted == [("cart", answer == "cancel")] * 2 + [("cart", True)]


async def test_a_timer_is_replaced_by_its_name() -> None:
    """The one before it fires no more, whether it waits or is firing."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    timers.create(_trigger("n", "1s", "1s"))
    timers.create(_trigger("n", "2s", "R2/PT3S"))
    host.gate = asyncio.Event()
    await turn(clock, 2)
    timers.create(_trigger("n", "2s"))
    host.gate.set()
    await turn(clock, 8)

    assert host.times() == [2, 4]
    assert repr(timers) == "<Timers 0, 0 firing>"


async def test_a_deleted_timer_is_gone() -> None:
    """Also while it fires; deleting what is not there is nothing."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    for name in ("waiting", "firing", "kept"):
        timers.create(_trigger(name, "2s", "1s"))
    timers.delete(CART, "waiting")
    timers.delete(CART, "unknown")
    timers.delete(ActorId("cart", "2"), "kept")
    host.gate = asyncio.Event()
    await turn(clock, 2)
    timers.delete(CART, "firing")
    host.gate.set()
    await turn(clock, 1)

    assert [host.times(name) for name in ("waiting", "firing", "kept")] == [[], [2], [2, 3]]


@pytest.mark.parametrize(
    ("actor_type", "due_time", "period", "ttl", "sentence"),
    [
        ("other", "", "", "", "can't create timer for actor other||1: actor type not registered"),
        ("cart", "x", "", "", "error parsing timer due time: unsupported time/duration format: x"),
        (
            *("cart", "1h", "", "-1h"),
            "timer cart||1||n has already expired: dueTime: 2023-11-14 23:13:20 +0000 UTC TTL: -1h",
        ),
        (
            *("cart", "-3s", "1s", "2s"),
            "timer cart||1||n has already expired: dueTime: 2023-11-14 22:13:17 +0000 UTC TTL: 2s",
        ),
        (
            *("cart", "2099-01-01T00:00:00Z", "", "2098-01-01T00:00:00Z"),
            "timer cart||1||n has already expired: dueTime: 2099-01-01 00:00:00 +0000 UTC TTL: 2098-01-01T00:00:00Z",
        ),
    ],
)
async def test_a_timer_that_cannot_be(actor_type: str, due_time: str, period: str, ttl: str, sentence: str) -> None:
    """It is refused in daprd's words, and the one of that name stays."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    timers.create(_trigger("n", "1s"))
    with pytest.raises(ScheduleError) as refused:
        timers.create(Trigger(ActorId(actor_type, "1"), "n", None, due_time, period), ttl)
    await turn(clock, 1)

    assert str(refused.value) == sentence
    assert host.times() == [1]


async def test_wall_time_that_is_set_does_not_move_timers() -> None:
    """A timer waits as long as it was told, whatever the wall clock says meanwhile."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    timers.create(_trigger("n", "2s", "2s"))
    clock.jump(3600)
    await turn(clock, 4)

    assert len(host.times()) == 2


async def test_the_shortest_period_ends() -> None:
    """A hundred nanoseconds are not lost in rounding: so many triggers later the timer is over."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    timers.create(_trigger("n", "0s", "100ns"), "5us")
    await turn(clock, 1)

    assert len(host.triggers) == 50
    assert timers.counts() == {}


async def test_what_all_timers_hold_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would be too much is refused; there is room again when others are gone."""
    monkeypatch.setattr("dapr_state.actors.timers.MAX_OCTETS", 3 * 11_000)
    clock = ManualClock()
    timers = Timers(TriggerTarget(clock), clock)
    for name in ("a", "b", "c"):
        timers.create(_trigger(name, "1h", data=b"x" * 9_000))
    with pytest.raises(ScheduleError, match="the timers of this sidecar would hold more than 33000 bytes"):
        timers.create(_trigger("d", "1h", data=b"x" * 9_000))
    timers.delete(CART, "a")
    timers.create(_trigger("d", "1h", data=b"x" * 9_000))

    assert timers.counts() == {"cart": 3}


async def test_many_that_are_due_together_begin_in_slices() -> None:
    """Others have their turn on the event loop in between; so many are under way at most, and all come."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    host.gate = asyncio.Event()
    timers = Timers(host, clock)
    for number in range(3000):
        timers.create(_trigger("n", "1s", actor=ActorId("cart", str(number))))
    clock.advance(1)
    begun = [0]
    for _ in range(40):
        await asyncio.sleep(0)
        clock.advance(0)
        begun.append(len(host.seen))
    host.gate.set()
    await turn(clock, 1)

    assert max(after - before for before, after in itertools.pairwise(begun)) <= firing.AT_ONCE
    assert begun[-1] == firing.UNDER_WAY
    assert len(host.seen) == 3000
    assert timers.counts() == {}


async def test_the_end() -> None:
    """After it nothing fires, and fires under way are given up."""
    clock = ManualClock()
    host = TriggerTarget(clock)
    timers = Timers(host, clock)
    host.gate = asyncio.Event()
    timers.create(_trigger("firing", "1s", "1s"))
    timers.create(_trigger("waiting", "2s"))
    await turn(clock, 1)
    await timers.close()
    await turn(clock, 5)

    assert host.seen == [("firing", 1)]
    assert host.running == []
    assert clock.waiting == 0
