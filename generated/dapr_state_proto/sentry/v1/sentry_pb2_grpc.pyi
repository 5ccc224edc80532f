from collections.abc import AsyncIterator
import grpc
import dapr_state_proto.sentry.v1.sentry_pb2

class CAStub:
    def __init__(self, channel: grpc.aio.Channel) -> None: ...
    SignCertificate: grpc.aio.UnaryUnaryMultiCallable[dapr_state_proto.sentry.v1.sentry_pb2.SignCertificateRequest, dapr_state_proto.sentry.v1.sentry_pb2.SignCertificateResponse]

class CAServicer:
    async def SignCertificate(self, request: dapr_state_proto.sentry.v1.sentry_pb2.SignCertificateRequest, context: grpc.aio.ServicerContext[dapr_state_proto.sentry.v1.sentry_pb2.SignCertificateRequest, dapr_state_proto.sentry.v1.sentry_pb2.SignCertificateResponse]) -> dapr_state_proto.sentry.v1.sentry_pb2.SignCertificateResponse: ...

def add_CAServicer_to_server(servicer: CAServicer, server: grpc.aio.Server) -> None: ...
