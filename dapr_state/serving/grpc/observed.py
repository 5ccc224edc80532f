"""A handler that says more than grpc's interface can: what an error means, and who is told how a call ended.

Any server can serve it: its behaviour is then a coroutine around the plain one. The native server needs none, for it
asks `status_of` itself where a call has raised, and calls `after` where a call ends.
"""

from __future__ import annotations

import asyncio
import inspect
from contextlib import aclosing
from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state.clock import WAITING
from dapr_state.serving.pieces import Pieces
from dapr_state.wire import grpc as framing

if TYPE_CHECKING:
    from collections.abc import Callable

    Context = grpc.aio.ServicerContext[Any, Any]
    StatusOf = Callable[[BaseException], grpc.Status | None]
    # (the call, its status code, octets of its one request and of its one answer, seconds, what it raised)
    After = Callable[[Any, int, int, int, float, BaseException | None], None]

_CANCELLED: Final[int] = grpc.StatusCode.CANCELLED.value[0]
_KINDS: Final = {
    (False, False): "unary_unary",
    (False, True): "unary_stream",
    (True, False): "stream_unary",
    (True, True): "stream_stream",
}

# What a behaviour may return in place of its message: the same, encoded
ENCODED: Final[frozenset[type]] = frozenset({bytes, Pieces})


def as_it_is(message: Any) -> Any:
    """What decodes or encodes a message of a method that has none of its own."""
    return message


def behavior_of(handler: grpc.RpcMethodHandler[Any, Any]) -> Any:
    """The one of a handler's four behaviours that it has."""
    return getattr(handler, _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)])


def with_behavior(handler: grpc.RpcMethodHandler[Any, Any], behavior: Any) -> grpc.RpcMethodHandler[Any, Any]:
    """The same handler with another behaviour of its kind."""
    kind = _KINDS[bool(handler.request_streaming), bool(handler.response_streaming)]
    make: Any = getattr(grpc, f"{kind}_rpc_method_handler")
    made: grpc.RpcMethodHandler[Any, Any] = make(behavior, handler.request_deserializer, handler.response_serializer)
    return made


async def write_all(answers: Any, context: Context) -> None:
    """Send what a behaviour answers with a stream: a generator of messages, or a coroutine that writes them itself."""
    if inspect.isawaitable(answers):
        await answers
        return
    async with aclosing(answers):
        async for message in answers:
            await context.write(message)


class ObservedHandler(grpc.RpcMethodHandler):  # type: ignore[type-arg]  # it takes none when it runs
    """`status_of` gives the status that an exception means, or None; `after`, if any, is called once a call."""

    unary_unary: Any = None
    unary_stream = stream_unary = stream_stream = None

    def __init__(self, plain: grpc.RpcMethodHandler[Any, Any], status_of: StatusOf, after: After | None = None) -> None:
        self.plain = plain
        self.status_of = status_of
        self.after = after
        self.request_streaming = bool(plain.request_streaming)
        self.response_streaming = bool(plain.response_streaming)
        self.request_deserializer = plain.request_deserializer
        self.response_serializer = plain.response_serializer
        self._behavior = behavior_of(plain)
        if not (self.request_streaming or self.response_streaming):
            # decoded and encoded here, where the sizes are seen; `bytes` gives bytes back as they are
            self.request_deserializer = self.response_serializer = bytes
            self.unary_unary = self._unary
        else:
            setattr(self, _KINDS[self.request_streaming, self.response_streaming], self._streaming)

    async def _unary(self, data: bytes, context: Context) -> Any:
        try:
            request = (self.plain.request_deserializer or as_it_is)(data)
        except Exception:  # noqa: BLE001  what protobuf raises depends on its implementation
            await context.abort(grpc.StatusCode.INTERNAL, framing.UNREADABLE)
        return await self._observed(self._reply(request, context), context, len(data))

    async def _reply(self, request: Any, context: Context) -> Any:
        reply = await self._behavior(request, context)
        return bytes(reply) if type(reply) in ENCODED else (self.plain.response_serializer or as_it_is)(reply)

    async def _streaming(self, argument: Any, context: Context) -> Any:
        answers = self._behavior(argument, context)
        return await self._observed(write_all(answers, context) if self.response_streaming else answers, context)

    async def _observed(self, answering: Any, context: Context, received: int = 0) -> Any:
        began, sent, error = WAITING.monotonic(), 0, None
        try:
            reply = await answering
            sent = len(reply) if self.unary_unary else 0
        except BaseException as raised:
            error = raised
            if status := self.status_of(raised):
                await context.abort_with_status(status)
            raise
        else:
            return reply
        finally:
            if self.after:
                self.after(context, _code(error, context), received, sent, WAITING.monotonic() - began, error)


def _code(error: BaseException | None, context: Context) -> int:
    """The status that a call ends with."""
    code: Any = context.code()  # a number on one server, a name or None on the other
    number: int = getattr(code, "value", (code,))[0] or framing.OK
    if number or error is None:
        return number
    return _CANCELLED if isinstance(error, asyncio.CancelledError) else framing.UNKNOWN
