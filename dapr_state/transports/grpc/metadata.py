"""What the sidecar tells about itself over gRPC: metadata, and the call that ends it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dapr_state_proto.runtime.v1 import dapr_pb2_grpc, metadata_pb2
from google.protobuf.empty_pb2 import Empty

if TYPE_CHECKING:
    from dapr_state_proto.runtime.v1 import dapr_pb2
    from grpc.aio import ServicerContext

    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import AppConnectionProperties, Metadata

    Context = ServicerContext[Any, Any]

FORCE = "dapr-force-shutdown"


class MetadataServicer(dapr_pb2_grpc.DaprServicer):
    def __init__(self, metadata: Metadata, lifecycle: Lifecycle) -> None:
        self._metadata = metadata
        self._lifecycle = lifecycle

    async def GetMetadata(self, _: metadata_pb2.GetMetadataRequest, __: Context) -> metadata_pb2.GetMetadataResponse:
        return _shown(self._metadata)

    async def SetMetadata(self, request: metadata_pb2.SetMetadataRequest, _: Context) -> Empty:
        if request.key:  # daprd takes an empty key for nothing to do
            self._metadata.note(request.key, request.value)
        return Empty()

    async def Shutdown(self, _: dapr_pb2.ShutdownRequest, context: Context) -> Empty:
        given = dict(context.invocation_metadata() or ())
        self._lifecycle.shut_down(force=str(given.get(FORCE, "")).lower() == "true")
        return Empty()


def _shown(metadata: Metadata) -> metadata_pb2.GetMetadataResponse:
    actors, schedulers = metadata.actors(), metadata.schedulers()
    active = [metadata_pb2.ActiveActorsCount(type=kind, count=count) for kind, count in actors.active.items()]
    return metadata_pb2.GetMetadataResponse(
        id=metadata.app_id,
        runtime_version=metadata.version,
        enabled_features=metadata.features,
        active_actors_count=active,
        registered_components=[
            metadata_pb2.RegisteredComponents(
                name=each.name, type=each.type, version=each.version, capabilities=each.capabilities
            )
            for each in metadata.components()
        ],
        extended_metadata=metadata.extended(),
        app_connection_properties=_shown_app(metadata.app),
        actor_runtime=metadata_pb2.ActorRuntime(
            runtime_status=metadata_pb2.ActorRuntime.ActorRuntimeStatus.Name(actors.status),
            active_actors=active,
            host_ready=actors.is_host_ready,
            placement=actors.placement,
        ),
        scheduler=metadata_pb2.MetadataScheduler(connected_addresses=schedulers) if schedulers else None,
        resiliencies=[metadata_pb2.MetadataResiliency(name=name) for name in metadata.resiliencies()],
        workflows=metadata_pb2.MetadataWorkflows(),  # daprd sends it always, and empty
    )


def _shown_app(app: AppConnectionProperties) -> metadata_pb2.AppConnectionProperties:
    shown = metadata_pb2.AppConnectionProperties(
        port=app.port,
        protocol=app.protocol,
        channel_address=app.address,
        max_concurrency=app.max_concurrency,
    )
    if app.health:
        shown.health.health_check_path = app.health.path
        shown.health.health_probe_interval = app.health.interval
        shown.health.health_probe_timeout = app.health.timeout
        shown.health.health_threshold = app.health.threshold
    return shown
