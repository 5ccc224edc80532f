"""The Actors calls over HTTP: path, headers and body in, one call into api/actors, an answer out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state import errors
from dapr_state.api import expiry
from dapr_state.api.actors import ActorId, check_type
from dapr_state.golang.unmarshal import MalformedError
from dapr_state.serving.http.response import JSON, Response, line, no_content
from dapr_state.transports.http import actor_bodies, target
from dapr_state.transports.http.actor_bodies import StepError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.api.actors import Actors
    from dapr_state.app.model import Headers
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Line
    from dapr_state.transports.http.route import Answer, Call

TOO_LARGE: Final = "stream too large"

MAX_KNOWN: Final = 256  # callers make up names
_OURS: Final = frozenset({"Date", "Traceparent"})  # of the application's headers, those that we write ourselves


class ActorRoutes:
    def __init__(self, actors: Actors) -> None:
        self._actors = actors
        self._known_headers: dict[int, tuple[Mapping[str, str], Headers]] = {}
        self._known_lines: dict[tuple[str, str], Line] = {}

    def table(self) -> dict[str, Answer]:
        return {
            "InvokeActor": self._invoke,
            "GetActorState": self._get_state,
            "ExecuteActorStateTransaction": self._transact,
        }

    async def invoke(self, actor_type: str, actor_id: str, method: str, request: Request, query: str = "") -> Response:
        request.needs_client = True  # one who waits for a turn and goes away leaves the queue
        body_error = TOO_LARGE if request.body_error else ""
        headers = self._headers(request)
        if request.trace:  # the first of two counts
            headers = (("traceparent", str(request.trace)), *headers)
        answer = await self._actors.invoke(
            ActorId(actor_type, actor_id), method, request.body, headers, query=query, body_error=body_error
        )
        known = self._known_lines
        lines = [known.get(pair) or self._learn(pair) for pair in answer.headers if pair[0] not in _OURS]
        return Response(200, lines, answer.body)

    async def get_state(self, actor_type: str, actor_id: str, key: str) -> Response:
        row = await self._actors.get_state(ActorId(actor_type, actor_id), key)
        if row is None or not row.value:
            return no_content()
        response = Response(200, [JSON], row.value)
        for metadatum, value in expiry.metadata(row).items():
            # Go writes header names in its own letters: Metadata.ttlexpiretime
            response.lines.append(line(f"metadata.{metadatum}".capitalize(), value))
        return response

    async def transact(self, actor_type: str, actor_id: str, request: Request) -> Response:
        check_type(actor_type)
        try:
            steps = await actor_bodies.TRANSACTION.read(request)
        except MalformedError as error:
            raise errors.MALFORMED_BODY(cause=error) from error
        actor = ActorId(actor_type, actor_id)
        await self._actors.check_active(actor, len(request.body))
        try:
            changes = await actor_bodies.changes(steps)
        except StepError as error:
            raise errors.ACTOR_STATE_TRANSACTION(cause=error) from error
        except MalformedError as error:
            raise errors.MALFORMED_BODY(cause=error) from error
        await self._actors.transact(actor, changes)
        return no_content()

    # From the table

    async def _invoke(self, call: Call) -> Response:
        query = target.split(call.request.target)[1].decode("utf-8", "surrogateescape")
        params = call.params
        return await self.invoke(params["type"], params["id"], params["method"], call.request, query)

    async def _get_state(self, call: Call) -> Response:
        return await self.get_state(call.params["type"], call.params["id"], call.params["key"])

    async def _transact(self, call: Call) -> Response:
        return await self.transact(call.params["type"], call.params["id"], call.request)

    # Headers: callers and applications repeat theirs

    def _headers(self, request: Request) -> Headers:
        # many requests share one mapping; it is kept here, so that its number cannot become another's
        found = self._known_headers.get(id(request.headers))
        if found is None:
            if len(self._known_headers) >= MAX_KNOWN:
                self._known_headers.clear()
            lines = (*request.headers.items(), *request.fields.more)
            found = self._known_headers[id(request.headers)] = request.headers, lines
        return found[1]

    def _learn(self, pair: tuple[str, str]) -> Line:
        if len(self._known_lines) >= MAX_KNOWN:
            self._known_lines.clear()
        written = self._known_lines[pair] = line(*pair)
        return written
