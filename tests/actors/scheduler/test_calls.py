"""Calls to several schedulers: who is asked, what is tried again, and what callers are told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from dapr_state_proto.scheduler.v1 import scheduler_pb2 as pb

from dapr_state.actors.gate import AwayError
from dapr_state.actors.reminders import ExistsError, RefusedError, ReminderRequest
from dapr_state.actors.scheduler import calls
from tests.actors.scheduler.service import ACTOR, Service, Target, scheduled

if TYPE_CHECKING:
    from collections.abc import Coroutine

    from tests.actors.scheduler.service import Stream

GONE = (grpc.StatusCode.UNAVAILABLE, "gone")
REQUEST = ReminderRequest(ACTOR, "n", due_time="1s")


async def told(service: Service, *services: Service) -> Stream:
    """The stream of hosts, on which all these are named."""
    stream = await service.hosts()
    await stream.tell(*(each.address for each in (service, *services)))
    await service.watcher()  # all streams are renewed then
    for each in services:
        await each.watcher()
    return stream


async def test_calls_rotate() -> None:
    """Each scheduler has its share, as any of them answers for all."""
    async with Service() as one, Service() as two, scheduled(Target(), one.address) as reminders:
        await told(one, two)
        for _ in range(6):
            await reminders.create(REQUEST)

        assert (len(one.asked), len(two.asked)) == (3, 3)


@pytest.mark.parametrize(
    ("failure", "errors"),
    [
        (GONE, 0),
        ((grpc.StatusCode.CANCELLED, "stopping"), 0),
        ("hang", 0),
        ((grpc.StatusCode.UNKNOWN, "job failed validation: no"), 1),
        ((grpc.StatusCode.RESOURCE_EXHAUSTED, "too large"), 1),
    ],
)
async def test_one_that_fails_leaves_the_call_to_the_others(
    failure: Any, errors: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """But what a scheduler has judged is final."""
    monkeypatch.setattr(calls, "ATTEMPT", 0.2)
    async with Service() as one, Service() as two, scheduled(Target(), one.address) as reminders:
        await told(one, two)
        one.fails = [failure]
        outcomes = [await _outcome(reminders.create(REQUEST)) for _ in range(2)]  # each is asked first once

        assert len(one.asked) >= 1
        assert one.fails == []
        assert len([each for each in outcomes if each]) == errors


async def _outcome(call: Coroutine[Any, Any, None]) -> Exception | None:
    try:
        return await call
    except RefusedError as error:
        return error


async def test_a_scheduler_that_is_gone_is_passed_over() -> None:
    """All calls are answered by the others, while the list still names it; what must not be done twice as well."""
    async with Service() as one, Service() as two, scheduled(Target(), one.address) as reminders:
        await told(one, two)
        await two.stop()
        for overwrite in (True, False) * 4:
            await reminders.create(ReminderRequest(ACTOR, "n", due_time="1s", overwrite=overwrite))

        assert len(one.asked) == 8


async def test_what_must_not_be_done_twice_is_not_tried_again() -> None:
    """The scheduler may have done it before it was gone."""
    async with Service() as one, Service() as two, scheduled(Target(), one.address) as reminders:
        await told(one, two)
        one.fails, two.fails = [GONE], [GONE]
        with pytest.raises(RefusedError):
            await reminders.create(ReminderRequest(ACTOR, "n", due_time="1s", overwrite=False))

        assert len(one.asked) + len(two.asked) == 1


async def test_all_gone_is_told_in_go_words() -> None:
    """After one attempt at each."""
    async with Service() as one, scheduled(Target(), one.address) as reminders:
        await one.watcher()
        one.fails = [GONE]
        with pytest.raises(RefusedError, match=r"^rpc error: code = Unavailable desc = gone$"):
            await reminders.create(REQUEST)
        one.fails = [(grpc.StatusCode.CANCELLED, "c")] * 2
        await reminders.create(REQUEST)
        one.fails = [(grpc.StatusCode.DATA_LOSS, "d")]
        with pytest.raises(RefusedError) as refused:
            await reminders.get(ACTOR, "n")

    expected = "api error: code = Internal desc = failed to get job due to: rpc error: code = DataLoss desc = d"
    assert str(refused.value) == expected


async def test_a_scheduler_without_an_answer_is_waited_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Then the caller is told."""
    monkeypatch.setattr(calls, "LONGEST", 0.3)
    async with Service() as one, scheduled(Target(), one.address) as reminders:
        await one.watcher()
        one.fails = ["hang"] * 9
        with pytest.raises(RefusedError, match="DeadlineExceeded"):
            await reminders.create(REQUEST)


async def test_calls_wait_for_the_first_list() -> None:
    """Those for whom there is no room are refused at once."""
    async with Service(tells=False) as one, scheduled(Target(), one.address) as reminders:
        waiting = asyncio.ensure_future(reminders.create(REQUEST))
        stream = await one.hosts()
        large = ReminderRequest(ACTOR, "n", due_time="1s", data=b'"%b"' % (b"x" * (1 << 20)))
        crowd = [asyncio.ensure_future(reminders.create(large)) for _ in range(20)]
        refused = await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)
        await stream.tell(one.address)
        await waiting
        outcomes = await asyncio.gather(*crowd, return_exceptions=True)

    assert refused[0]
    assert {type(each) for each in outcomes} == {type(None), AwayError}


@pytest.mark.parametrize(
    ("code", "kind"),
    [(grpc.StatusCode.ALREADY_EXISTS, ExistsError), (grpc.StatusCode.NOT_FOUND, RefusedError)],
)
async def test_what_a_create_is_told(code: grpc.StatusCode, kind: type[Exception]) -> None:
    """That there is one already has an error of its own."""
    async with Service() as one, scheduled(Target(), one.address) as reminders:
        one.fails = [(code, "x")]
        with pytest.raises(kind):
            await reminders.create(REQUEST)


async def test_what_a_get_is_told() -> None:
    """None where there is none: by its code, or by a job that is missing."""
    async with Service() as one, scheduled(Target(), one.address) as reminders:
        one.fails = [(grpc.StatusCode.NOT_FOUND, "job not found: n")]
        found = [await reminders.get(ACTOR, "n") for _ in range(2)]
        one.job = pb.Job(due_time="5s", schedule="@every 1m0s", ttl="10s")
        view = await reminders.get(ACTOR, "n")

    assert found == [None, None]
    assert view
    assert (view.due_time, view.period, view.ttl, bytes(view.data)) == ("5s", "@every 1m0s", "", b"")


async def test_a_list_is_in_order_and_of_exactly_this_actor() -> None:
    """An empty id is an actor without reminders, not all of the type: neither listed nor deleted."""
    async with Service() as one, scheduled(Target(), one.address) as reminders:
        for id_, name in (("b", "1"), ("a", "2"), ("a", "1")):
            metadata = reminders._me.metadata("ta", id_)
            one.jobs.append(pb.NamedJob(name=name, metadata=metadata, job=pb.Job(due_time="1s")))
        found = await reminders.list("ta")
        nothing = await reminders.list("ta", "")
        await reminders.delete_all("ta", "")
        asked = len(one.asked)
        await reminders.delete_all("ta")

    assert [(each.id, each.name) for each in found] == [("a", "1"), ("a", "2"), ("b", "1")]
    assert (nothing, asked) == ([], 1)
    assert one.asked[-1].HasField("id_prefix_match")
    assert not one.asked[-1].id_prefix_match
