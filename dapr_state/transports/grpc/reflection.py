"""Server reflection, v1 and v1alpha: what grpcurl and other tools read the schema through."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from dapr_state_proto import POOL
from google.protobuf import descriptor_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

if TYPE_CHECKING:
    from collections.abc import Sequence

ALPHA = reflection.SERVICE_NAME
V1 = ALPHA.replace("v1alpha", "v1")


def handlers(services: Sequence[str], modules: Sequence[Any]) -> list[grpc.GenericRpcHandler]:
    """Describe `services`, whose messages are in the generated `modules`, and reflection itself."""
    for module in (*modules, reflection_pb2):
        POOL.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    POOL.Add(_v1_file())
    servicer = reflection.aio.ReflectionServicer((*services, ALPHA, V1), pool=_Pool())
    # v1 is v1alpha under another name; grpcio-reflection serves the old name only, newer clients ask for the new one
    method = grpc.stream_stream_rpc_method_handler(
        servicer.ServerReflectionInfo,
        request_deserializer=reflection_pb2.ServerReflectionRequest.FromString,
        response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString,
    )
    return [grpc.method_handlers_generic_handler(name, {"ServerReflectionInfo": method}) for name in (ALPHA, V1)]


class _Pool:
    """POOL, which also knows the file of a method: upb's pool finds a service, not what is in it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(POOL, name)

    def FindFileContainingSymbol(self, symbol: str) -> Any:  # the name that DescriptorPool has for it
        try:
            return POOL.FindFileContainingSymbol(symbol)
        except KeyError:
            return POOL.FindServiceByName(symbol.rpartition(".")[0]).file


def _v1_file() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto()
    reflection_pb2.DESCRIPTOR.CopyToProto(file)
    old, file.package = file.package, file.package.replace("v1alpha", "v1")
    file.name = file.name.replace("v1alpha", "v1")
    for message in file.message_type:
        for field in (field for field in message.field if field.type_name):
            field.type_name = field.type_name.replace(old, file.package)
    for method in file.service[0].method:
        method.input_type = method.input_type.replace(old, file.package)
        method.output_type = method.output_type.replace(old, file.package)
    return file
