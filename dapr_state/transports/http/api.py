"""The two handlers that the sidecar serves over HTTP: the API, and the public port's part of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state.api.actors import Actors
from dapr_state.api.reminders import Reminders
from dapr_state.security.origins import AllowedOrigins
from dapr_state.serving.http.response import Response, line, text
from dapr_state.serving.http.service import HeaderCheck, Service, checked
from dapr_state.transports.http import call_metrics, middleware, problem, tracecontext, unconfigured
from dapr_state.transports.http.actors import ActorRoutes
from dapr_state.transports.http.cors import Cors
from dapr_state.transports.http.metadata import health_routes, metadata_routes, shutdown_routes
from dapr_state.transports.http.reminders import ReminderRoutes
from dapr_state.transports.http.router import Router
from dapr_state.transports.http.state import StateRoutes
from dapr_state.transports.http.traced import traced
from dapr_state.transports.middleware import Middleware

if TYPE_CHECKING:
    from collections.abc import Sequence

    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import Metadata
    from dapr_state.api.state import State
    from dapr_state.serving.answer_memory import AnswerMemory
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.service import After, Check
    from dapr_state.transports.http.console import Page
    from dapr_state.transports.http.router import OwnRoutes


def api(
    state: State,
    lifecycle: Lifecycle,
    metadata: Metadata,
    *,
    actors: Actors | None = None,
    reminders: Reminders | None = None,
    namespace: str = "",
    allowed_origins: str = "",  # for CORS; that others are refused is the middleware's
    layers: Middleware | None = None,
    before: Sequence[Check] = (),
    after: Sequence[After] = (),
    answers: AnswerMemory | None = None,
    page: Page | None = None,
    admin: OwnRoutes | None = None,
) -> Service:
    """The whole API; without `actors` they are not configured, without `page` there is no console.

    `before` and `after` come after tracing and CORS, as in daprd, and before the middleware's checks.
    """
    layers = layers or Middleware()
    state_routes, actor_routes = StateRoutes(state, answers), ActorRoutes(actors or Actors())
    table = {
        **state_routes.table(),
        **actor_routes.table(),
        **ReminderRoutes(reminders or Reminders(Actors())).table(),
        **health_routes(lifecycle),
        **shutdown_routes(lifecycle),
        **metadata_routes(metadata),
        **unconfigured.routes(metadata.app_id, namespace),
    }
    router = Router(table, metadata.app_id, state=state_routes, actors=actor_routes, page=page, admin=admin)
    echoes = layers.echoes_context
    checks: list[Check | HeaderCheck] = [tracecontext.CHECK] if echoes else []
    hooks: list[After] = [*after, tracecontext.after] if echoes and not layers.tracer else [*after]
    if allowed := AllowedOrigins(allowed_origins):
        cors = Cors(allowed)
        checks.append(cors.check)
        hooks.insert(0, cors.after)
    checks += (*before, *middleware.checks(layers, page))
    handler = checked(middleware.route(router, layers, metadata.app_id), checks)
    if layers.test:
        # whoever does not test does not pay for it
        from dapr_state.transports.http.tested import tested  # noqa: PLC0415

        handler = tested(handler, layers.test, router)
    if layers.tracer:
        handler = traced(handler, layers.tracer, router)
    return Service(
        handler,
        problem.failure,
        (*call_metrics.after(layers), *middleware.after(layers, router), *hooks),
        names_peers=layers.tracer is not None,
    )


def console(page: Page, admin: OwnRoutes, layers: Middleware, app_id: str) -> Service:
    """The console on a port of its own: its page, the administration API, and nothing of Dapr's."""
    router = Router({}, app_id, page=page, admin=admin)
    handler = checked(middleware.route(router, layers, app_id), middleware.checks(layers, page))
    return Service(handler, problem.failure, (*call_metrics.after(layers), *middleware.after(layers, router)))


def public(lifecycle: Lifecycle, metadata: Metadata) -> Service:
    """Health and metadata, for whoever may see the public port; no token is asked for."""
    router = Router({**health_routes(lifecycle), **metadata_routes(metadata)})

    async def route(request: Request) -> Response:
        if answer := router.find(request):
            return await answer
        if verbs := router.verbs(request):
            return Response(405, [line("Allow", verb) for verb in verbs])
        return text(404, "404 page not found")

    return Service(checked(route, (tracecontext.CHECK,)), problem.failure, (tracecontext.after,))
