"""What is told of an HTTP request to whoever looks at the traffic."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from dapr_state.clock import WAITING
from dapr_state.observability.tap import Ended
from dapr_state.transports.http import target

if TYPE_CHECKING:
    from dapr_state.observability.tap import Tap
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response
    from dapr_state.serving.http.service import After
    from dapr_state.transports.http.router import Router

_FIRST_ERROR: Final = 400


def told(tap: Tap, router: Router) -> After:
    listeners = tap.listeners

    def after(request: Request, response: Response) -> None:
        if listeners:
            tap.tell(_ended(request, response, router))

    return after


def _ended(request: Request, response: Response, router: Router) -> Ended:
    path, _ = target.split(request.target)
    parts = target.segments(path)
    api, operation, about = "admin", router.name(request.method, parts), "/".join(map(target.decode, parts[2:]))
    if route := router.route(request.method, parts):
        params = route.params(parts)
        api, operation = route.operation.groups.partition(".")[0], route.operation.key
        about = "/".join(params[name] for name in ("store", "type", "id", "method", "key", "name") if name in params)
    return Ended(
        "http",
        api,
        operation,
        about,
        str(response.status),
        response.status >= _FIRST_ERROR,
        WAITING.wall(),
        request.ended - request.began,
        len(request.body),
        len(response.body),
        str(response.error or ""),
        request.headers.get("traceparent", "")[3:35],
        _caller(request.peer),
    )


def _caller(peer: Any) -> str:
    return f"{peer[0]}:{peer[1]}" if isinstance(peer, tuple) else ""
