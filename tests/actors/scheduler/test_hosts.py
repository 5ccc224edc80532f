"""Which schedulers there are: who is asked for the list, and what a change of it does."""

from __future__ import annotations

import gc
from typing import TYPE_CHECKING

import grpc
import pytest

from dapr_state.actors.reminders import RefusedError, ReminderRequest
from dapr_state.actors.scheduler import hosts
from tests.actors.scheduler.service import ACTOR, OK, Service, Target, scheduled
from tests.support.processes import free_port
from tests.support.unhurried import Unhurried
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

REQUEST = ReminderRequest(ACTOR, "n", due_time="1s")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(hosts, "REFUSED", (0.01, 0.02))
    return


def addresses(reminders: object) -> list[str]:
    return sorted(each.address for each in reminders.hosts.connections)  # type: ignore[attr-defined]


async def test_the_list_is_asked_of_any_address_until_one_answers() -> None:
    """Those that are gone are passed over."""
    gone = [f"127.0.0.1:{free_port()}" for _ in range(3)]
    async with Service() as one, scheduled(Target(), *gone, one.address) as reminders:
        await reminders.hosts.known()

        assert addresses(reminders) == [one.address]


@pytest.mark.parametrize("address", ["localhost", "bad:port", "bad:99999", "[::1", ":", "dns:///nowhere.invalid:1"])
async def test_an_address_that_is_none_is_passed_over(address: str, caplog: pytest.LogCaptureFixture) -> None:
    """At once, with its reason; a name may be given as gRPC writes it."""
    async with Service() as one, scheduled(Target(), address) as reminders:
        await eventually(lambda: "Failed to connect to scheduler host" in caplog.text)
        reminders.hosts._given = (address, f"dns:///{one.address}")
        await reminders.hosts.known()

        assert addresses(reminders) == [one.address]
    gc.collect()
    assert "never retrieved" not in caplog.text


async def test_lists_without_end() -> None:
    """Of a long one so many count, and between two of them there is a pause."""
    clock = Unhurried()
    async with Service() as service:
        found = hosts.Hosts([service.address], waiting=clock)
        lists: list[int] = []
        found.on_list.append(lambda: lists.append(len(found.connections)))
        found.begin()
        stream = await service.hosts()
        for _ in range(20):
            await stream.tell(*(f"127.0.0.1:{port}" for port in range(1, 5000)))
        await eventually(lambda: len(lists) > 20)
        await found.close()

    assert max(lists) == hosts.HOSTS_AT_MOST
    assert clock.pauses.count(hosts.PACE) >= len(lists) - 1


async def test_a_later_list_counts() -> None:
    """The streams go to those that it names, on the same stream of hosts."""
    async with Service() as one, Service() as two, scheduled(Target(), one.address) as reminders:
        stream = await one.hosts()
        left = await one.watcher()
        await stream.tell(two.address)
        new = await two.watcher()
        await new.send(1)

        assert await left.result() is None
        assert await new.result() == (1, OK)
        assert addresses(reminders) == [two.address]
        assert one.host_streams.empty()


async def test_another_one_is_asked_when_the_stream_ends() -> None:
    """One that was told of, not given: the given one may be gone for good."""
    async with Service() as two:
        one = Service()
        await one.start()
        async with scheduled(Target(), one.address) as reminders:
            await (await one.hosts()).tell(one.address, two.address)
            await two.watcher()
            await one.stop()
            await two.hosts()
            await eventually(lambda: addresses(reminders) == [two.address])
            await reminders.create(REQUEST)

            assert len(two.asked) == 1


async def test_an_empty_list_says_nothing() -> None:
    """What was known stays."""
    async with Service() as one, scheduled(Target(), one.address) as reminders:
        stream = await one.hosts()
        await one.watcher()
        await stream.tell()
        await stream.tell(one.address)
        await one.watcher()

        assert addresses(reminders) == [one.address]


async def test_a_service_that_knows_no_lists_is_taken_as_it_was_given() -> None:
    """An old one."""
    async with Service(tells=False) as one, scheduled(Target(), one.address) as reminders:
        (await one.hosts()).end(grpc.StatusCode.UNIMPLEMENTED, "unknown method")
        stream = await one.watcher()
        await stream.send(1)

        assert await stream.result() == (1, OK)
        assert addresses(reminders) == [one.address]


async def test_one_that_tells_nothing_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may wait for others of its kind."""
    monkeypatch.setattr(hosts, "FIRST_LIST", 0.05)
    async with (
        Service(tells=False) as mute,
        Service() as one,
        scheduled(Target(), mute.address, one.address) as reminders,
    ):
        await one.hosts()
        await one.watcher()

        assert addresses(reminders) == [one.address]


async def test_a_scheduler_that_comes_back_is_used_again() -> None:
    """Nothing is restarted: calls are answered, triggers taken; between they are refused."""
    one = Service()
    await one.start()
    try:
        async with scheduled(Target(), one.address) as reminders:
            await one.watcher()
            await one.stop()
            with pytest.raises(RefusedError, match="Unavailable"):
                await reminders.create(REQUEST)
            await one.start(one.port)
            stream = await one.watcher()
            await stream.send(1)

            assert await stream.result() == (1, OK)
            await reminders.create(REQUEST)
    finally:
        await one.stop()
