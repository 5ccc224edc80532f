"""A span around each HTTP request, under daprd's names (runtime.md 9); put there only where tracing is on."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from dapr_state import operations
from dapr_state.errors import DaprError
from dapr_state.observability.tracecontext import of_headers
from dapr_state.security import tokens
from dapr_state.serving.http.response import line
from dapr_state.transports.http import problem, target, tracecontext

if TYPE_CHECKING:
    from dapr_state.observability.tracecontext import Span, Tracer
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response
    from dapr_state.serving.http.service import Handler
    from dapr_state.transports.http.router import Route, Router

_FIRST_ERROR: Final = 400


def traced(handler: Handler, tracer: Tracer, router: Router) -> Handler:
    """The handler in a span; its answer says which."""

    async def around(request: Request) -> Response:
        if tracecontext.is_untraced(request):
            return await handler(request)
        span = _start(tracer, request, router)
        request.trace = span.context
        try:
            response = await handler(request)
        except DaprError as error:
            response = problem.of(error)
        except BaseException as error:
            span.finish(type(error).__name__)
            raise
        _note(request, response, span)
        return response

    return around


def _start(tracer: Tracer, request: Request, router: Router) -> Span:
    headers = request.headers
    parent = of_headers(headers)
    if not tracer.keeps:
        return tracer.start("", parent, {})
    path, _ = target.split(request.target)
    parts = target.segments(path)
    shown = f"/{'/'.join(map(target.decode, parts))}"
    call = f"{request.method} {shown}"
    name, about = _subject(router.route(request.method, parts), parts, call)
    attributes = {
        "dapr.api": call,
        "dapr.protocol": "http",
        "http.request.method": request.method,
        "url.full": request.target.decode("utf-8", "replace"),
        **_client(request.peer),
        **about,
        # the token is a header of Dapr's as well, and nobody else's business
        **{key: value for key, value in headers.items() if key.startswith("dapr-") and key != tokens.HEADER},
    }
    return tracer.start(name or shown, parent, attributes)


def _client(peer: Any) -> dict[str, str]:
    """Where the request came from, by the names of a server that daprd gives it; `@` is Go's for a socket file's."""
    match peer:
        case str(host), int(port), *_:
            return {"server.address": host, "server.port": str(port)}
    return {"server.address": "@"}


def _subject(route: Route | None, parts: list[bytes], call: str) -> tuple[str, dict[str, str]]:
    """The span's name where it is not the path, and what is said of its subject."""
    if route is None or not route.operation.span:
        return "", {}
    params = route.params(parts)
    if route.operation.span in {operations.STORE, operations.STORE_OVER_HTTP}:
        return "", _database(params["store"], call)
    actor = f"{params['type']}.{params['id']}"
    if route.operation.span == operations.ACTOR_STATE:
        return "", {"dapr.actor": actor, **_database("actors", call)}
    about = {"dapr.actor": actor, "rpc.service": "ServiceInvocation", "net.peer.name": actor}
    return f"CallActor/{params['type']}/{params['method']}", about


def _database(name: str, statement: str) -> dict[str, str]:
    return {"db.system": "state", "db.connection_string": "state", "db.name": name, "db.statement": statement}


def _note(request: Request, response: Response, span: Span) -> None:
    response.lines.append(line("Traceparent", str(span.context)))
    if span.context.state:
        response.lines.append(line("Tracestate", span.context.state))
    if baggage := request.fields.baggage:
        response.lines.append(line("Baggage", baggage))
    span.note("dapr.status_code", str(response.status))
    is_error = response.status >= _FIRST_ERROR
    span.finish(f"Code({response.status}): {HTTPStatus(response.status).phrase}" if is_error else None)
