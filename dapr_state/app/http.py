"""An application that is called over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state.app import callbacks
from dapr_state.app.callbacks import NOT_FOUND, OK, Caller, Reply
from dapr_state.app.channel import AppChannel
from dapr_state.app.model import AppError, MissingMethodError

if TYPE_CHECKING:
    from dapr_state.app.client import Client
    from dapr_state.app.model import ActorCall, ActorId, AppAnswer, Headers, Trigger

ERROR_HEADER: Final = "x-daprerrorresponseheader"
MAX_KNOWN_HEADERS: Final = 256  # callers make up values


class HttpChannel(AppChannel):
    def __init__(self, client: Client, caller: Caller) -> None:
        self._client = client
        self._caller = caller
        self._trigger_headers = caller.trigger_headers()
        self._known: dict[Headers, Headers] = {}  # callers repeat their headers

    def __repr__(self) -> str:
        return f"<HttpChannel {self._client.base}>"

    async def invoke(self, call: ActorCall) -> AppAnswer:
        headers = self._known.get(call.headers)
        if headers is None:
            headers = self._learn(call.headers)
        reply = await self._client.send("PUT", callbacks.method_path(call), headers, call.body)
        answer = _answer(reply, call.actor, call.method)
        if answer.cancels_reminder:
            raise AppError("reminder has been canceled")
        return answer

    async def remind(self, trigger: Trigger) -> AppAnswer:
        path, body = callbacks.reminder_path(trigger), callbacks.reminder_body(trigger)
        reply = await self._client.send("PUT", path, self._trigger_headers, body)
        answer = _answer(reply, trigger.actor, f"remind/{trigger.name}")
        if answer.header(ERROR_HEADER):
            raise AppError("actor error with details in body")
        return answer

    async def timer(self, trigger: Trigger) -> AppAnswer:
        path, body = callbacks.timer_path(trigger), callbacks.timer_body(trigger)
        reply = await self._client.send("PUT", path, self._trigger_headers, body)
        return _answer(reply, trigger.actor, f"timer/{trigger.name}")

    async def deactivate(self, actor: ActorId) -> None:
        path, headers = callbacks.actor_path(actor), self._caller.deactivation_headers()
        (await self._client.send("DELETE", path, headers)).to_answer()

    async def fetch_config(self) -> bytes | None:
        """The application's `/dapr/config`; None if it answers with another status than 200."""
        reply: Reply = await self._client.send("GET", "/dapr/config", self._caller.config_headers())
        return reply.body if reply.status == OK else None

    async def close(self) -> None:
        await self._client.close()

    def _learn(self, given: Headers) -> Headers:
        if len(self._known) >= MAX_KNOWN_HEADERS:
            self._known.clear()
        headers = self._known[given] = self._caller.method_headers(given)
        return headers


def _answer(reply: Reply, actor: ActorId, method: str) -> AppAnswer:
    if reply.status == NOT_FOUND:
        raise MissingMethodError(f"{MissingMethodError.BEGINNING}actors/{actor.type}/{actor.id}/method/{method}")
    return reply.to_answer()
