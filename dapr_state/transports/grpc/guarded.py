"""What every gRPC call passes: the API lists, the token, metrics and the API log.

They are put around the handlers when these are registered: so they work on any server, and cost nothing where they
are off.
"""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state import errors
from dapr_state.clock import SYSTEM
from dapr_state.errors import DaprError
from dapr_state.security import tokens
from dapr_state.security.access import GRPC_PREFIX
from dapr_state.transports.grpc import status
from dapr_state.transports.grpc.metered import Meter, MeteredHandler, code_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from dapr_state.observability.apilog import ApiLog
    from dapr_state.transports.grpc.metered import Behavior, Context
    from dapr_state.transports.guard import Guard

    Handler = grpc.RpcMethodHandler[Any, Any]

OWN_SERVICES: Final = (GRPC_PREFIX, "/dapr.proto.internals.")
HEALTH: Final = "/grpc.health.v1.Health/"


class Services(grpc.GenericRpcHandler):
    """Everything that a server answers. Services are added to it as to a server, and it is the server's only handler.

    So a token is looked for when the server asks who handles a call, before the request is read, and no server's order
    of asking matters: grpc.aio asks those first that it was made with.
    """

    def __init__(self, guard: Guard, otherwise: grpc.GenericRpcHandler) -> None:
        """`otherwise` takes every call that no service takes; what it makes of a method is not remembered."""
        self._guard = guard
        self._otherwise = otherwise
        self._handlers: list[grpc.GenericRpcHandler] = []
        self._known: dict[str, Handler] = {}

    def add_generic_rpc_handlers(self, handlers: Iterable[grpc.GenericRpcHandler]) -> None:
        self._handlers += handlers

    def add_registered_method_handlers(self, service: str, handlers: Mapping[str, Handler]) -> None:
        """Generated code adds every method twice, for servers that prefer a table. This one does not."""

    def service(self, details: grpc.HandlerCallDetails) -> Handler | None:
        method, guard = details.method, self._guard
        if guard.token and not method.startswith(HEALTH) and not guard.grpc_access.hides(method):
            given = next((value for name, value in details.invocation_metadata if name == tokens.HEADER), None)
            if problem := guard.token.problem(given):
                return _refusal(errors.unauthorized(problem))
        known = self._known.get(method)
        if known is not None:
            return known
        for each in self._handlers:
            handler = each.service(details)
            if handler is not None:
                self._known[method] = wrap(method, handler, guard)
                return self._known[method]
        unknown = self._otherwise.service(details)
        return unknown and wrap(method, unknown, guard)


def wrap(method: str, handler: Handler, guard: Guard) -> Handler:
    """The handler with all that is on, or itself."""
    if guard.grpc_access.hides(method):
        return _refusal(errors.hidden())
    if not method.startswith(OWN_SERVICES):
        return handler
    unary: Behavior | None = handler.unary_unary  # type: ignore[assignment]  # ours are for grpc.aio
    if unary is None:
        return _watched_stream(method, handler, guard)
    behavior = unary
    if guard.count_errors:
        behavior = _counting_errors(behavior, guard.count_errors)
    behavior = _watched(method, behavior, guard)
    if guard.metrics:
        return MeteredHandler(handler, behavior, Meter(method, guard.metrics))
    if behavior is unary:
        return handler
    return grpc.unary_unary_rpc_method_handler(behavior, handler.request_deserializer, handler.response_serializer)


def _watched(method: str, behavior: Behavior, guard: Guard) -> Behavior:
    if guard.api_log:
        behavior = _logged(method, behavior, guard.api_log)
    if guard.tracer:
        from dapr_state.transports.grpc.traced import traced  # noqa: PLC0415  needs the extra `tracing`

        behavior = traced(method, behavior, guard.tracer)
    return behavior


def _refusal(error: DaprError) -> Handler:
    async def refuse(_: Any, context: Context) -> None:
        await context.abort_with_status(status.of(error))

    return grpc.stream_stream_rpc_method_handler(refuse)


def _watched_stream(method: str, handler: Handler, guard: Guard) -> Handler:
    """The handler with its log and its span; only unary calls are counted, as by daprd."""
    if not (guard.api_log or guard.tracer):
        return handler
    behavior: Any = handler.stream_stream

    async def answer_all(requests: Any, context: Context) -> None:
        answers = behavior(requests, context)
        if not hasattr(answers, "__aiter__"):
            await answers
            return
        async with aclosing(answers):
            async for message in answers:
                await context.write(message)

    watched: Any = _watched(method, answer_all, guard)
    return grpc.stream_stream_rpc_method_handler(watched, handler.request_deserializer, handler.response_serializer)


def _logged(method: str, behavior: Behavior, log: ApiLog) -> Behavior:
    now = SYSTEM.monotonic

    async def logged(request: Any, context: Context) -> Any:
        began = now()
        code = 0
        try:
            return await behavior(request, context)
        except BaseException as error:
            code = code_of(error, context)
            raise
        finally:
            agent = next((value for name, value in context.invocation_metadata() or () if name == "user-agent"), "")
            log.grpc(method, code, now() - began, _text(agent))

    return logged


def _counting_errors(behavior: Behavior, count: Callable[[str], None]) -> Behavior:
    async def counted(request: Any, context: Context) -> Any:
        try:
            return await behavior(request, context)
        except BaseException as error:
            # the call was aborted because of it
            if isinstance(error.__context__, DaprError):
                count(error.__context__.row.code)
            raise

    return counted


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value
