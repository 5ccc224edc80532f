"""A span around each gRPC call, under daprd's names (runtime.md 9); put there only where tracing is on."""

from __future__ import annotations

from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

from dapr_state.errors import DaprError
from dapr_state.observability.tracecontext import BINARY, SpanContext, of_metadata
from dapr_state.operations import OPERATIONS, STORE
from dapr_state.security import tokens
from dapr_state.serving.grpc.observed import behavior_of, with_behavior, write_all

if TYPE_CHECKING:
    import grpc

    from dapr_state.observability.tracecontext import Span, Tracer

    Context = grpc.aio.ServicerContext[Any, Any]
    Handler = grpc.RpcMethodHandler[Any, Any]

# of the call that runs: each has a context of its own, so nothing needs to be put back
current: ContextVar[SpanContext | None] = ContextVar("current", default=None)
_OF_A_STORE: Final = frozenset(each.rpcs for each in OPERATIONS if each.span == STORE)


def traced(method: str, handler: Handler, tracer: Tracer) -> Handler:
    """The handler in a span, whatever its kind; the answer's first metadata say which."""
    behavior = behavior_of(handler)

    async def around(request: Any, context: Context) -> Any:
        span = _start(tracer, method, request, context)
        current.set(span.context)
        try:
            await context.send_initial_metadata(((BINARY, bytes(span.context)),))
            answers = behavior(request, context)
            response = await (write_all(answers, context) if handler.response_streaming else answers)
        except BaseException as error:
            span.finish(error.message if isinstance(error, DaprError) else context.details() or "")
            raise
        span.finish()
        return response

    return with_behavior(handler, around)


def context_of(call: Context) -> SpanContext | None:
    """The trace that a call goes on with: its own span's, or without a tracer its caller's."""
    return current.get() or of_metadata(dict(call.invocation_metadata() or ()))


def _start(tracer: Tracer, method: str, request: Any, context: Context) -> Span:
    metadata = dict(context.invocation_metadata() or ())
    parent = of_metadata(metadata)
    if not tracer.keeps:
        return tracer.start(method, parent, {})
    attributes = {"dapr.api": method, "dapr.protocol": "grpc", **_subject(method, request)}
    attributes |= {
        name: value
        for name, value in metadata.items()
        if name.startswith("dapr-") and name != tokens.HEADER and isinstance(value, str)
    }
    return tracer.start(method, parent, attributes)


def _subject(method: str, request: Any) -> dict[str, str]:
    if method.rpartition("/")[2] not in _OF_A_STORE:
        return {}
    return {
        "db.system": "state",
        "db.connection_string": "state",
        "db.name": request.store_name,
        "db.statement": method,
        "rpc.service": "Dapr",
    }
