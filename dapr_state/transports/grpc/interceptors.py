"""What every gRPC call passes: the API lists and the token before it, errors, metrics and the API log behind it.

It is put around the handlers when these are first asked for: so it works on any server, and costs nothing where it is
off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state import errors
from dapr_state.errors import DaprError
from dapr_state.security import tokens
from dapr_state.security.access import ADMIN_SERVICES, GRPC_PREFIX
from dapr_state.serving.grpc.observed import ObservedHandler, with_behavior
from dapr_state.transports.grpc import status
from dapr_state.transports.grpc.call_metrics import CallMetrics
from dapr_state.transports.grpc.tapped import TappedCalls
from dapr_state.transports.grpc.traced import traced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dapr_state.observability.apilog import ApiLog
    from dapr_state.serving.grpc.observed import After, Context
    from dapr_state.transports.middleware import Middleware

    Handler = grpc.RpcMethodHandler[Any, Any]

OWN_SERVICES: Final = (GRPC_PREFIX, "/dapr.proto.internals.", ADMIN_SERVICES)
HEALTH: Final = "/grpc.health.v1.Health/"


class Services(grpc.GenericRpcHandler):
    """Everything that a server answers. Services are added to it as to a server, and it is the server's only handler.

    So a token is looked for when the server asks who handles a call, before the request is read, and no server's order
    of asking matters: grpc.aio asks those first that it was made with.
    """

    def __init__(self, layers: Middleware, otherwise: grpc.GenericRpcHandler | None = None) -> None:
        """`otherwise` takes every call that no service takes; what it makes of a method is not remembered."""
        self._layers = layers
        self._otherwise = otherwise
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._known: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Generated code adds every method twice, for servers that prefer a table. This one does not."""

    def service(self, details: grpc.HandlerCallDetails) -> Handler | None:
        method, layers = details.method, self._layers
        if layers.token and not method.startswith(HEALTH) and not layers.grpc_access.hides(method):
            given = next((value for name, value in details.invocation_metadata if name == tokens.HEADER), None)
            if problem := layers.token.problem(given):
                return _refusal(errors.unauthorized(problem))
        known = self._known.get(method)
        if known is not None:
            return known
        for each in self._handlers:
            handler = each.service(details)
            if handler is not None:
                self._known[method] = wrap(method, handler, layers)
                return self._known[method]
        unknown = self._otherwise.service(details) if self._otherwise else None
        return unknown and wrap(method, unknown, layers)


def wrap(method: str, handler: Handler, layers: Middleware) -> Handler:
    """The handler with all that is on; those of others are left as they are."""
    if layers.grpc_access.hides(method):
        # as in daprd, the message of a unary call is looked at first
        return _refusal(errors.hidden(), handler)
    if not method.startswith(OWN_SERVICES):
        return handler
    if layers.test:
        # whoever does not test does not pay for it
        from dapr_state.transports.grpc.tested import tested  # noqa: PLC0415

        handler = tested(method, handler, layers.test)
    if layers.tracer:
        handler = traced(method, handler, layers.tracer)
    return ObservedHandler(handler, status.of_exception, _after(method, handler, layers))


def _refusal(error: DaprError, handler: Handler | None = None) -> Handler:
    async def refuse(_: Any, __: Context) -> None:
        raise error.with_traceback(None)

    if handler is None or handler.request_streaming or handler.response_streaming:
        return ObservedHandler(grpc.stream_stream_rpc_method_handler(refuse), status.of_exception)
    return ObservedHandler(with_behavior(handler, refuse), status.of_exception)


def _after(method: str, handler: Handler, layers: Middleware) -> After | None:
    """What is told of each call's end; only unary calls and their errors are counted, as by daprd."""
    told: list[After] = []
    is_unary = not (handler.request_streaming or handler.response_streaming)
    tapped = TappedCalls(method, layers.tap, handler.request_deserializer) if layers.tap and is_unary else None
    if layers.metrics and is_unary:
        told.append(CallMetrics(method, layers.metrics, tapped).count)
    elif tapped:
        told.append(tapped.tell)
    if layers.count_errors and is_unary:
        told.append(_error_count(layers.count_errors))
    if layers.api_log:
        told.append(_log(method, layers.api_log))
    if len(told) < 2:  # noqa: PLR2004  one is called without a loop around it
        return told[0] if told else None

    def after(*outcome: Any) -> None:
        for each in told:
            each(*outcome)

    return after


def _error_count(count: Callable[[str], None]) -> After:
    def after(_: Context, __: int, ___: int, ____: int, _____: float, error: BaseException | None) -> None:
        if isinstance(error, DaprError):
            count(error.row.code)

    return after


def _log(method: str, log: ApiLog) -> After:
    def after(context: Context, code: int, _: int, __: int, seconds: float, ___: BaseException | None) -> None:
        agent = next((value for name, value in context.invocation_metadata() or () if name == "user-agent"), "")
        log.grpc(method, code, seconds, agent.decode("utf-8", "replace") if isinstance(agent, bytes) else agent)

    return after
