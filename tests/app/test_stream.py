"""Requests to an application on the stream that it has opened."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.runtime.v1.actors_pb2 import SubscribeActorEventsRequestAlpha1 as FromApp
from google.protobuf.json_format import MessageToDict
from google.protobuf.wrappers_pb2 import BytesValue

from dapr_state.app.callbacks import Caller
from dapr_state.app.model import ActorCall, ActorId, AppAnswer, AppError, Trigger
from dapr_state.app.stream import StreamChannel
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Coroutine
    from typing import Any

    from dapr_state_proto.runtime.v1.actors_pb2 import SubscribeActorEventsResponseAlpha1 as ToApp

CART = ActorId("cart", "1")
CALL = ActorCall(CART, "add", b"body", (("X-A", "1"), ("x-a", "2"), ("Content-Type", "text/plain"), ("te", "x")))
TRIGGER = Trigger(CART, "n", b'{"a":1}', "1s", "2s", "cb")
REQUESTS: dict[str, Callable[[StreamChannel], Coroutine[Any, Any, AppAnswer | None]]] = {
    "invoke": lambda channel: channel.invoke(CALL),
    "reminder": lambda channel: channel.remind(TRIGGER),
    "timer": lambda channel: channel.timer(TRIGGER),
    "deactivate": lambda channel: channel.deactivate(CART),
}


class App:
    """The other end of one stream: it is told what is sent, and answers by hand."""

    def __init__(self, channel: StreamChannel) -> None:
        self.channel = channel
        self.stream = channel.open()
        self.got: list[ToApp] = []
        self._answers: asyncio.Queue[FromApp | None] = asyncio.Queue()
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self.stream.read(self._messages()))]

    async def _listen(self) -> None:
        async for message in self.stream.outgoing():
            self.got.append(message)

    async def _messages(self) -> AsyncIterator[FromApp]:
        while message := await self._answers.get():
            yield message

    async def receive(self, number: int) -> ToApp:
        """The request of this number."""
        await eventually(lambda: len(self.got) >= number)
        return self.got[number - 1]

    def answer(self, **fields: Any) -> None:
        self._answers.put_nowait(FromApp(**fields))

    async def leave(self) -> None:
        """End the stream, from this side."""
        self._answers.put_nowait(None)
        await asyncio.wait(self._tasks)


def channel(max_concurrency: int = 0) -> StreamChannel:
    return StreamChannel(Caller("shop", "default", "secret"), max_concurrency)


async def failure(task: Coroutine[Any, Any, object] | asyncio.Task[Any]) -> str:
    with pytest.raises(AppError) as raised:
        await task
    return str(raised.value)


async def test_what_the_application_is_sent() -> None:
    """Every kind of request, with a number of its own and all that it needs."""
    app = App(channel())
    tasks = [asyncio.create_task(ask(app.channel)) for ask in REQUESTS.values()]
    await app.receive(4)
    for task in tasks:
        task.cancel()
    data = {"@type": "type.googleapis.com/google.protobuf.BytesValue", "value": "eyJhIjoxfQ=="}
    actor = {"actorType": "cart", "actorId": "1"}
    trigger = {**actor, "name": "n", "dueTime": "1s", "period": "2s", "data": data}

    assert [MessageToDict(each) for each in app.got] == [
        {
            "invokeRequest": {
                "id": "1",
                **actor,
                "method": "add",
                "data": "Ym9keQ==",
                "metadata": {
                    "X-A": "1",
                    "Content-Type": "text/plain",
                    "dapr-caller-app-id": "shop",
                    "dapr-caller-namespace": "default",
                    "Dapr-Api-Call": "true",
                },
            }
        },
        {"reminderRequest": {"id": "2", **trigger}},
        {"timerRequest": {"id": "3", **trigger, "callback": "cb"}},
        {"deactivateRequest": {"id": "4", **actor}},
    ]
    assert app.got[1].reminder_request.data.Is(BytesValue.DESCRIPTOR)


async def test_a_tick_without_data_has_none() -> None:
    """Neither an empty value nor null."""
    app = App(channel())
    task = asyncio.create_task(app.channel.timer(Trigger(CART, "n")))
    request = await app.receive(1)
    task.cancel()

    assert not request.timer_request.HasField("data")


async def test_answers() -> None:
    """A body with its type; an error of the application's own; the end of a reminder."""
    app = App(channel())
    tasks = [asyncio.create_task(ask(app.channel)) for ask in [REQUESTS["invoke"]] * 2 + list(REQUESTS.values())[1:]]
    await app.receive(5)
    app.answer(deactivate_response={"id": "5"})  # in another order than they were asked
    app.answer(timer_response={"id": "4"})
    app.answer(reminder_response={"id": "3", "cancel": True})
    app.answer(invoke_response={"id": "2", "data": b"no", "error": True})
    app.answer(invoke_response={"id": "1", "data": b"yes", "metadata": {"content-type": "text/plain", "x-a": "1"}})
    yes, no, reminder, timer, deactivation = await asyncio.gather(*tasks)

    assert yes == AppAnswer((("Content-Type", "text/plain"),), b"yes")
    assert no == AppAnswer((("Content-Type", "application/json"), ("X-Daprerrorresponseheader", "true")), b"no")
    assert reminder
    assert reminder.cancels_reminder
    assert timer == AppAnswer()
    assert deactivation is None


