"""One request and its answer, the same over HTTP/1.1 and HTTP/2: handler, hooks, and what fails on the way."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dapr_state.clock import WAITING
from dapr_state.serving.eager_task import EagerTask
from dapr_state.serving.http.response import Response

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.shared import Shared

_now = WAITING.monotonic


def answer_of_any_server(request: Request) -> Response | None:
    """What is not for the handler, but for any HTTP server to answer."""
    if request.expect not in {"", "100-continue"}:
        request.keep_alive = False  # its body may come or not
        return Response(417)
    if request.target == b"*" and request.method == "OPTIONS":
        return Response(200)
    return None


class CutError(Exception):
    """There is no answer: the client's connection is to end, as where the network fails."""


class Exchange(EagerTask):
    """`begin` a whole request, or `refuse` one: `send` is called once for each, at once or later.

    A handler that never waits is answered in its first step, without a task.
    """

    __slots__ = ("request", "shared")

    request: Request

    def __init__(self, shared: Shared) -> None:
        super().__init__(asyncio.get_running_loop())
        self.shared = shared

    def send(self, request: Request, response: Response) -> None:
        """Send the answer, if somebody still waits for it."""
        raise NotImplementedError

    def cut(self) -> None:
        """Reset the client's connection."""
        raise NotImplementedError

    def begin(self, request: Request) -> None:
        self.request = request
        request.began = _now()
        if (request.expect or request.target == b"*") and (response := answer_of_any_server(request)):
            request.ended = request.began
            self.send(request, response)
            return
        try:
            answering = self.shared.handler(request)
        except Exception as error:  # noqa: BLE001 - as if the first step had raised it
            self._raised(error)
        else:
            self.run(answering)

    def refuse(self, request: Request, error: BaseException) -> None:
        """Answer a request that was not begun."""
        self.request = request
        request.began = _now()
        self._raised(error)

    def _returned(self, result: Response) -> None:
        request, response = self.request, result
        request.ended = _now()
        try:
            for after in self.shared.after:
                after(request, response)
        except Exception as error:  # noqa: BLE001 - whatever it is, the client waits
            response = self.shared.failure(request, error)
        self.send(request, response)

    def _raised(self, error: BaseException) -> None:
        if isinstance(error, CutError):
            self.cut()
            return
        self._returned(self.shared.failure(self.request, error))
