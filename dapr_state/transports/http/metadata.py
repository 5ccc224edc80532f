"""What the sidecar answers about itself: health, metadata, shutdown (runtime.md 5)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from dapr_state import errors
from dapr_state.golang import marshal
from dapr_state.serving.http.response import JSON, Response, no_content

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.api.lifecycle import Lifecycle
    from dapr_state.api.metadata import AppConnectionProperties, Metadata
    from dapr_state.transports.http.route import Answer, Call

FORCE = "dapr-force-shutdown"


def health_routes(lifecycle: Lifecycle) -> dict[str, Answer]:
    async def health(call: Call) -> Response:
        lifecycle.check_ready(call.query.get("appid", ""))
        return no_content()

    async def outbound(_: Call) -> Response:
        lifecycle.check_outbound_ready()
        return no_content()

    return {"Healthz": health, "HealthzOutbound": outbound}


def shutdown_routes(lifecycle: Lifecycle) -> dict[str, Answer]:
    async def shutdown(call: Call) -> Response:
        lifecycle.shut_down(force=call.request.headers.get(FORCE, "").lower() == "true")
        return no_content()

    return {"Shutdown": shutdown}


def metadata_routes(metadata: Metadata) -> dict[str, Answer]:
    async def get(_: Call) -> Response:
        return Response(200, [JSON], marshal.encode(shown(metadata)) + b"\n")

    async def put(call: Call) -> Response:
        if call.request.body_error:
            raise errors.BODY_READ(cause=call.request.body_error)
        metadata.note(call.params["key"], call.request.body.decode("utf-8", "replace"))
        return no_content()

    return {"GetMetadata": get, "SetMetadata": put}


def shown(metadata: Metadata) -> Mapping[str, Any]:
    """The fields in daprd's order; those that are empty are left out, but for four."""
    actors = metadata.actors()
    active = [{"type": kind, "count": count} if count else {"type": kind} for kind, count in actors.active.items()]
    components = [
        _set(name=each.name, type=each.type, version=each.version, capabilities=list(each.capabilities))
        for each in metadata.components()
    ]
    schedulers = list(metadata.schedulers())
    runtime = _set(runtimeStatus=actors.status.name, activeActors=active)
    resiliencies = [_set(name=name) for name in metadata.resiliencies()]
    return {
        "id": metadata.app_id,
        "runtimeVersion": metadata.version,
        **_set(enabledFeatures=list(metadata.features), actors=active, components=components),
        "extended": metadata.extended(),
        "appConnectionProperties": _shown_app(metadata.app),
        "actorRuntime": {**runtime, "hostReady": actors.is_host_ready, **_set(placement=actors.placement)},
        **_set(scheduler=_set(connected_addresses=schedulers)),
        **_set(resiliencies=resiliencies),
    }


def _shown_app(app: AppConnectionProperties) -> Mapping[str, Any]:
    health = app.health and _set(
        healthCheckPath=app.health.path,
        healthProbeInterval=app.health.interval,
        healthProbeTimeout=app.health.timeout,
        healthThreshold=app.health.threshold,
    )
    return _set(
        port=app.port,
        protocol=app.protocol,
        channelAddress=app.address,
        maxConcurrency=app.max_concurrency,
        health=health,
    )


def _set(**members: Any) -> dict[str, Any]:
    """Those that have a value."""
    return {name: value for name, value in members.items() if value}