@pytest.mark.parametrize("kind", REQUESTS)
async def test_what_is_no_answer_is_an_error(kind: str) -> None:
    """A failure that the application reports, one of another kind, and none at all."""
    app = App(channel())
    tasks = [asyncio.create_task(REQUESTS[kind](app.channel)) for _ in range(4)]
    await app.receive(4)
    app.answer(request_failed={"id": "1", "code": 13, "message": "boom"})
    app.answer(request_failed={"id": "2", "code": 5, "message": "?"})
    app.answer(**{"deactivate_response" if kind != "deactivate" else "timer_response": {"id": "3"}})
    await asyncio.wait(tasks[:3])
    await app.leave()
    found = [await failure(task) for task in tasks]

    assert found[0] == "error from actor service: boom"
    assert found[1].startswith("actor method not found: ")
    assert found[2:] == [
        f"actor host returned an unexpected response type for {kind}",
        "actor host disconnected before responding",
    ]


async def test_answers_to_nothing_are_dropped() -> None:
    """Unknown and repeated numbers, and messages without one, harm nobody."""
    app = App(channel())
    task = asyncio.create_task(app.channel.invoke(CALL))
    await app.receive(1)
    app.answer(invoke_response={"id": "77"})
    app.answer()
    app.answer(initial_request={"entities": ["x"]})
    app.answer(invoke_response={"id": "1", "data": b"first"})
    app.answer(invoke_response={"id": "1", "data": b"second"})
    answer = await task

    assert answer.body == b"first"
    assert repr(app.stream) == "<Stream open, 0 asked>"


async def test_a_cancelled_request_is_forgotten() -> None:
    """Its late answer is dropped."""
    app = App(channel())
    task = asyncio.create_task(app.channel.invoke(CALL))
    await app.receive(1)
    task.cancel()
    await asyncio.wait([task])
    app.answer(invoke_response={"id": "1"})
    again = asyncio.create_task(app.channel.invoke(CALL))
    await app.receive(2)
    app.answer(invoke_response={"id": "2", "data": b"again"})

    assert (await again).body == b"again"


async def test_the_newest_stream_is_asked() -> None:
    """An older one finishes what it holds; when the newest ends, the older is asked again; without any, nobody is."""
    shared = channel()
    old = App(shared)
    held = asyncio.create_task(shared.invoke(CALL))
    await old.receive(1)
    new = App(shared)
    asked = asyncio.create_task(shared.invoke(CALL))
    await new.receive(1)
    new.answer(invoke_response={"id": "1", "data": b"new"})
    old.answer(invoke_response={"id": "1", "data": b"old"})
    answers = [(await task).body for task in (held, asked)]
    shared.close(new.stream)
    asked = asyncio.create_task(shared.invoke(CALL))
    await old.receive(2)
    shared.close(old.stream)

    assert answers == [b"old", b"new"]
    assert await failure(asked) == "actor host disconnected before responding"
    assert await failure(shared.invoke(CALL)) == "actor host is not connected"


async def test_a_stream_that_is_over_is_not_asked() -> None:
    """The application has gone, and the stream is not closed yet: nobody waits for it."""
    app = App(channel())
    await app.leave()

    assert await failure(app.channel.invoke(CALL)) == "actor host is not connected"


async def test_no_more_requests_at_once_than_allowed() -> None:
    """The next is sent when one is answered."""
    app = App(channel(max_concurrency=1))
    tasks = [asyncio.create_task(app.channel.invoke(CALL)) for _ in range(3)]
    for number in range(1, 4):
        await app.receive(number)
        at_once = len(app.got) - number
        app.answer(invoke_response={"id": str(number)})
    await asyncio.gather(*tasks)

    assert (len(app.got), at_once) == (3, 0)
