"""The building blocks that this sidecar does not have, over gRPC: what daprd answers where they are not configured.

runtime.md 5.5. Their messages are not defined here: of a request only the few fields are read that an answer names.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc
from dapr_state_proto.runtime.v1 import dapr_pb2
from google.protobuf.empty_pb2 import Empty
from google.protobuf.unknown_fields import UnknownFieldSet
from msgspec import Struct

from dapr_state import errors
from dapr_state.errors import DaprError, ErrorRow
from dapr_state.operations import OPERATIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Context = grpc.aio.ServicerContext[Any, Any]
    Fields = Mapping[int, Any]  # by number; the last one counts
    Answer = Callable[[Fields], bytes | DaprError]

_PREFIX: Final = f"/{dapr_pb2.DESCRIPTOR.services_by_name['Dapr'].full_name}/"
# None of these gets beyond its first message; all others are unary
_STREAMS: Final = frozenset(_PREFIX + rpc for each in OPERATIONS if each.is_stream for rpc in each.rpcs.split())


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


class _Behaviors(Struct, frozen=True):
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
    own = {"appID": app_id, "namespace": namespace}

    def always(row: ErrorRow) -> Answer:
        return lambda fields: row(name=_text(fields), **own)

    def of_job(row: ErrorRow) -> Answer:
        return lambda fields: (row if fields.get(1) else errors.JOB_NAME_EMPTY)(**own)

    table = {rpc: always(each.absent) for each in OPERATIONS if each.absent for rpc in each.rpcs.split()}
    table |= dict.fromkeys(("PublishEvent", "BulkPublishEvent", "BulkPublishEventAlpha1"), _publish)
    for version in ("", "Alpha1"):
        table[f"UnsubscribeConfiguration{version}"] = _unsubscribe
        table[f"ScheduleJob{version}"] = lambda fields: _schedule(fields)(**own)
        table[f"GetJob{version}"] = of_job(errors.JOB_GET)
        table[f"DeleteJob{version}"] = of_job(errors.JOB_DELETE)
    table["InvokeService"] = lambda fields: errors.not_invoked(_text(fields), app_id)
    table["InvokeBinding"] = lambda fields: errors.not_bound(_text(fields), has_operation=bool(fields.get(4)))
    table["TryLockAlpha1"] = _lock
    return table


def _schedule(fields: Fields) -> ErrorRow:
    """A job (1) has a name (1), and a schedule (2) or a due time (4)."""
    if 1 not in fields:
        return errors.JOB_EMPTY
    job = _fields(fields[1])
    if not job.get(1):
        return errors.JOB_NAME_EMPTY
    return errors.JOB_SCHEDULE if job.keys() & {2, 4} else errors.JOB_SCHEDULE_EMPTY


def _publish(fields: Fields) -> DaprError:
    name = _text(fields)
    return errors.PUBSUB_NOT_FOUND(name=name) if name else errors.PUBSUB_NAME_EMPTY()


def _lock(fields: Fields) -> DaprError:
    return (errors.LOCK_NOT_CONFIGURED if fields.get(4) else errors.LOCK_EXPIRY)(name=_text(fields))


def _unsubscribe(fields: Fields) -> bytes:
    """UnsubscribeConfigurationResponse with ok (1) unset and its message (2)."""
    text = f"failed to unsubscribe to configuration request {_text(fields, 2)}: subscription does not exist".encode()
    return b"\x12" + _varint(len(text)) + text


def _varint(number: int) -> bytes:
    low, rest = number & 127, number >> 7
    return bytes((low | 128,)) + _varint(rest) if rest else bytes((low,))
