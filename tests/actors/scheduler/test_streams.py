"""Triggers on streams: what is answered to each, and what becomes of those under way when streams change."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest
from dapr_state_proto.scheduler.v1 import scheduler_pb2 as pb

from dapr_state.actors.gate import AwayError
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.scheduler import streams, triggers
from dapr_state.app.model import ActorId, AppError, UnreachableError
from dapr_state.clock import WAITING
from tests.actors.scheduler.service import FAILED, OK, Service, Target, scheduled, taken
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dapr_state.app.model import Trigger

OTHER = ActorId("ta", "2")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "BREATH", 0.01)
    monkeypatch.setattr(streams, "AGAIN", (0.01, 0.02))


async def test_a_stream_says_what_is_hosted() -> None:
    """The types in order, reminders only, and as many streams as are asked for."""
    target = Target()
    target.types = ["tb", "ta"]
    async with Service() as service, scheduled(target, service.address, streams=3):
        found = [(await service.watcher()).initial for _ in range(3)]

    assert [(each.app_id, each.namespace) for each in found] == [("app", "default")] * 3
    assert [list(each.actor_types) for each in found] == [["ta", "tb"]] * 3
    assert [list(each.accept_job_types) for each in found] == [[1]] * 3


async def test_a_host_without_types_opens_no_stream() -> None:
    """One that accepts reminders of no type would take the service down; with the first type there is one."""
    target = Target()
    target.types = []
    async with Service() as service, scheduled(target, service.address) as reminders:
        await service.hosts()
        target.types = ["ta"]
        reminders.changed()
        first = await service.watcher()

        assert list(first.initial.actor_types) == ["ta"]


@pytest.mark.parametrize(
    ("error", "status"),
    [(None, OK), (AppError("500"), FAILED), (LookupError("nobody"), FAILED)],
)
async def test_a_trigger_is_answered(error: Exception | None, status: int) -> None:
    """By what the application makes of it; it is shown name, actor and data."""
    target = Target()
    target.fails = [error] if error else []
    async with Service() as service, scheduled(target, service.address):
        stream = await service.watcher()
        await stream.send(7, "r", OTHER, b'{"a": 1}')
        answer = await stream.result()
        seen: Trigger = await taken(target.seen)

    assert answer == (7, status)
    assert (seen.actor, seen.name, seen.data) == (OTHER, "r", b'{"a": 1}')


class Flood:
    """A scheduler that sends one odd trigger after the other, and takes no result."""

    def __init__(self, triggers: int) -> None:
        self.left = triggers
        self.ended = asyncio.Event()

    async def read(self) -> pb.WatchJobsResponse:
        if not self.left:
            await self.ended.wait()
        self.left -= 1
        return pb.WatchJobsResponse(name="n" * 10_000, id=self.left)

    async def write(self, _: pb.WatchJobsRequest) -> None:
        await self.ended.wait()


async def test_a_flood_of_odd_triggers(caplog: pytest.LogCaptureFixture) -> None:
    """One whose results are not taken is not read on, and they are told of once, in few words."""
    flood = Flood(20 * streams.RESULTS_AT_MOST)
    ours = triggers.Triggers(Target(), fired=lambda *_: None)
    running = asyncio.ensure_future(streams.Conversation(flood, ours, WAITING).run())
    turns = 0
    while turns < streams.RESULTS_AT_MOST and flood.left > 0:
        await asyncio.sleep(0)
        turns += 1
    running.cancel()
    await asyncio.wait([running])

    assert 20 * streams.RESULTS_AT_MOST - flood.left <= streams.RESULTS_AT_MOST + 1
    assert len(caplog.messages) == 1
    assert len(caplog.messages[0]) < 200


async def test_a_trigger_for_no_actor_is_refused() -> None:
    """So is one whose data is no JSON; the stream goes on."""
    target = Target()
    async with Service() as service, scheduled(target, service.address):
        stream = await service.watcher()
        await stream.send_nothing(1)
        await stream.send(2, data=b"{no")
        await stream.send(3)
        answers = [await stream.result() for _ in range(3)]

    assert answers == [(1, FAILED), (2, FAILED), (3, OK)]


@pytest.mark.parametrize("error", [UnreachableError("refused"), AwayError("not up")])
async def test_an_application_that_is_away_costs_no_attempt(error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    """The trigger is tried again here until it is back, and answered then."""
    monkeypatch.setattr(triggers, "AWAY_WAIT", 0.01)
    target = Target()
    target.fails = [error, error]
    async with Service() as service, scheduled(target, service.address):
        stream = await service.watcher()
        await stream.send(1)
        answer = await stream.result()

    assert answer == (1, OK)
    assert target.seen.qsize() == 3


async def test_an_actor_takes_one_at_a_time_and_answers_leave_as_they_come() -> None:
    """Two for one actor follow each other; another actor's goes beside them."""
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address):
        stream = await service.watcher()
        for id_, actor in ((1, ActorId("ta", "1")), (2, ActorId("ta", "1")), (3, OTHER)):
            await stream.send(id_, str(id_), actor)
        first = {(await taken(target.seen)).name, (await taken(target.seen)).name}
        running = target.running
        target.gate.set()
        answers = [await stream.result() for _ in range(3)]

    assert (first, running) == ({"1", "3"}, 2)
    assert sorted(filter(None, answers)) == [(1, OK), (2, OK), (3, OK)]


