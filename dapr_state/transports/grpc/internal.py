"""What other sidecars ask over the internal port: messages in, one call into the router, messages out.

Errors have daprd's codes and texts: by some of them its callers know that they may look up the actor again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import grpc
from dapr_state_proto.internals.v1 import service_invocation_pb2_grpc
from dapr_state_proto.internals.v1.apiversion_pb2 import V1
from dapr_state_proto.internals.v1.service_invocation_pb2 import (
    InternalInvokeRequest,
    InternalInvokeResponse,
    ListStringValue,
)
from dapr_state_proto.internals.v1.status_pb2 import Status
from google.protobuf.empty_pb2 import Empty
from google.protobuf.wrappers_pb2 import BytesValue, StringValue
from msgspec import Raw, json

from dapr_state.actors.gate import AwayError
from dapr_state.actors.peers import BYTES_VALUE, CANCELED, INVOKE_MOVED, MOVED
from dapr_state.actors.placement.base import LostError, NoHostError
from dapr_state.actors.runtime import ClosingError
from dapr_state.actors.turns import TooDeepError
from dapr_state.app.callbacks import OK
from dapr_state.app.model import ActorCall, ActorId, AppError, Trigger
from dapr_state.app.remembered import Remembered, octets_of
from dapr_state.transports.grpc.traced import current

if TYPE_CHECKING:
    from dapr_state_proto.internals.v1.reminders_pb2 import Reminder
    from grpc.aio import ServicerContext

    from dapr_state.actors.router import ActorRouter
    from dapr_state.app.model import AppAnswer, Headers

    Context = ServicerContext[Any, Any]

REMOTE: Final = ("X-Dapr-Remote", "true")  # the application learns that another sidecar has called
STRING_VALUE: Final = "type.googleapis.com/google.protobuf.StringValue"
_INVOKE: Final = "error invoke actor method: "
_NO_HOST: Final = "failed to lookup actor: api error: code = FailedPrecondition desc = "


class InternalServicer(service_invocation_pb2_grpc.ServiceInvocationServicer):
    def __init__(self, router: ActorRouter) -> None:
        self._router = router

    async def CallActor(self, request: InternalInvokeRequest, context: Context) -> InternalInvokeResponse:
        if request.ver != V1:
            await context.abort(grpc.StatusCode.UNIMPLEMENTED, f"Unsupported spec version: {request.ver}")
        if not request.HasField("message"):
            missing = "failed to create InvokeMethodRequest: field Message is nil"
            await context.abort(grpc.StatusCode.INTERNAL, f"{_INVOKE}{missing}")
        try:
            return _response(await self._router.take_call(_call(request, context)))
        except AppError as error:
            await context.abort(grpc.StatusCode.INTERNAL, f"{_INVOKE}{error}")
        except (LostError, ClosingError):
            await context.abort(grpc.StatusCode.INTERNAL, INVOKE_MOVED)
        except TooDeepError:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "maximum stack depth exceeded")
        except (NoHostError, AwayError) as error:
            await _refuse(error, context)

    async def CallActorReminder(self, request: Reminder, context: Context) -> Empty:
        try:
            answer = await self._router.take_trigger(_trigger(request), is_timer=request.is_timer)
        except AppError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, str(error))
        except (LostError, ClosingError):
            await context.abort(grpc.StatusCode.UNKNOWN, MOVED)
        except (NoHostError, AwayError) as error:
            await _refuse(error, context)
        except ValueError as error:
            await context.abort(grpc.StatusCode.UNKNOWN, f"json: error calling MarshalJSON: {error}")
        if answer.cancels_reminder and not request.is_timer:
            await context.abort(grpc.StatusCode.UNKNOWN, CANCELED)
        return Empty()

    async def CallActorStream(self, request: InternalInvokeRequest, context: Context) -> Any:
        """Only actors of workflows are called so, and there are none."""
        try:
            await self._router.check_here(ActorId(request.actor.actor_type, request.actor.actor_id))
        except LostError:
            await context.abort(grpc.StatusCode.UNKNOWN, MOVED)
        except (NoHostError, AwayError) as error:
            await _refuse(error, context)
        await context.abort(grpc.StatusCode.UNKNOWN, "not implemented")
        yield InternalInvokeResponse()


async def _refuse(error: Exception, context: Context) -> NoReturn:
    if isinstance(error, NoHostError):
        await context.abort(grpc.StatusCode.FAILED_PRECONDITION, f"{_NO_HOST}{error}")
    await context.abort(grpc.StatusCode.UNAVAILABLE, f"actors cannot be reached: {error}")  # it may be asked again
    raise AssertionError


def _lines(octets: bytes) -> Headers:
    """The headers of a request that has nothing else."""
    metadata = InternalInvokeRequest.FromString(octets).metadata
    return tuple(
        (name, value) for name, values in metadata.items() if name.lower() != "x-dapr-remote" for value in values.values
    )


_LINES: Final = Remembered(_lines, len)


def _call(request: InternalInvokeRequest, context: Context) -> ActorCall:
    message = request.message
    given = next((str(value) for name, value in context.invocation_metadata() or () if name == "traceparent"), "")
    trace = str(current.get() or given)  # of our own span, where there is one
    actor = ActorId(request.actor.actor_type, request.actor.actor_id)
    method, body, query = message.method, message.data.value, message.http_extension.querystring
    headers = [REMOTE]
    said = set()
    if trace:
        headers.append(("Traceparent", trace))
        said.add("traceparent")
    if message.content_type:
        headers.append(("Content-Type", message.content_type))
        said.add("content-type")
    request.ClearField("message")
    request.ClearField("actor")
    # the octets of what is left say it all; a map of Go's has another order each time
    lines = _LINES.of(request.SerializeToString(deterministic=True))
    headers += [line for line in lines if line[0].lower() not in said]
    return ActorCall(actor, method, body, tuple(headers), query)


def _answered(headers: Headers) -> InternalInvokeResponse:
    """An answer with these, and without a message."""
    found: dict[str, ListStringValue] = {}
    for name, value in headers:
        found.setdefault(name, ListStringValue()).values.append(value)
    return InternalInvokeResponse(status=Status(code=OK), headers=found)


_ANSWERED: Final = Remembered(_answered, octets_of)


def _response(answer: AppAnswer) -> InternalInvokeResponse:
    response = InternalInvokeResponse()
    response.CopyFrom(_ANSWERED.of(answer.headers))
    message = response.message
    message.data.value = answer.body
    message.data.SetInParent()
    message.content_type = answer.header("content-type") or ""
    return response


def _trigger(request: Reminder) -> Trigger:
    """Raises ValueError if the data is nothing that JSON can hold."""
    data = None
    if request.HasField("data"):
        value = request.data.value
        if request.data.type_url == BYTES_VALUE:
            data = BytesValue.FromString(value).value
            json.decode(data, type=Raw)
        elif request.data.type_url == STRING_VALUE:
            data = json.encode(StringValue.FromString(value).value)
        else:
            raise ValueError(f"unknown type {request.data.type_url}")
    actor = ActorId(request.actor_type, request.actor_id)
    return Trigger(actor, request.name, data, request.due_time, request.period)
