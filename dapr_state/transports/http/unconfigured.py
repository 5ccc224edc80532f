"""The building blocks that this sidecar does not have: what daprd answers where they are not configured.

runtime.md 5.5. A client of one of them learns the same, in the same words, from either sidecar.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from dapr_state import errors
from dapr_state.golang import unmarshal
from dapr_state.golang.unmarshal import MalformedError
from dapr_state.operations import OPERATIONS
from dapr_state.slices import Work

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.serving.http.response import Response
    from dapr_state.transports.http.route import Answer, Call


def routes(app_id: str, namespace: str) -> dict[str, Answer]:
    own = {"appID": app_id, "namespace": namespace or "default"}
    return {
        **{each.key: _refusal(each.absent, own) for each in OPERATIONS if each.absent},
        "InvokeService": _invocation(app_id),
        "InvokeBinding": _bind,
        "TryLockAlpha1": _lock,
        "ScheduleJob": _job_schedule(own),
    }


def _refusal(row: errors.ErrorRow, fields: Mapping[str, str]) -> Answer:
    async def refuse(call: Call) -> Response:
        raise row(**{**fields, **call.params})

    return refuse


def _invocation(own_app_id: str) -> Answer:
    async def refuse(call: Call) -> Response:
        raise errors.not_invoked(call.params["app"], own_app_id)

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
    expiry = given.get("expiryinseconds", b"0").strip(b'"')
    if not expiry.isdigit() or not expiry.strip(b"0"):
        raise errors.LOCK_EXPIRY(name=call.params["name"])
    raise errors.LOCK_NOT_CONFIGURED()  # noqa: RSE102  a row is called to make its error


def _job_schedule(fields: Mapping[str, str]) -> Answer:
    async def schedule(call: Call) -> Response:
        given = await _members(call, "runtime.Job") if call.request.body else {}
        row = errors.JOB_SCHEDULE if given.keys() & {"schedule", "duetime"} else errors.JOB_SCHEDULE_EMPTY
        raise row(**fields)

    return schedule
