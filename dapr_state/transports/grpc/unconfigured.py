"""The building blocks that this sidecar does not have, over gRPC: what daprd answers where they are not configured.

runtime.md 5.5. Their messages are not defined here: of a request only the few fields are read that an answer names.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.runtime.v1 import dapr_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet

from dapr_state import errors
from dapr_state.errors import DaprError, ErrorInfo, Grpc, ResourceInfo, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Context = grpc.aio.ServicerContext[Any, Any]
    Fields = Mapping[int, Any]  # by number; the last one counts
    Answer = Callable[[Fields], bytes | DaprError]

_PREFIX: Final = f"/{dapr_pb2.DESCRIPTOR.services_by_name['Dapr'].full_name}/"


_PUBSUB_EMPTY: Final = Row(
    "ERR_PUBSUB_EMPTY",
    404,
    Grpc.INVALID_ARGUMENT,
    "pubsub name is empty",
    lambda _: (ResourceInfo("", "pubsub"), ErrorInfo("DAPR_PUBSUB_NAME_EMPTY")),
)
_SUBSCRIPTION: Final = Row("", 500, Grpc.UNKNOWN, "initial request is required", bare=True)
_CRYPTO: Final = Row(
    "",
    400,
    Grpc.INVALID_ARGUMENT,
    "invalid request: first message does not contain the required options",
    bare=True,
)


# None of these gets beyond its first message; all others are unary
_STREAMS: Final = frozenset(
    _PREFIX + method
    for method in (
        "SubscribeTopicEventsAlpha1",
        "SubscribeConfiguration",
        "SubscribeConfigurationAlpha1",
        "EncryptAlpha1",
        "DecryptAlpha1",
    )
)


class UnconfiguredBlocks(grpc.GenericRpcHandler):
    """Takes the methods of these building blocks."""

    def __init__(self, app_id: str, namespace: str) -> None:
        self._answers = {_PREFIX + method: answer for method, answer in _table(app_id, namespace or "default").items()}

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        answer = self._answers.get(details.method)
        if answer is None:
            return None
        behaviors: Any = _Behaviors(answer)
        if details.method in _STREAMS:
            return grpc.stream_stream_rpc_method_handler(behaviors.stream, _fields)
        return grpc.unary_unary_rpc_method_handler(behaviors.unary, _fields, bytes)


@dataclass(frozen=True)
class _Behaviors:
    answer: Answer

    async def unary(self, fields: Fields, _: Context) -> bytes:
        found = self.answer(fields)
        if isinstance(found, DaprError):
            raise found
        return found

    async def stream(self, _: Any, context: Context) -> None:
        first: Any = await context.read()
        await self.unary({} if first is grpc.aio.EOF else first, context)


def _fields(message: bytes) -> dict[int, Any]:
    return {field.field_number: field.data for field in UnknownFieldSet(Empty.FromString(message))}  # type: ignore[attr-defined]  # it is iterable


def _text(fields: Fields, number: int = 1) -> str:
    value = fields.get(number, b"")
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


def _table(app_id: str, namespace: str) -> dict[str, Answer]:
    """Each method's answer."""

    def always(row: Row) -> Answer:
        return lambda fields: row(name=_text(fields))

    def of_job(row: Row) -> DaprError:
        return row(appID=app_id, namespace=namespace)

    def named_job(row: Row) -> Answer:
        return lambda fields: of_job(row if fields.get(1) else errors.JOB_NAME_EMPTY)

    def schedule(fields: Fields) -> DaprError:
        return of_job(errors.JOB_SCHEDULE if 1 in fields else errors.JOB_EMPTY)

    table: dict[str, Answer] = {
        "InvokeService": lambda fields: errors.not_invoked(_text(fields), app_id),
        "InvokeBinding": lambda fields: errors.not_bound(_text(fields), has_operation=bool(fields.get(4))),
        "SubscribeTopicEventsAlpha1": always(_SUBSCRIPTION),
        "TryLockAlpha1": _lock,
        "UnlockAlpha1": always(errors.LOCK_NOT_CONFIGURED),
    }
    table |= dict.fromkeys(("PublishEvent", "BulkPublishEvent", "BulkPublishEventAlpha1"), _publish)
    table |= dict.fromkeys(("GetSecret", "GetBulkSecret"), always(errors.SECRET_STORES_NOT_CONFIGURED))
    table |= dict.fromkeys(("EncryptAlpha1", "DecryptAlpha1"), always(_CRYPTO))
    table |= dict.fromkeys(("ConverseAlpha1", "ConverseAlpha2"), always(errors.CONVERSATION_NOT_FOUND))
    for version in ("", "Alpha1"):
        for call in ("GetConfiguration", "SubscribeConfiguration"):
            table[call + version] = always(errors.CONFIGURATION_NOT_CONFIGURED)
        table[f"UnsubscribeConfiguration{version}"] = _unsubscribe
        table[f"ScheduleJob{version}"] = schedule
        table[f"GetJob{version}"] = named_job(errors.JOB_GET)
        table[f"DeleteJob{version}"] = named_job(errors.JOB_DELETE)
        table[f"DeleteJobsByPrefix{version}"] = lambda _: of_job(errors.JOB_DELETE)
        table[f"ListJobs{version}"] = lambda _: of_job(errors.JOB_LIST)
    for call in ("GetKey", "Encrypt", "Decrypt", "WrapKey", "UnwrapKey", "Sign", "Verify"):
        table[f"Subtle{call}Alpha1"] = always(errors.SUBTLE_CRYPTO)
    for call in ("Start", "Get", "Purge", "Terminate", "Pause", "Resume", "RaiseEvent"):
        table[f"{call}WorkflowAlpha1"] = table[f"{call}WorkflowBeta1"] = always(errors.ACTOR_NO_PLACEMENT)
    return table


def _publish(fields: Fields) -> DaprError:
    name = _text(fields)
    return errors.PUBSUB_NOT_FOUND(name=name) if name else _PUBSUB_EMPTY()


def _lock(fields: Fields) -> DaprError:
    return (errors.LOCK_NOT_CONFIGURED if fields.get(4) else errors.LOCK_EXPIRY)(name=_text(fields))


def _unsubscribe(fields: Fields) -> bytes:
    """UnsubscribeConfigurationResponse with ok (1) unset and its message (2)."""
    text = f"failed to unsubscribe to configuration request {_text(fields, 2)}: subscription does not exist".encode()
    return b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes((low | 128,)) + _varint(rest) if rest else bytes((low,))
