"""A gRPC server on our own HTTP/2, with the registration and life of grpc.aio's: servicers run on either unchanged."""

from dapr_state.serving.grpc.server import NativeServer

__all__ = ["NativeServer"]
