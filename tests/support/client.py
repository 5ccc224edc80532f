"""A gRPC client of the Dapr service whose answers are plain Python, fit for comparing."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import grpc
from dapr_state_proto.common.v1 import common_pb2
from dapr_state_proto.runtime.v1 import dapr_pb2, metadata_pb2, state_pb2
from google.protobuf import json_format, message_factory
from google.rpc import error_details_pb2, status_pb2

if TYPE_CHECKING:
    from collections.abc import Mapping

    from google.protobuf.message import Message

SERVICE = dapr_pb2.DESCRIPTOR.services_by_name["Dapr"]
DETAILS = "grpc-status-details-bin"
# json_format can only open the details whose module was imported
KNOWN_DETAILS = (error_details_pb2.ErrorInfo, error_details_pb2.ResourceInfo, error_details_pb2.BadRequest)
TIMEOUT = 30  # seconds; what takes longer hangs

StateItem = common_pb2.StateItem
StateOptions = common_pb2.StateOptions


@dataclass(frozen=True)
class Reply:
    """The answer to one call: code "OK" with the fields that are set, or another code with its message and details."""

    code: str
    message: str = ""
    details: list[dict[str, Any]] = field(default_factory=list)
    response: dict[str, Any] = field(default_factory=dict)

    @property
    def ok(self) -> bool:
        return self.code == "OK"


def plain(message: Message) -> dict[str, Any]:
    """Turn the fields that are set into dicts, lists and values; bytes stay bytes."""
    return {descriptor.name: _plain_value(value) for descriptor, value in message.ListFields()}


def _plain_value(value: Any) -> Any:
    if hasattr(value, "ListFields"):
        return plain(value)
    if hasattr(value, "items"):
        return dict(value)
    if isinstance(value, (str, bytes, bool, int, float)):
        return value
    return [_plain_value(entry) for entry in value]


def item(key: str, value: bytes = b"", *, etag: str | None = None, **more: Any) -> StateItem:
    """Make a StateItem; `options` takes what `options()` makes, `metadata` a dict."""
    return StateItem(key=key, value=value, etag=_etag(etag), **more)


def _etag(value: str | None) -> common_pb2.Etag | None:
    """None and "" mean the same to a sidecar, and look different on the wire."""
    return None if value is None else common_pb2.Etag(value=value)


def options(concurrency: Any = 0, consistency: Any = 0) -> StateOptions:
    """Make StateOptions; numbers that the enums do not have are sent as they are."""
    return StateOptions(concurrency=concurrency, consistency=consistency)


FIRST_WRITE = options(concurrency=StateOptions.CONCURRENCY_FIRST_WRITE)
STRONG = StateOptions(consistency=StateOptions.CONSISTENCY_STRONG)
LAST_WRITE = options(concurrency=StateOptions.CONCURRENCY_LAST_WRITE)


class Client:
    """Calls block the caller; one client may be used by many threads."""

    def __init__(self, port: int, metadata: Mapping[str, str] | None = None) -> None:
        unlimited = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
        # without this, two clients of one process to the same address would share a connection
        own = [("grpc.use_local_subchannel_pool", 1)]
        self.channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=unlimited + own)
        self._metadata = tuple((metadata or {}).items())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self.channel.close()

    def call(self, method: str, request: Message | bytes, timeout: float = TIMEOUT) -> Reply:
        """Call a method of the Dapr service; `bytes` go out as they are."""
        response_type = _response_type(method)
        path = f"/{SERVICE.full_name}/{method}"
        body = request if isinstance(request, bytes) else request.SerializeToString()
        send: Any = self.channel.unary_unary(path, response_deserializer=response_type.FromString)
        try:
            response = send(body, timeout=timeout, metadata=self._metadata)
        except grpc.RpcError as error:
            return _refusal(error)
        return Reply("OK", response=plain(response))

    def save(self, store: str, *items: StateItem) -> Reply:
        return self.call("SaveState", state_pb2.SaveStateRequest(store_name=store, states=items))

    def get(self, store: str, key: str, **more: Any) -> Reply:
        return self.call("GetState", state_pb2.GetStateRequest(store_name=store, key=key, **more))

    def bulk_get(self, store: str, *keys: str, **more: Any) -> Reply:
        return self.call("GetBulkState", state_pb2.GetBulkStateRequest(store_name=store, keys=keys, **more))

    def delete(self, store: str, key: str, *, etag: str | None = None, **more: Any) -> Reply:
        request = state_pb2.DeleteStateRequest(store_name=store, key=key, etag=_etag(etag), **more)
        return self.call("DeleteState", request)

    def bulk_delete(self, store: str, *items: StateItem) -> Reply:
        return self.call("DeleteBulkState", state_pb2.DeleteBulkStateRequest(store_name=store, states=items))

    def transact(self, store: str, *operations: tuple[str, StateItem], **more: Any) -> Reply:
        """Each operation is ("upsert" | "delete", item)."""
        listed = [state_pb2.TransactionalStateOperation(operationType=kind, request=it) for kind, it in operations]
        request = state_pb2.ExecuteStateTransactionRequest(storeName=store, operations=listed, **more)
        return self.call("ExecuteStateTransaction", request)

    def query(self, store: str, query: str, **more: Any) -> Reply:
        return self.call("QueryStateAlpha1", state_pb2.QueryStateRequest(store_name=store, query=query, **more))

    def metadata(self) -> Reply:
        return self.call("GetMetadata", metadata_pb2.GetMetadataRequest())


def _response_type(method: str) -> type[Message]:

    return message_factory.GetMessageClass(SERVICE.methods_by_name[method].output_type)


def _refusal(error: grpc.RpcError) -> Reply:
    trailers: dict[str, Any] = dict(error.trailing_metadata() or ())  # type: ignore[arg-type]  # pairs, to dict()
    status = status_pb2.Status.FromString(trailers.get(DETAILS, b""))
    details = [json_format.MessageToDict(detail) for detail in status.details]
    return Reply(error.code().name, error.details() or "", details)
