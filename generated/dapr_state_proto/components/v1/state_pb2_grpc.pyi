from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.components.v1.common_pb2
import dapr_state_proto.components.v1.state_pb2

class StateStoreStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Init: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.InitRequest, dapr_state_proto.components.v1.state_pb2.InitResponse]
    Features: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.common_pb2.FeaturesRequest, dapr_state_proto.components.v1.common_pb2.FeaturesResponse]
    Delete: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.DeleteRequest, dapr_state_proto.components.v1.state_pb2.DeleteResponse]
    Get: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.GetRequest, dapr_state_proto.components.v1.state_pb2.GetResponse]
    Set: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.SetRequest, dapr_state_proto.components.v1.state_pb2.SetResponse]
    Ping: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.common_pb2.PingRequest, dapr_state_proto.components.v1.common_pb2.PingResponse]
    BulkDelete: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.BulkDeleteRequest, dapr_state_proto.components.v1.state_pb2.BulkDeleteResponse]
    BulkGet: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.BulkGetRequest, dapr_state_proto.components.v1.state_pb2.BulkGetResponse]
    BulkSet: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.BulkSetRequest, dapr_state_proto.components.v1.state_pb2.BulkSetResponse]

class StateStoreServicer:
    async def Init(self, request: dapr_state_proto.components.v1.state_pb2.InitRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.InitRequest, dapr_state_proto.components.v1.state_pb2.InitResponse]) -> dapr_state_proto.components.v1.state_pb2.InitResponse: ...
    async def Features(self, request: dapr_state_proto.components.v1.common_pb2.FeaturesRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.common_pb2.FeaturesRequest, dapr_state_proto.components.v1.common_pb2.FeaturesResponse]) -> dapr_state_proto.components.v1.common_pb2.FeaturesResponse: ...
    async def Delete(self, request: dapr_state_proto.components.v1.state_pb2.DeleteRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.DeleteRequest, dapr_state_proto.components.v1.state_pb2.DeleteResponse]) -> dapr_state_proto.components.v1.state_pb2.DeleteResponse: ...
    async def Get(self, request: dapr_state_proto.components.v1.state_pb2.GetRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.GetRequest, dapr_state_proto.components.v1.state_pb2.GetResponse]) -> dapr_state_proto.components.v1.state_pb2.GetResponse: ...
    async def Set(self, request: dapr_state_proto.components.v1.state_pb2.SetRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.SetRequest, dapr_state_proto.components.v1.state_pb2.SetResponse]) -> dapr_state_proto.components.v1.state_pb2.SetResponse: ...
    async def Ping(self, request: dapr_state_proto.components.v1.common_pb2.PingRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.common_pb2.PingRequest, dapr_state_proto.components.v1.common_pb2.PingResponse]) -> dapr_state_proto.components.v1.common_pb2.PingResponse: ...
    async def BulkDelete(self, request: dapr_state_proto.components.v1.state_pb2.BulkDeleteRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.BulkDeleteRequest, dapr_state_proto.components.v1.state_pb2.BulkDeleteResponse]) -> dapr_state_proto.components.v1.state_pb2.BulkDeleteResponse: ...
    async def BulkGet(self, request: dapr_state_proto.components.v1.state_pb2.BulkGetRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.BulkGetRequest, dapr_state_proto.components.v1.state_pb2.BulkGetResponse]) -> dapr_state_proto.components.v1.state_pb2.BulkGetResponse: ...
    async def BulkSet(self, request: dapr_state_proto.components.v1.state_pb2.BulkSetRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.BulkSetRequest, dapr_state_proto.components.v1.state_pb2.BulkSetResponse]) -> dapr_state_proto.components.v1.state_pb2.BulkSetResponse: ...

def add_StateStoreServicer_to_server(servicer: StateStoreServicer, server: grpc.aio.Server) -> None: ...

from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.components.v1.state_pb2

class TransactionalStateStoreStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Transact: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.TransactionalStateRequest, dapr_state_proto.components.v1.state_pb2.TransactionalStateResponse]

class TransactionalStateStoreServicer:
    async def Transact(self, request: dapr_state_proto.components.v1.state_pb2.TransactionalStateRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.TransactionalStateRequest, dapr_state_proto.components.v1.state_pb2.TransactionalStateResponse]) -> dapr_state_proto.components.v1.state_pb2.TransactionalStateResponse: ...

def add_TransactionalStateStoreServicer_to_server(servicer: TransactionalStateStoreServicer, server: grpc.aio.Server) -> None: ...

from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.components.v1.state_pb2

class TransactionalStoreMultiMaxSizeStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    MultiMaxSize: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.MultiMaxSizeRequest, dapr_state_proto.components.v1.state_pb2.MultiMaxSizeResponse]

class TransactionalStoreMultiMaxSizeServicer:
    async def MultiMaxSize(self, request: dapr_state_proto.components.v1.state_pb2.MultiMaxSizeRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.MultiMaxSizeRequest, dapr_state_proto.components.v1.state_pb2.MultiMaxSizeResponse]) -> dapr_state_proto.components.v1.state_pb2.MultiMaxSizeResponse: ...

def add_TransactionalStoreMultiMaxSizeServicer_to_server(servicer: TransactionalStoreMultiMaxSizeServicer, server: grpc.aio.Server) -> None: ...

from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.components.v1.state_pb2

class QueriableStateStoreStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    Query: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.components.v1.state_pb2.QueryRequest, dapr_state_proto.components.v1.state_pb2.QueryResponse]

class QueriableStateStoreServicer:
    async def Query(self, request: dapr_state_proto.components.v1.state_pb2.QueryRequest, context: grpc.aio.ServicerContext[dapr_state_proto.components.v1.state_pb2.QueryRequest, dapr_state_proto.components.v1.state_pb2.QueryResponse]) -> dapr_state_proto.components.v1.state_pb2.QueryResponse: ...

def add_QueriableStateStoreServicer_to_server(servicer: QueriableStateStoreServicer, server: grpc.aio.Server) -> None: ...
