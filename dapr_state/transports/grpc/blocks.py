"""The building blocks that this sidecar does not have, over gRPC: what daprd answers where they are not configured.

runtime.md 5.5. Their messages are not defined here: of a request only the few fields are read that an answer names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.runtime.v1 import dapr_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

from dapr_state.errors import ErrorInfo, Grpc, ResourceInfo, Row
from dapr_state.transports.grpc.answers import refuse

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from dapr_state.errors import DaprError

    Fields = Mapping[int, Any]  # by number; the last one counts
    Answer = Callable[[Fields], bytes | DaprError]

_PREFIX: Final = f"/{dapr_pb2.DESCRIPTOR.services_by_name['Dapr'].full_name}/"


def _bare(code: Grpc, sentence: str) -> Row:
    return Row("", 500, code, sentence, bare=True)


_PUBSUB: Final = Row(
    "ERR_PUBSUB_NOT_FOUND",
    404,
    Grpc.INVALID_ARGUMENT,
    "pubsub {name} is not found",
    lambda _: (ErrorInfo("DAPR_PUBSUB_NOT_FOUND"),),
)
_PUBSUB_EMPTY: Final = Row(
    "ERR_PUBSUB_EMPTY",
    404,
    Grpc.INVALID_ARGUMENT,
    "pubsub name is empty",
    lambda _: (ResourceInfo("", "pubsub"), ErrorInfo("DAPR_PUBSUB_NAME_EMPTY")),
)
_SUBSCRIPTION: Final = _bare(Grpc.UNKNOWN, "initial request is required")
_BINDING: Final = Row("ERR_INVOKE_OUTPUT_BINDING", 500, Grpc.INTERNAL, "error invoking output binding {name}: {cause}")
_SECRETS: Final = _bare(Grpc.FAILED_PRECONDITION, "secret store is not configured")
_CONFIGURATION: Final = Row(
    "ERR_CONFIGURATION_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "configuration stores not configured"
)
_LOCK: Final = _bare(Grpc.FAILED_PRECONDITION, "lock store is not configured")
_LOCK_EXPIRY: Final = _bare(Grpc.INVALID_ARGUMENT, "ExpiryInSeconds is not positive in lock store {name}")
_CRYPTO: Final = _bare(Grpc.INVALID_ARGUMENT, "invalid request: first message does not contain the required options")
_SUBTLE: Final = _bare(Grpc.UNIMPLEMENTED, "this API is currently not implemented")
_WORKFLOW: Final = _bare(Grpc.UNAVAILABLE, "placement service is not configured")
_CONVERSATION: Final = _bare(Grpc.INVALID_ARGUMENT, "failed finding conversation component {name}")
_INVOCATION: Final = _bare(Grpc.INTERNAL, "failed to invoke, id: {name}, err: {cause}")


class Absent(grpc.GenericRpcHandler):
    """Takes the methods of these building blocks."""

    def __init__(self, app_id: str, namespace: str) -> None:
        self._answers = {_PREFIX + method: answer for method, answer in _table(app_id, namespace or "default").items()}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        answer = self._answers.get(details.method)
        return answer and grpc.stream_stream_rpc_method_handler(_answering(answer))


def _answering(answer: Answer) -> Any:
    """Whatever the method's kind: one message comes, and one message or an error goes."""

    async def behavior(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
        message: Any = await context.read()
        found = answer(_fields(b"" if message is grpc.aio.EOF else message))
        if isinstance(found, bytes):
            await context.write(found)
        else:
            await refuse(found, context)

    return behavior


def _fields(message: bytes) -> dict[int, Any]:
    return {field.field_number: field.data for field in UnknownFieldSet(Empty.FromString(message))}  # type: ignore[attr-defined]  # it is iterable


def _text(fields: Fields, number: int = 1) -> str:
    value = fields.get(number, b"")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _table(app_id: str, namespace: str) -> dict[str, Answer]:
    """Each method's answer."""

    def always(row: Row) -> Answer:
        return lambda fields: row(name=_text(fields))

    def job(reason: str, sentence: str, code: Grpc = Grpc.INTERNAL) -> DaprError:
        info = ErrorInfo(f"DAPR_SCHEDULER_{reason}", {"appID": app_id, "namespace": namespace})
        return Row(info.reason, 500, code, sentence, lambda _: (info,))()

    def disabled(what: str) -> DaprError:
        return job(what.upper().replace(" ", "_"), f"failed to {what} due to: scheduler clients are disabled")

    def named_job(verb: str) -> Answer:
        empty = job("JOB_NAME_EMPTY", "Name is empty", Grpc.INVALID_ARGUMENT)
        return lambda fields: disabled(f"{verb} job") if fields.get(1) else empty

    def schedule(fields: Fields) -> DaprError:
        return disabled("schedule job") if 1 in fields else job("EMPTY", "Job is empty", Grpc.INVALID_ARGUMENT)

    table: dict[str, Answer] = {
        "InvokeService": lambda fields: _INVOCATION(name=_text(fields), cause=_why_not_invoked(_text(fields), app_id)),
        "InvokeBinding": _bind,
        "SubscribeTopicEventsAlpha1": always(_SUBSCRIPTION),
        "TryLockAlpha1": lambda fields: (_LOCK if fields.get(4) else _LOCK_EXPIRY)(name=_text(fields)),
        "UnlockAlpha1": always(_LOCK),
    }
    table |= dict.fromkeys(("PublishEvent", "BulkPublishEvent", "BulkPublishEventAlpha1"), _publish)
    table |= dict.fromkeys(("GetSecret", "GetBulkSecret"), always(_SECRETS))
    table |= dict.fromkeys(("EncryptAlpha1", "DecryptAlpha1"), always(_CRYPTO))
    table |= dict.fromkeys(("ConverseAlpha1", "ConverseAlpha2"), always(_CONVERSATION))
    for version in ("", "Alpha1"):
        for call in ("GetConfiguration", "SubscribeConfiguration"):
            table[call + version] = always(_CONFIGURATION)
        table[f"UnsubscribeConfiguration{version}"] = _unsubscribe
        table[f"ScheduleJob{version}"] = schedule
        table[f"GetJob{version}"], table[f"DeleteJob{version}"] = named_job("get"), named_job("delete")
        table[f"DeleteJobsByPrefix{version}"] = lambda _: disabled("delete job")
        table[f"ListJobs{version}"] = lambda _: disabled("list jobs")
    for call in ("GetKey", "Encrypt", "Decrypt", "WrapKey", "UnwrapKey", "Sign", "Verify"):
        table[f"Subtle{call}Alpha1"] = always(_SUBTLE)
    for call in ("Start", "Get", "Purge", "Terminate", "Pause", "Resume", "RaiseEvent"):
        table[f"{call}WorkflowAlpha1"] = table[f"{call}WorkflowBeta1"] = always(_WORKFLOW)
    return table


def _publish(fields: Fields) -> DaprError:
    name = _text(fields)
    return _PUBSUB(name=name) if name else _PUBSUB_EMPTY()


def _bind(fields: Fields) -> DaprError:
    name = _text(fields)
    has_operation = bool(fields.get(4))
    cause = f"couldn't find output binding {name}" if has_operation else "operation field is missing from request"
    return _BINDING(name=name, cause=cause)


def _unsubscribe(fields: Fields) -> bytes:
    """UnsubscribeConfigurationResponse with ok (1) unset and its message (2)."""
    text = f"failed to unsubscribe to configuration request {_text(fields, 2)}: subscription does not exist".encode()
    return b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes((low | 128,)) + _varint(rest) if rest else bytes((low,))


def _why_not_invoked(target: str, app_id: str) -> str:
    if not target:
        return "app id is empty"
    if target == app_id:
        return "cannot invoke local endpoint: app channel not initialized"
    return f"couldn't find service: {target}"
