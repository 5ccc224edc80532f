"""What every HTTP request passes: the token, and before its route the API lists; and what is told of its answer.

Each is put there at start, and only where it is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from dapr_state import errors
from dapr_state.errors import DaprError
from dapr_state.security import tokens
from dapr_state.serving.http.response import Response, line, text
from dapr_state.serving.http.service import HeaderCheck
from dapr_state.transports.http import tapped, target
from dapr_state.transports.http.labels import VERBS
from dapr_state.transports.http.router import APP_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dapr_state.observability.apilog import ApiLog
    from dapr_state.security.access import HttpAccess
    from dapr_state.security.origins import Origins
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.service import After, Check, Handler
    from dapr_state.transports.http.console import Page
    from dapr_state.transports.http.router import Router
    from dapr_state.transports.middleware import Middleware

_HEALTH: Final = frozenset({b"v1.0/healthz", b"v1.0/healthz/outbound"})  # probes have no token
_NOT_INVOKED: Final = frozenset({id(errors.NO_APP_ID), id(errors.INVOKE_FAILED)})


def checks(layers: Middleware, page: Page | None = None) -> list[Check | HeaderCheck]:
    """What may answer a request before its route is looked for: the token, and whose pages may call.

    The files of the console's page need no token: a browser has none to show when it opens them.
    """
    found: list[Check | HeaderCheck] = []
    if layers.token is not None:
        found.append(token_check(layers.token, page.owns if page else None))
    if layers.origins is not None:
        found.append(_origin_check(layers.origins))
    return found


def token_check(token: tokens.ApiToken, is_open: Callable[[Request], bool] | None = None) -> Check:
    def check(request: Request) -> Response | None:
        if token.problem(request.headers.get(tokens.HEADER)) is None:
            return None
        if is_open and is_open(request):
            return None
        if request.method == "GET" and request.target.partition(b"?")[0].strip(b"/") in _HEALTH:
            return None
        return text(401, "invalid api token")

    return check


def route(router: Router, layers: Middleware, app_id: str) -> Handler:
    """The router, behind the lists."""
    around: Handler = router
    if layers.http_access.is_limited:
        around = _limited(router, layers.http_access, app_id)
    return _telling(around) if layers.api_log else around


def after(layers: Middleware, router: Router) -> list[After]:
    """What is told of each answer, however it came about: an error of the API, a defect, an end of the sidecar."""
    told: list[After] = []
    if layers.count_errors:
        told.append(_error_count(layers.count_errors))
    if layers.api_log:
        told.append(_log(layers.api_log, router))
    if layers.tap:
        told.append(tapped.told(layers.tap, router))
    return told


def _limited(router: Router, access: HttpAccess, app_id: str) -> Handler:
    async def limited(request: Request) -> Response:
        path, _ = target.split(request.target)
        parts = [part.decode("utf-8", "replace") for part in target.segments(path)[:2]]
        if len(parts) == 2 and access.hides(*parts):  # noqa: PLR2004  version and name
            if access.hides_invoke:
                return text(404, "404 page not found")
            raise errors.not_invoked(request.headers.get(APP_ID, ""), app_id)
        try:
            return await router(request)
        except DaprError as error:
            if not access.hides_invoke or id(error.row) not in _NOT_INVOKED:
                raise
        allowed = router.verbs(request)
        if not allowed:
            return text(404, "404 page not found")
        # to a verb that it has never heard of, daprd does not say which it would take
        return Response(405, [line("Allow", verb) for verb in allowed] if request.method in VERBS else [])

    return limited


def _origin_check(origins: Origins) -> HeaderCheck:
    def check(request: Request) -> None:
        if problem := origins.problem(request.fields.values):
            request.is_routed = True  # the log tells of it
            raise problem

    return HeaderCheck(check, lambda fields: origins.problem(fields.values) is None)


def _telling(handler: Handler) -> Handler:
    """For the log, which leaves out what has not come so far: what the token has stopped, or CORS."""

    def routed(request: Request) -> Coroutine[Any, Any, Response]:
        request.is_routed = True
        return handler(request)

    return routed


def _error_count(count: Callable[[str], None]) -> After:
    def after(_: Request, response: Response) -> None:
        if isinstance(response.error, DaprError):
            count(response.error.row.code)

    return after


def _log(log: ApiLog, router: Router) -> After:
    def after(request: Request, response: Response) -> None:
        if not request.is_routed:
            return
        path, _ = target.split(request.target)
        parts = target.segments(path)
        if log.omit_health and request.method == "GET" and b"/".join(parts) in _HEALTH:
            return
        shown = router.name(request.method, parts) if log.obfuscate else f"{request.method} {_decoded(path)}"
        agent = request.headers.get("user-agent", "")
        log.http(shown, response.status, request.ended - request.began, len(response.body), agent)

    return after


def _decoded(path: bytes) -> str:
    return unquote_to_bytes(path).decode("utf-8", "surrogateescape")  # a key may hold any bytes
