"""The way of every request: checks that may answer it, then its route, then what is noted on the answer.

Checks and notes are plain functions, chosen once at start: the API token, allow lists, logs, metrics and tracing are
such functions. With none of them a request pays for two empty loops.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.errors import DaprError
from dapr_state.transports.http import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.transports.http.connection import Handler
    from dapr_state.transports.http.message import Response
    from dapr_state.wire.http1 import Request

    Check = Callable[[Request], Response | None]
    Note = Callable[[Request, Response], None]


class HttpHandler:
    """`before` are asked in order, and the first that has an answer gives it; every answer passes all of `after`."""

    def __init__(self, route: Handler, before: Sequence[Check] = (), after: Sequence[Note] = ()) -> None:
        self._route = route
        self._before = tuple(before)
        self._after = tuple(after)

    async def __call__(self, request: Request) -> Response:
        for check in self._before:
            if response := check(request):
                break
        else:
            try:
                response = await self._route(request)
            except DaprError as error:
                response = problem.of(error)
        for note in self._after:
            note(request, response)
        return response
