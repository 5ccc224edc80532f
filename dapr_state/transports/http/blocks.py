"""The building blocks that this sidecar does not have: what daprd answers where they are not configured.

runtime.md 5.5. A client of one of them learns the same, in the same words, from either sidecar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dapr_state import errors
from dapr_state.errors import ErrorInfo, Grpc
from dapr_state.transports.http.router import ANY, WRITE, Route, not_invoked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dapr_state.errors import Detail
    from dapr_state.transports.http.message import Response
    from dapr_state.transports.http.router import Call

PLACEMENT = errors.Row("ERR_ACTOR_NO_PLACEMENT", 400, Grpc.UNAVAILABLE, "placement service is not configured")


def _pubsub_details(_: Mapping[str, Any]) -> tuple[Detail, ...]:
    return (ErrorInfo("DAPR_PUBSUB_NOT_FOUND", metadata={}),)


_PUBSUB = errors.Row(
    "ERR_PUBSUB_NOT_FOUND", 404, Grpc.INVALID_ARGUMENT, "pubsub {pubsub} is not found", _pubsub_details
)
_SECRETS = errors.Row(
    "ERR_SECRET_STORES_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "secret store is not configured"
)
_BINDING = errors.Row(
    "ERR_INVOKE_OUTPUT_BINDING",
    500,
    Grpc.INTERNAL,
    "error invoking output binding {name}: couldn't find output binding {name}",
)
_CONFIGURATION = errors.Row(
    "ERR_CONFIGURATION_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "configuration stores not configured"
)
_LOCK = errors.Row("ERR_LOCK_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "lock store is not configured")
_CRYPTO = errors.Row(
    "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "crypto providers not configured"
)
_SUBTLE = errors.Row("ERR_API_UNIMPLEMENTED", 501, Grpc.UNIMPLEMENTED, "this API is currently not implemented")
_CONVERSATION = errors.Row(
    "ERR_CONVERSATION_NOT_FOUND", 400, Grpc.INVALID_ARGUMENT, "failed finding conversation component {name}"
)


def _job(verb: str, namespace: str) -> errors.Row:
    reason = f"DAPR_SCHEDULER_{verb.upper()}_JOB"

    def details(fields: Mapping[str, Any]) -> tuple[Detail, ...]:
        return (ErrorInfo(reason, {"appID": str(fields["app_id"]), "namespace": namespace or "default"}),)

    return errors.Row(
        reason, 500, Grpc.INTERNAL, f"failed to {verb} job due to: scheduler clients are disabled", details
    )


class _Absent(NamedTuple):
    """Verbs, patterns, and the answer to them."""

    verbs: str
    patterns: tuple[str, ...]
    row: errors.Row


ACTORS = _Absent(
    ANY,
    (
        "/v1.0/actors/{type}/{id}/method/*",
        "/v1.0/actors/{type}/{id}/state",
        "/v1.0/actors/{type}/{id}/state/{key}",
        "/v1.0/actors/{type}/{id}/reminders/{name}",
        "/v1.0/actors/{type}/{id}/timers/{name}",
    ),
    PLACEMENT,
)


def _versions(pattern: str, *versions: str) -> tuple[str, ...]:
    return tuple(f"/{version}{pattern}" for version in versions)


_WORKFLOW = ("v1.0", "v1.0-beta1")
_WORKFLOW_VERBS = ("terminate", "pause", "resume", "purge", "raiseEvent/{event}")

_TABLE = (
    _Absent(WRITE, _versions("/publish/bulk/{pubsub}/*", "v1.0", "v1.0-alpha1"), _PUBSUB),
    _Absent(WRITE, ("/v1.0/publish/{pubsub}/*",), _PUBSUB),
    _Absent("GET", ("/v1.0/secrets/{store}/bulk", "/v1.0/secrets/{store}/{key}"), _SECRETS),
    _Absent(WRITE, ("/v1.0/bindings/{name}",), _BINDING),
    _Absent("GET", _versions("/configuration/{store}", "v1.0", "v1.0-alpha1"), _CONFIGURATION),
    _Absent("GET", _versions("/configuration/{store}/subscribe", "v1.0", "v1.0-alpha1"), _CONFIGURATION),
    _Absent("GET", _versions("/configuration/{store}/{id}/unsubscribe", "v1.0", "v1.0-alpha1"), _CONFIGURATION),
    _Absent("POST", ("/v1.0-alpha1/lock/{store}", "/v1.0-alpha1/unlock/{store}"), _LOCK),
    _Absent("PUT", ("/v1.0-alpha1/crypto/{name}/encrypt", "/v1.0-alpha1/crypto/{name}/decrypt"), _CRYPTO),
    *(
        _Absent("POST", (f"/v1.0-alpha1/subtlecrypto/{{name}}/{call}",), _SUBTLE)
        for call in ("getkey", "encrypt", "decrypt", "wrapkey", "unwrapkey", "sign", "verify")
    ),
    _Absent("POST", _versions("/workflows/{component}/{name}/start", *_WORKFLOW), PLACEMENT),
    _Absent("GET", _versions("/workflows/{component}/{id}", *_WORKFLOW), PLACEMENT),
    *(
        _Absent("POST", _versions(f"/workflows/{{component}}/{{id}}/{verb}", *_WORKFLOW), PLACEMENT)
        for verb in _WORKFLOW_VERBS
    ),
    _Absent("POST", _versions("/conversation/{name}/converse", "v1.0-alpha1", "v1.0-alpha2"), _CONVERSATION),
)


def routes(app_id: str, namespace: str, *, actors: bool = False) -> list[Route]:
    """All of them; with `actors`, the actors have routes of their own."""
    jobs = [
        _Absent(verb, _versions("/jobs/{name}", "v1.0", "v1.0-alpha1"), _job(name, namespace))
        for verb, name in (("GET", "get"), ("POST", "schedule"), ("DELETE", "delete"))
    ]
    absent = [*_TABLE, *jobs, *(() if actors else (ACTORS,))]
    return [
        *(_route(each.verbs, pattern, each.row, app_id) for each in absent for pattern in each.patterns),
        Route(ANY, "/v1.0/invoke/{id}/method/*", _invocation(app_id)),
    ]


def _route(verbs: str, pattern: str, row: errors.Row, app_id: str) -> Route:
    async def refuse(call: Call) -> Response:
        raise row(**{"app_id": app_id, **call.params})

    return Route(verbs, pattern, refuse)


def _invocation(own_app_id: str) -> Any:
    async def refuse(call: Call) -> Response:
        raise not_invoked(call.params["id"], own_app_id)

    return refuse
