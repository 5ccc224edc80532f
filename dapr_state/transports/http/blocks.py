"""The building blocks that this sidecar does not have: what daprd answers where they are not configured.

runtime.md 5.5. A client of one of them learns the same, in the same words, from either sidecar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dapr_state import errors
from dapr_state.errors import ErrorInfo, Grpc
from dapr_state.transports.http import gojson
from dapr_state.transports.http.gojson import MalformedError
from dapr_state.transports.http.router import ANY, WRITE, Route, not_invoked

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dapr_state.errors import Detail
    from dapr_state.transports.http.message import Response
    from dapr_state.transports.http.router import Call

INTERNAL = 500

PLACEMENT = errors.ACTOR_NO_PLACEMENT  # workflows are actors to daprd


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
    "error invoking output binding {name}: {cause}",
)
_CONFIGURATION = errors.Row(
    "ERR_CONFIGURATION_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "configuration stores not configured"
)
_LOCK_EXPIRY = errors.Row(
    "ERR_MALFORMED_REQUEST", 400, Grpc.INVALID_ARGUMENT, "ExpiryInSeconds is not positive in lock store {store}"
)
_LOCK = errors.Row("ERR_LOCK_STORE_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "lock store is not configured")
_CRYPTO = errors.Row(
    "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "crypto providers not configured"
)
_SUBTLE = errors.Row("ERR_API_UNIMPLEMENTED", 501, Grpc.UNIMPLEMENTED, "this API is currently not implemented")
_CONVERSATION = errors.Row(
    "ERR_CONVERSATION_NOT_FOUND", 400, Grpc.INVALID_ARGUMENT, "failed finding conversation component {name}"
)


def _job(reason: str, sentence: str, http: int, namespace: str) -> errors.Row:
    def details(fields: Mapping[str, Any]) -> tuple[Detail, ...]:
        return (ErrorInfo(reason, {"appID": str(fields["app_id"]), "namespace": namespace or "default"}),)

    return errors.Row(reason, http, Grpc.INTERNAL if http == INTERNAL else Grpc.INVALID_ARGUMENT, sentence, details)


def _job_failed(verb: str, namespace: str) -> errors.Row:
    sentence = f"failed to {verb} job due to: scheduler clients are disabled"
    return _job(f"DAPR_SCHEDULER_{verb.upper()}_JOB", sentence, INTERNAL, namespace)


class _Absent(NamedTuple):
    """Verbs, patterns, and the answer to them."""

    verbs: str
    patterns: tuple[str, ...]
    row: errors.Row


def _versions(pattern: str, *versions: str) -> tuple[str, ...]:
    return tuple(f"/{version}{pattern}" for version in versions)


_WORKFLOW = ("v1.0", "v1.0-beta1", "v1.0-alpha1")
_WORKFLOW_VERBS = ("terminate", "pause", "resume", "purge", "raiseEvent/{event}")

_TABLE = (
    _Absent(WRITE, _versions("/publish/bulk/{pubsub}/*", "v1.0", "v1.0-alpha1"), _PUBSUB),
    _Absent(WRITE, ("/v1.0/publish/{pubsub}/*",), _PUBSUB),
    _Absent("GET", ("/v1.0/secrets/{store}/bulk", "/v1.0/secrets/{store}/{key}"), _SECRETS),
    _Absent("GET", _versions("/configuration/{store}", "v1.0", "v1.0-alpha1"), _CONFIGURATION),
    _Absent("GET", _versions("/configuration/{store}/subscribe", "v1.0", "v1.0-alpha1"), _CONFIGURATION),
    _Absent("GET", _versions("/configuration/{store}/{id}/unsubscribe", "v1.0", "v1.0-alpha1"), _CONFIGURATION),
    _Absent("POST", ("/v1.0-alpha1/unlock/{store}",), _LOCK),
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


def routes(app_id: str, namespace: str) -> list[Route]:
    jobs = [
        _Absent(verb, _versions("/jobs/{name}", "v1.0", "v1.0-alpha1"), _job_failed(name, namespace))
        for verb, name in (("GET", "get"), ("DELETE", "delete"))
    ]
    absent = [*_TABLE, *jobs]
    return [
        *(_route(each.verbs, pattern, each.row, app_id) for each in absent for pattern in each.patterns),
        Route(WRITE, "/v1.0/bindings/{name}", _bind),
        Route("POST", "/v1.0-alpha1/lock/{store}", _lock),
        *(
            Route("POST", pattern, _job_schedule(app_id, namespace))
            for pattern in _versions("/jobs/{name}", "v1.0", "v1.0-alpha1")
        ),
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


# Three calls are refused for their body before the component is looked for


def _members(call: Call, go_type: str) -> Mapping[str, bytes]:
    try:
        raw = gojson.first_value(call.request.body, call.request.body_error)
        return {name.lower(): value for name, value in gojson.members(raw, gojson.TOP, go_type).items()}
    except MalformedError as error:
        raise errors.MALFORMED_BODY(cause=error) from error


async def _bind(call: Call) -> Response:
    operation = _members(call, "http.OutputBindingRequest").get("operation", gojson.NULL)
    try:
        named = gojson.text(operation, gojson.TOP.field("OutputBindingRequest", "operation"))
    except MalformedError as error:
        raise errors.MALFORMED_BODY(cause=error) from error
    name = call.params["name"]
    cause = f"couldn't find output binding {name}" if named else "operation field is missing from request"
    raise _BINDING(name=name, cause=cause)


async def _lock(call: Call) -> Response:
    expiry = _members(call, "runtime.TryLockRequest").get("expiryinseconds", b"0") if call.request.body else b"0"
    if not expiry.strip(b'"').isdigit() or not int(expiry.strip(b'"')):
        raise _LOCK_EXPIRY(store=call.params["store"])
    raise _LOCK()  # noqa: RSE102  a row is called to make its error


def _job_schedule(app_id: str, namespace: str) -> Any:
    empty = _job("DAPR_SCHEDULER_SCHEDULE_EMPTY", "Schedule is empty", 400, namespace)
    failed = _job_failed("schedule", namespace)

    async def schedule(call: Call) -> Response:
        given = _members(call, "runtime.Job") if call.request.body else {}
        raise (failed if given.keys() & {"schedule", "duetime"} else empty)(app_id=app_id)

    return schedule
