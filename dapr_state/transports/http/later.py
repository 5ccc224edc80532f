"""Routes whose code is imported after the start: a request for one of them waits until it is there."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from dapr_state import errors
from dapr_state.transports.http.router import APP_ID

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response
    from dapr_state.transports.http.route import Answering
    from dapr_state.transports.http.router import OwnRoutes


class LaterRoutes:
    """Those below `root`, whatever their names; `come` when they are there."""

    def __init__(self, root: bytes, app_id: str) -> None:
        self._root = root
        self._app_id = app_id
        self._there: asyncio.Future[OwnRoutes] = asyncio.get_running_loop().create_future()
        self._routes: OwnRoutes | None = None

    def come(self, routes: OwnRoutes) -> None:
        self._routes = routes
        self._there.set_result(routes)

    def find(self, request: Request) -> Answering | None:
        if self._routes:
            return self._routes.find(request)
        if not request.target.startswith(self._root) or APP_ID in request.headers:
            return None
        return self._wait(request)

    def name(self, verb: str, path: bytes) -> str:
        return self._routes.name(verb, path) if self._routes else ""

    async def _wait(self, request: Request) -> Response:
        routes = await asyncio.shield(self._there)
        if answer := routes.find(request):
            return await answer
        raise errors.not_invoked("", self._app_id)
