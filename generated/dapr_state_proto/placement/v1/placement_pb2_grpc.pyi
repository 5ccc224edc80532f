from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.placement.v1.placement_pb2

class PlacementStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    ReportDaprStatus: grpc.aio.StreamStreamMultiCallable[dapr_state_proto.placement.v1.placement_pb2.Host, dapr_state_proto.placement.v1.placement_pb2.PlacementOrder]

class PlacementServicer:
    def ReportDaprStatus(self, request: AsyncIterator[dapr_state_proto.placement.v1.placement_pb2.Host], context: grpc.aio.ServicerContext[dapr_state_proto.placement.v1.placement_pb2.Host, dapr_state_proto.placement.v1.placement_pb2.PlacementOrder]) -> AsyncIterator[dapr_state_proto.placement.v1.placement_pb2.PlacementOrder]: ...

def add_PlacementServicer_to_server(servicer: PlacementServicer, server: grpc.aio.Server) -> None: ...
