"""The gRPC port: which services answer on it, and what is said to calls that none of them knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import grpc
from dapr_state_proto.runtime.v1 import dapr_pb2, dapr_pb2_grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from dapr_state.serving import sockets
from dapr_state.serving.grpc.server import NativeServer
from dapr_state.transports.grpc.interceptors import OWN_SERVICES, Services
from dapr_state.transports.middleware import Middleware

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state.transports.grpc.dapr import DaprServicer

DAPR = dapr_pb2.DESCRIPTOR.services_by_name["Dapr"].full_name

# What daprd answers to a service or method that it does not serve: it takes the call for one to be proxied, and
# its tracing, which looks first, leaves its own services alone
UNKNOWN_SERVICE = "cannot proxy request: missing dapr-callee-app-id or dapr-app-id metadata"
UNKNOWN_METHOD = "failed to proxy request: required metadata dapr-callee-app-id or dapr-app-id not found"

_REFLECTION = "/grpc.reflection."

FOREVER = 7 * 24 * 3600.0  # seconds: what grpc.aio takes None for is no grace at all


class GrpcServer:
    """A gRPC server with Dapr, health and reflection; it listens from `start` to `stop`."""

    def __init__(
        self,
        servicer: DaprServicer,
        max_message_size: int,
        max_header_size: int,
        layers: Middleware | None = None,
        *,
        make: Callable[..., grpc.aio.Server] = NativeServer,
        absent: grpc.GenericRpcHandler | None = None,
        own: Mapping[str, grpc.GenericRpcHandler] | None = None,
        own_module: Any = None,
    ) -> None:
        """`make` is NativeServer, or grpc.aio.server where grpc's own is wanted; `absent` takes what is not built.

        `own` are services that are not of Dapr, by their names; `own_module` has their messages.
        """
        services: Any = Services(layers or Middleware(), _Unknown())  # generated code names grpc's own class
        self._server = make(handlers=(services,), options=_limits(max_message_size, max_header_size))
        self._health = health.aio.HealthServicer()
        dapr_pb2_grpc.add_DaprServicer_to_server(servicer, services)
        health_pb2_grpc.add_HealthServicer_to_server(self._health, services)
        if absent:
            services.add_generic_rpc_handlers((absent,))
        names, modules = [DAPR, health.SERVICE_NAME], [dapr_pb2, health_pb2]
        if own:
            services.add_generic_rpc_handlers(own.values())
            names += own
            modules.append(own_module)
        self._names = names
        services.add_generic_rpc_handlers((_Reflection(names, modules),))

    def listen_on(self, bound: Sequence[socket.socket]) -> None:
        """Accept connections on these sockets, from the start on; they are closed at the stop."""
        if isinstance(self._server, NativeServer):
            self._server.listen_on(bound)
            return
        # grpc's own server takes no sockets: it binds the same addresses anew
        names = [each.getsockname() for each in bound]
        sockets.close(bound)
        for name in names:
            self._server.add_insecure_port(_address(name))

    async def start(self) -> None:
        await self._server.start()
        for service in ("", *self._names):  # "" is the server as a whole
            await self._health.set(service, health_pb2.HealthCheckResponse.SERVING)

    async def stop(self, grace: float | None) -> None:
        """Refuse new calls, give those under way `grace` seconds (None: as long as they take), then end them."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(FOREVER if grace is None else grace)


def _address(name: Any) -> str:
    """The address of a socket, as grpc writes it."""
    if isinstance(name, str):
        return f"unix:{name}"
    host, port, *ipv6 = name
    return f"[{host}]:{port}" if ipv6 else f"{host}:{port}"


def _limits(max_message_size: int, max_header_size: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message_size),
        ("grpc.max_send_message_length", max_message_size),
        ("grpc.max_metadata_size", max_header_size),
        ("grpc.so_reuseport", 0),  # two sidecars on one port must be an error, not a lottery
        # daprd lets clients ping every 8 s, also without a call under way
        ("grpc.http2.min_ping_interval_without_data_ms", 8000),
        ("grpc.keepalive_permit_without_calls", 1),
        # as daprd: a peer that is gone is noticed after 15 s, a connection that nobody uses is closed after 3 minutes
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.max_connection_idle_ms", 180_000),
    ]


class _Reflection(grpc.GenericRpcHandler):
    """Tells tools the schema; it is made when somebody asks: 6 ms of the start otherwise."""

    def __init__(self, services: Sequence[str], modules: Sequence[Any]) -> None:
        self._services = services
        self._modules = modules
        self._made: Sequence[grpc.GenericRpcHandler] = ()

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any] | None:
        if not details.method.startswith(_REFLECTION):
            return None
        if not self._made:
            from dapr_state.transports.grpc import reflection  # noqa: PLC0415

            self._made = reflection.handlers(self._services, self._modules)
        return next(filter(None, (each.service(details) for each in self._made)), None)


class _Unknown(grpc.GenericRpcHandler):
    """Answers every method that nobody else took."""

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[Any, Any]:
        text = UNKNOWN_METHOD if details.method.startswith(OWN_SERVICES) else UNKNOWN_SERVICE

        async def refuse(_: Any, context: grpc.aio.ServicerContext[Any, Any]) -> None:
            await context.abort(grpc.StatusCode.UNKNOWN, text)

        return grpc.stream_stream_rpc_method_handler(refuse)
