"""The building blocks that this sidecar does not have: what daprd answers where they are not configured.

runtime.md 5.5. A client of one of them learns the same, in the same words, from either sidecar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from dapr_state import errors
from dapr_state.errors import Grpc
from dapr_state.golang import unmarshal
from dapr_state.golang.unmarshal import MalformedError
from dapr_state.slices import Work
from dapr_state.transports.http.route import ANY, WRITE, Route

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from dapr_state.serving.http.message import Response
    from dapr_state.transports.http.route import Call

_CRYPTO = errors.Row(
    "ERR_CRYPTO_PROVIDERS_NOT_CONFIGURED", 500, Grpc.FAILED_PRECONDITION, "crypto providers not configured"
)


class _Absent(NamedTuple):
    """Verbs, patterns, and the answer to them."""

    verbs: str
    patterns: tuple[str, ...]
    row: errors.Row


def _versions(pattern: str, *versions: str) -> tuple[str, ...]:
    return tuple(f"/{version}{pattern}" for version in versions)


_STABLE = ("v1.0", "v1.0-alpha1")
_WORKFLOW = ("v1.0", "v1.0-beta1", "v1.0-alpha1")
_WORKFLOW_VERBS = ("terminate", "pause", "resume", "purge", "raiseEvent/{event}")

_JOBS = _versions("/jobs/{name}", *_STABLE)

_TABLE = (
    _Absent(WRITE, _versions("/publish/bulk/{name}/*", *_STABLE), errors.PUBSUB_NOT_FOUND),
    _Absent(WRITE, ("/v1.0/publish/{name}/*",), errors.PUBSUB_NOT_FOUND),
    _Absent("GET", ("/v1.0/secrets/{name}/bulk", "/v1.0/secrets/{name}/{key}"), errors.SECRET_STORES_NOT_CONFIGURED),
    *(
        _Absent("GET", _versions(f"/configuration/{{name}}{rest}", *_STABLE), errors.CONFIGURATION_NOT_CONFIGURED)
        for rest in ("", "/subscribe", "/{id}/unsubscribe")
    ),
    _Absent("POST", ("/v1.0-alpha1/unlock/{name}",), errors.LOCK_NOT_CONFIGURED),
    _Absent("PUT", ("/v1.0-alpha1/crypto/{name}/encrypt", "/v1.0-alpha1/crypto/{name}/decrypt"), _CRYPTO),
    *(
        _Absent("POST", (f"/v1.0-alpha1/subtlecrypto/{{name}}/{call}",), errors.SUBTLE_CRYPTO)
        for call in ("getkey", "encrypt", "decrypt", "wrapkey", "unwrapkey", "sign", "verify")
    ),
    _Absent("POST", _versions("/workflows/{component}/{name}/start", *_WORKFLOW), errors.ACTOR_NO_PLACEMENT),
    _Absent("GET", _versions("/workflows/{component}/{id}", *_WORKFLOW), errors.ACTOR_NO_PLACEMENT),
    *(
        _Absent("POST", _versions(f"/workflows/{{component}}/{{id}}/{verb}", *_WORKFLOW), errors.ACTOR_NO_PLACEMENT)
        for verb in _WORKFLOW_VERBS
    ),
    _Absent(
        "POST", _versions("/conversation/{name}/converse", "v1.0-alpha1", "v1.0-alpha2"), errors.CONVERSATION_NOT_FOUND
    ),
    _Absent("GET", _JOBS, errors.JOB_GET),
    _Absent("DELETE", _JOBS, errors.JOB_DELETE),
)


def routes(app_id: str, namespace: str) -> list[Route]:
    own = {"appID": app_id, "namespace": namespace or "default"}
    return [
        *(_route(each.verbs, pattern, each.row, own) for each in _TABLE for pattern in each.patterns),
        *(Route("POST", pattern, _job_schedule(own)) for pattern in _JOBS),
        Route(WRITE, "/v1.0/bindings/{name}", _bind),
        Route("POST", "/v1.0-alpha1/lock/{name}", _lock),
        Route(ANY, "/v1.0/invoke/{id}/method/*", _invocation(app_id)),
    ]


def _route(verbs: str, pattern: str, row: errors.Row, fields: Mapping[str, str]) -> Route:
    async def refuse(call: Call) -> Response:
        raise row(**{**fields, **call.params})

    return Route(verbs, pattern, refuse)


def _invocation(own_app_id: str) -> Any:
    async def refuse(call: Call) -> Response:
        raise errors.not_invoked(call.params["id"], own_app_id)

    return refuse


# Three calls are refused for their body before the component is looked for


_LOOKED_AT = ("operation", "expiryinseconds", "schedule", "duetime")


async def _members(call: Call, go_type: str) -> Mapping[str, bytes]:
    try:
        work = Work()
        raw = await unmarshal.first_value(call.request.body, work, call.request.body_error)
        return await unmarshal.fields(raw, unmarshal.TOP, go_type, _LOOKED_AT, work)
    except MalformedError as error:
        raise errors.MALFORMED_BODY(cause=error) from error


async def _bind(call: Call) -> Response:
    operation = (await _members(call, "http.OutputBindingRequest")).get("operation", unmarshal.NULL)
    try:
        named = unmarshal.text(operation, unmarshal.TOP.field("OutputBindingRequest", "operation"))
    except MalformedError as error:
        raise errors.MALFORMED_BODY(cause=error) from error
    raise errors.not_bound(call.params["name"], has_operation=bool(named))


async def _lock(call: Call) -> Response:
    given = await _members(call, "runtime.TryLockRequest") if call.request.body else {}
    expiry = given.get("expiryinseconds", b"0")
    if not expiry.strip(b'"').isdigit() or not int(expiry.strip(b'"')):
        raise errors.LOCK_EXPIRY(name=call.params["name"])
    raise errors.LOCK_NOT_CONFIGURED()  # noqa: RSE102  a row is called to make its error


def _job_schedule(fields: Mapping[str, str]) -> Any:
    async def schedule(call: Call) -> Response:
        given = await _members(call, "runtime.Job") if call.request.body else {}
        row = errors.JOB_SCHEDULE if given.keys() & {"schedule", "duetime"} else errors.JOB_SCHEDULE_EMPTY
        raise row(**fields)

    return schedule
