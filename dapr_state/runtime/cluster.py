"""One sidecar among others: its internal port, its place in Dapr's placement, and the way out to its peers."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from dapr_state_proto.internals.v1 import service_invocation_pb2_grpc

from dapr_state.actors.peers import CALL, IDLE, PING, PING_ANSWER, REMIND, Peers
from dapr_state.actors.placement.client import Identity, PlacementClient
from dapr_state.actors.placement.dapr import DaprPlacement
from dapr_state.actors.router import ActorRouter
from dapr_state.runtime.application import DEFAULT_NAMESPACE
from dapr_state.runtime.host_address import host_address
from dapr_state.runtime.listening import ListeningError
from dapr_state.serving import sockets
from dapr_state.serving.grpc.server import NativeServer
from dapr_state.transports.grpc.call_metrics import CallMetrics
from dapr_state.transports.grpc.interceptors import Services
from dapr_state.transports.grpc.internal import InternalServicer
from dapr_state.transports.middleware import Middleware

if TYPE_CHECKING:
    import socket
    from collections.abc import Mapping

    from dapr_state.actors.peers import Count
    from dapr_state.actors.runtime import ActorRuntime
    from dapr_state.runtime.options import Options
    from dapr_state.security.credentials import Credentials
    from dapr_state.serving.request_memory import RequestMemory

_LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "[::1]", "::1"})
_SERVICE: Final = "dapr.proto.internals.v1.ServiceInvocation"
CLOSING: Final = 0.5  # seconds for what peers have under way when nothing is hosted any more

log = logging.getLogger("dapr.runtime")
security_log = logging.getLogger("dapr.runtime.security")


class Cluster:
    """`start` it before the application is asked what it hosts, `leave` before the actors end, `close` after that."""

    def __init__(
        self,
        options: Options,
        local: ActorRuntime,
        memory: RequestMemory,
        credentials: Credentials | None = None,
        layers: Middleware | None = None,
    ) -> None:
        """Takes the internal port. Without credentials nothing is encrypted. Raises ListeningError."""
        host = _host(options)
        bound = _bind(options.internal_grpc_listen_address or host, options.internal_grpc_port or 0)
        self._name = f"{host}:{sockets.port_of(bound)}"
        self._has_app = bool(options.app_port)
        self._is_secured = credentials is not None
        self.placement = DaprPlacement(self._name, local)
        self._peers = Peers(options.max_body_size, credentials.peer if credentials else None, _counts(layers))
        self.placement.on_table.append(self._peers.keep)
        self.router = ActorRouter(local, self.placement, self._peers)
        self._server = NativeServer(
            options=_limits(options.max_body_size), memory=memory, tls=credentials.server() if credentials else None
        )
        self._server.listen_on(bound)
        # of what requests pass at other doors only what is observed: peers have no token, and no list is for them
        layers = Middleware(metrics=layers.metrics, tracer=layers.tracer) if layers else Middleware()
        services: Any = Services(layers)  # generated code names grpc's own class
        service_invocation_pb2_grpc.add_ServiceInvocationServicer_to_server(InternalServicer(self.router), services)
        self._server.add_generic_rpc_handlers((services,))
        me = Identity(self._name, options.app_id, options.namespace or DEFAULT_NAMESPACE)
        self._client = PlacementClient(
            options.placement_addresses,
            me,
            self.placement,
            lambda: tuple(local.counts()),
            options.disseminate_timeout,
            tls=credentials.service("dapr-placement") if credentials else None,
        )
        self.placement.on_frozen.append(self._client.join_anew)
        local.on_hosted.append(lambda _: self._client.begin())
        local.on_unhosted.append(self._client.report)

    def __repr__(self) -> str:
        return f"<Cluster {self._name}, {self.placement!r}>"

    async def start(self) -> None:
        await self._server.start()
        log.info("Internal gRPC server is running on %s", self._name)
        if not self._is_secured:
            security_log.warning(
                "mTLS is disabled: traffic with placement and other sidecars is not encrypted,"
                " and whoever reaches %s may call actors (see --enable-mtls)",
                self._name,
            )
        if not self._has_app:
            self._client.begin()

    async def leave(self, grace: float | None) -> None:
        """Have others take over the actors that live here."""
        await self._client.leave(grace)

    async def close(self) -> None:
        await self._client.close()
        await self._server.stop(CLOSING)
        await self._peers.close()


def _counts(layers: Middleware | None) -> Mapping[str, Count] | None:
    if layers is None or layers.metrics is None:
        return None
    return {
        method: CallMetrics(f"/{_SERVICE}/{method}", layers.metrics, is_client=True).made for method in (CALL, REMIND)
    }


def _host(options: Options) -> str:
    """What peers dial: a loopback that is listened on says more than anything else, as in daprd."""
    listen = options.internal_grpc_listen_address
    host = listen if listen in _LOOPBACK else host_address(options.environment)
    return f"[{host}]" if ":" in host and not host.startswith("[") else host


def _bind(host: str, port: int) -> list[socket.socket]:
    address = f"{host}:{port}"
    try:
        return sockets.bind(address)
    except OSError as error:
        raise ListeningError(
            f"failed to listen for peers on {address}: {error.strerror or error} "
            "(set --dapr-internal-grpc-port, --dapr-internal-grpc-listen-address or DAPR_HOST_IP)"
        ) from error


def _limits(max_message: int) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", max_message),
        ("grpc.max_send_message_length", max_message),
        ("grpc.keepalive_time_ms", int(PING * 1000)),
        ("grpc.keepalive_timeout_ms", int(PING_ANSWER * 1000)),
        ("grpc.max_connection_idle_ms", int(IDLE * 1000)),
    ]
