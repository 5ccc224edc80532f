"""What every HTTP request passes: the token, and around its route the API lists, error counts and API log.

Each is put there at start, and only where it is on.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote_to_bytes

from dapr_state import errors
from dapr_state.clock import SYSTEM
from dapr_state.errors import DaprError
from dapr_state.security import tokens
from dapr_state.transports.http import message, operations, problem, target
from dapr_state.transports.http.labels import VERBS
from dapr_state.transports.http.message import Response, line
from dapr_state.transports.http.router import APP_ID

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from dapr_state.observability.apilog import ApiLog
    from dapr_state.security.access import HttpAccess
    from dapr_state.security.origins import Origins
    from dapr_state.transports.guard import Guard
    from dapr_state.transports.http.handler import Check, Handler
    from dapr_state.transports.http.router import Router
    from dapr_state.wire.http1 import Request

HEALTH: Final = frozenset({"/v1.0/healthz", "/v1.0/healthz/outbound"})
_OPEN: Final = frozenset(path.strip("/").encode() for path in HEALTH)  # probes have no token
_NOT_INVOKED: Final = frozenset({id(errors.NO_APP_ID), id(errors.INVOKE_FAILED)})


def checks(guard: Guard) -> list[Check]:
    """What may answer a request before its route is looked for."""
    return [] if guard.token is None else [token_check(guard.token)]


def token_check(token: tokens.ApiToken) -> Check:
    def check(request: Request) -> Response | None:
        if token.problem(request.headers.get(tokens.HEADER)) is None:
            return None
        if request.method == "GET" and request.target.partition(b"?")[0].strip(b"/") in _OPEN:
            return None
        return message.text(401, "invalid api token")

    return check


def route(router: Router, guard: Guard, app_id: str) -> Handler:
    """The router with what is around it: innermost the lists, then whose pages may call, outermost the log."""
    around: Handler = router
    if guard.http_access.is_limited:
        around = _limited(router, guard.http_access, app_id)
    if guard.origins:
        around = _of_known_origin(around, guard.origins)
    if guard.count_errors:
        around = _counting_errors(around, guard.count_errors)
    if guard.api_log:
        around = _logged(around, guard.api_log)
    return around


def _limited(router: Router, access: HttpAccess, app_id: str) -> Handler:
    async def limited(request: Request) -> Response:
        path, _ = target.split(request.target)
        parts = [part.decode("utf-8", "replace") for part in target.segments(path)[:2]]
        if len(parts) == 2 and access.hides(*parts):  # noqa: PLR2004  version and name
            if access.hides_invoke:
                return message.text(404, "404 page not found")
            raise errors.not_invoked(request.headers.get(APP_ID, ""), app_id)
        try:
            return await router(request)
        except DaprError as error:
            if not access.hides_invoke or id(error.row) not in _NOT_INVOKED:
                raise
        allowed = router.verbs(request)
        if not allowed:
            return message.text(404, "404 page not found")
        # to a verb that it has never heard of, daprd does not say which it would take
        return Response(405, [line("Allow", verb) for verb in allowed] if request.method in VERBS else [])

    return limited


def _of_known_origin(handler: Handler, origins: Origins) -> Handler:
    def known(request: Request) -> Coroutine[Any, Any, Response]:
        if problem := origins.problem(request.fields.values):
            raise problem
        return handler(request)

    return known


def _counting_errors(handler: Handler, count: Callable[[str], None]) -> Handler:
    async def counted(request: Request) -> Response:
        try:
            return await handler(request)
        except DaprError as error:
            count(error.row.code)
            raise

    return counted


def _logged(handler: Handler, log: ApiLog) -> Handler:
    now = SYSTEM.monotonic

    async def logged(request: Request) -> Response:
        began = now()
        try:
            response = await handler(request)
        except DaprError as error:
            response = problem.of(error)
        path, _ = target.split(request.target)
        clean = "/" + b"/".join(target.segments(path)).decode("utf-8", "replace")
        if not (log.omit_health and request.method == "GET" and clean in HEALTH):
            shown = operations.name(request.method, clean) if log.obfuscate else f"{request.method} {_decoded(path)}"
            agent = request.headers.get("user-agent", "")
            log.http(shown, response.status, now() - began, len(response.body), agent)
        return response

    return logged


def _decoded(path: bytes) -> str:
    # a key may hold any bytes, and a line of the log none but text
    return unquote_to_bytes(path).decode("utf-8", "backslashreplace")
