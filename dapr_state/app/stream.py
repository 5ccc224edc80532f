"""An application that opens no port for its actors: requests go to it on a stream that it has opened itself.

Several streams may be open, as while a new version of the application replaces an old one: the newest is asked, the
older ones finish what they hold. Requests of one stream are told apart by their numbers.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import nullcontext
from itertools import count
from typing import TYPE_CHECKING, Final

from dapr_state_proto.runtime.v1.actors_pb2 import (
    SubscribeActorEventsRequestAlpha1 as FromApp,
)
from dapr_state_proto.runtime.v1.actors_pb2 import (
    SubscribeActorEventsResponseAlpha1 as ToApp,
)
from google.protobuf.wrappers_pb2 import BytesValue

from dapr_state.app.callbacks import passed_on
from dapr_state.app.channel import AppChannel
from dapr_state.app.model import AppAnswer, AppError, MissingMethodError, UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from google.protobuf.any_pb2 import Any

    from dapr_state.app.callbacks import Caller
    from dapr_state.app.model import ActorCall, ActorId, Trigger

log = logging.getLogger("dapr.runtime.actors.callbackstream")

NOT_FOUND: Final = 5  # gRPC's
_BYTES_VALUE: Final = "type.googleapis.com/google.protobuf.BytesValue"
_DEFAULT_TYPE: Final = "application/json"


class StreamChannel(AppChannel):
    """`max_concurrency` 0 means no limit."""

    def __init__(self, caller: Caller, max_concurrency: int = 0) -> None:
        self._caller = caller
        self._streams: list[Stream] = []  # the newest last
        self._places = asyncio.Semaphore(max_concurrency) if max_concurrency else nullcontext()

    def __repr__(self) -> str:
        return f"<StreamChannel {len(self._streams)} streams>"

    def open(self) -> Stream:
        stream = Stream()
        self._streams.append(stream)
        return stream

    def close(self, stream: Stream) -> None:
        """Ask nothing of it any more; what it holds fails."""
        self._streams.remove(stream)
        stream.end()

    def close_all(self) -> None:
        for stream in tuple(self._streams):
            stream.end()

    async def invoke(self, call: ActorCall) -> AppAnswer:
        request = ToApp()
        asked = request.invoke_request
        asked.actor_type, asked.actor_id, asked.method = call.actor.type, call.actor.id, call.method
        asked.data = call.body
        asked.metadata.update(reversed(passed_on.of(call.headers)))  # a map: the first line of a name counts
        asked.metadata["dapr-caller-app-id"] = self._caller.app_id
        asked.metadata["dapr-caller-namespace"] = self._caller.namespace
        asked.metadata["Dapr-Api-Call"] = "true"
        answer = await self._ask(request, call.method)
        if answer.WhichOneof("request_type") != "invoke_response":
            raise _unexpected("invoke")
        given = answer.invoke_response
        headers = [("Content-Type", given.metadata.get("content-type", _DEFAULT_TYPE))]
        if given.error:
            headers.append(("X-Daprerrorresponseheader", "true"))
        return AppAnswer(tuple(headers), given.data)

    async def remind(self, trigger: Trigger) -> AppAnswer:
        request = ToApp()
        asked = request.reminder_request
        asked.actor_type, asked.actor_id, asked.name = trigger.actor.type, trigger.actor.id, trigger.name
        asked.due_time, asked.period = trigger.due_time, trigger.period
        _set_data(asked.data, trigger)
        answer = await self._ask(request, trigger.name)
        if answer.WhichOneof("request_type") != "reminder_response":
            raise _unexpected("reminder")
        return _of_tick(cancel=answer.reminder_response.cancel)

    async def timer(self, trigger: Trigger) -> AppAnswer:
        request = ToApp()
        asked = request.timer_request
        asked.actor_type, asked.actor_id, asked.name = trigger.actor.type, trigger.actor.id, trigger.name
        asked.due_time, asked.period, asked.callback = trigger.due_time, trigger.period, trigger.callback
        _set_data(asked.data, trigger)
        answer = await self._ask(request, trigger.name)
        if answer.WhichOneof("request_type") != "timer_response":
            raise _unexpected("timer")
        return _of_tick(cancel=answer.timer_response.cancel)

    async def deactivate(self, actor: ActorId) -> None:
        request = ToApp()
        request.deactivate_request.actor_type, request.deactivate_request.actor_id = actor.type, actor.id
        answer = await self._ask(request, str(actor))
        if answer.WhichOneof("request_type") != "deactivate_response":
            raise _unexpected("deactivate")

    async def _ask(self, request: ToApp, method: str) -> FromApp:
        async with self._places:
            if not self._streams:
                raise UnreachableError("actor host is not connected")
            answer = await self._streams[-1].ask(request)
        if answer.WhichOneof("request_type") != "request_failed":
            return answer
        if answer.request_failed.code == NOT_FOUND:
            raise MissingMethodError(f"{MissingMethodError.BEGINNING}{method}")
        raise AppError(f"error from actor service: {answer.request_failed.message}")


class Stream:
    """One stream: `outgoing` is what to send, `read` takes what comes."""

    def __init__(self) -> None:
        self._numbers = count(1)
        self._asked: dict[str, asyncio.Future[FromApp]] = {}
        self._outgoing: asyncio.Queue[ToApp | None] = asyncio.Queue()
        self._is_over = False

    def __repr__(self) -> str:
        return f"<Stream {'over' if self._is_over else 'open'}, {len(self._asked)} asked>"

    def begin(self) -> None:
        """Tell the application that its types are registered."""
        self._outgoing.put_nowait(ToApp(initial_response={}))

    def ask(self, request: ToApp) -> asyncio.Future[FromApp]:
        """Send the request under a number of its own; the future is the answer, or AppError."""
        number = str(next(self._numbers))
        getattr(request, str(request.WhichOneof("response_type"))).id = number
        answer: asyncio.Future[FromApp] = asyncio.get_running_loop().create_future()
        if self._is_over:  # and nobody has closed it yet
            answer.set_exception(AppError("actor host is not connected"))
            return answer
        self._asked[number] = answer
        answer.add_done_callback(lambda _: self._asked.pop(number, None))
        self._outgoing.put_nowait(request)
        return answer

    async def outgoing(self) -> AsyncIterator[ToApp]:
        """What to send, until the stream is over."""
        while message := await self._outgoing.get():
            yield message

    async def read(self, messages: AsyncIterator[FromApp]) -> None:
        """Take all answers; the stream is over when there are no more."""
        try:
            async for message in messages:
                self._take(message)
        finally:
            self.end()

    def end(self) -> None:
        """Fail what is asked."""
        if self._is_over:
            return
        self._is_over = True
        self._outgoing.put_nowait(None)
        for answer in tuple(self._asked.values()):
            if not answer.done():
                answer.set_exception(AppError("actor host disconnected before responding"))

    def _take(self, message: FromApp) -> None:
        kind = message.WhichOneof("request_type")
        number = getattr(message, kind).id if kind and kind != "initial_request" else ""
        answer = self._asked.get(number)
        if answer is None or answer.done():
            log.warning("An answer to a request that is not asked (any more): %s %s", kind, number)
            return
        answer.set_result(message)


def _unexpected(kind: str) -> AppError:
    return AppError(f"actor host returned an unexpected response type for {kind}")


def _set_data(data: Any, trigger: Trigger) -> None:
    if trigger.data is not None:
        data.type_url = _BYTES_VALUE
        data.value = BytesValue(value=trigger.data).SerializeToString()


def _of_tick(*, cancel: bool) -> AppAnswer:
    return AppAnswer((("X-Daprremindercancel", "true"),) if cancel else ())
