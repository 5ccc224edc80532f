from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.internals.v1.reminders_pb2
import dapr_state_proto.internals.v1.service_invocation_pb2
import google.protobuf.empty_pb2

class ServiceInvocationStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    CallActor: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeRequest, dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeResponse]
    CallActorReminder: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.internals.v1.reminders_pb2.Reminder, google.protobuf.empty_pb2.Empty]
    CallActorStream: grpc.aio.UnaryStreamMultiCallable[dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeRequest, dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeResponse]

class ServiceInvocationServicer:
    async def CallActor(self, request: dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeRequest, context: grpc.aio.ServicerContext[dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeRequest, dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeResponse]) -> dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeResponse: ...
    async def CallActorReminder(self, request: dapr_state_proto.internals.v1.reminders_pb2.Reminder, context: grpc.aio.ServicerContext[dapr_state_proto.internals.v1.reminders_pb2.Reminder, google.protobuf.empty_pb2.Empty]) -> google.protobuf.empty_pb2.Empty: ...
    def CallActorStream(self, request: dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeRequest, context: grpc.aio.ServicerContext[dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeRequest, dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeResponse]) -> AsyncIterator[dapr_state_proto.internals.v1.service_invocation_pb2.InternalInvokeResponse]: ...

def add_ServiceInvocationServicer_to_server(servicer: ServiceInvocationServicer, server: grpc.aio.Server) -> None: ...