async def test_types_that_change_open_new_streams_first() -> None:
    """The old one ends what it runs and answers it, begins nothing any more, and ends then."""
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address) as reminders:
        old = await service.watcher()
        await old.send(1, "running")
        await taken(target.seen)
        gate, target.gate = target.gate, None
        talk = reminders._streams._streams[0]._conversation
        target.types = ["ta", "tb"]
        reminders.changed()
        new = await service.watcher()
        await eventually(lambda: "leaving" in repr(talk))
        await old.send(2, "late", OTHER)
        await eventually(lambda: "2 open" in repr(talk))
        await new.send(1, "new", OTHER)
        answer = await new.result()
        gate.set()
        answers = [await old.result(), await old.result()]
        names = {(await taken(target.seen)).name}

    assert list(new.initial.actor_types) == ["ta", "tb"]
    assert answers == [(1, OK), None]
    assert (answer, names, target.seen.qsize()) == ((1, OK), {"new"}, 0)


async def test_what_runs_too_long_does_not_keep_an_old_stream(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its trigger is given up unanswered, and so sent to the new one."""
    monkeypatch.setattr(streams, "FINISHING", 0.05)
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address) as reminders:
        old = await service.watcher()
        await old.send(1)
        await taken(target.seen)
        target.types = ["tb"]
        reminders.changed()
        await service.watcher()

        assert await old.result() is None
        await eventually(lambda: target.cancelled == 1)


async def test_a_stream_that_ends_gives_up_what_waits() -> None:
    """It is sent again elsewhere; a new stream takes its place, and answers only what came on it."""
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address):
        first = await service.watcher()
        for id_ in (1, 2):
            await first.send(id_, str(id_))
        await taken(target.seen)
        first.end(grpc.StatusCode.UNAVAILABLE, "gone")
        second = await service.watcher()
        await second.send(1, "again")
        target.gate.set()
        answer = await second.result()
        seen = {(await taken(target.seen)).name}

    assert answer == (1, OK)
    assert seen == {"again"}
    assert target.cancelled == 1


async def test_a_service_that_repeats_an_id_loses_its_stream() -> None:
    """An answer could belong to either: none is given, and a new stream begins."""
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address):
        first = await service.watcher()
        await first.send(1, "one")
        await first.send(1, "other")
        second = await service.watcher()
        answer = await first.result()

        assert answer is None
        assert second is not first


async def test_a_new_list_of_hosts_renews_all_streams() -> None:
    """Though it names the same: a scheduler whose part has changed counts its streams anew."""
    target = Target()
    async with Service() as service, scheduled(target, service.address):
        hosts = await service.hosts()
        old = await service.watcher()
        await hosts.tell(service.address)
        new = await service.watcher()

        assert await old.result() is None
        await new.send(1)
        assert await new.result() == (1, OK)


async def test_a_stop_ends_streams_without_an_answer_for_what_is_refused() -> None:
    """What runs to its end is answered; what the actors refuse is left to others."""
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address) as reminders:
        stream = await service.watcher()
        await stream.send(1, "runs")
        await taken(target.seen)
        await stream.send(2, "refused", OTHER)
        await taken(target.seen)
        reminders.stop()
        target.fails = [ClosingError()]
        target.gate.set()
        answers = [await stream.result() for _ in range(2)]

    assert [each and each[1] for each in answers] == [OK, None]


async def test_what_has_come_and_is_not_answered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond it the stream is not read: what is sent stays with the service."""
    monkeypatch.setattr(triggers, "OCTETS_AT_MOST", 100 * 1024)
    target = Target()
    target.gate = asyncio.Event()
    async with Service() as service, scheduled(target, service.address) as reminders:
        stream = await service.watcher()
        sending = asyncio.ensure_future(_send_all(stream, 100, b'"%s"' % (b"x" * 10_000)))
        await eventually(lambda: not reminders._triggers._room.is_set())
        held = reminders._triggers._octets
        target.gate.set()
        answers = {await stream.result() for _ in range(100)}
        await sending

    assert held < 130 * 1024
    assert answers == {(number, OK) for number in range(100)}
    assert reminders._triggers._octets == 0


async def _send_all(stream: object, number: int, data: bytes) -> None:
    for id_ in range(number):
        await stream.send(id_, actor=ActorId("ta", str(id_)), data=data)  # type: ignore[attr-defined]
