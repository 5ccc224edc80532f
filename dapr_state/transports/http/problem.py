"""How an error leaves over HTTP: status, `errorCode`, message, details (state-api.md 4.1)."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

from dapr_state import errors
from dapr_state.errors import BadRequest, DaprError, Detail, ErrorInfo, Help, ResourceInfo
from dapr_state.golang.marshal import encode
from dapr_state.serving.answer_memory import CrowdedError
from dapr_state.serving.http.response import JSON, Response

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.serving.http.request import Request

log = logging.getLogger("dapr.runtime.http")

_TYPE = "type.googleapis.com/google.rpc."


def of(error: DaprError) -> Response:
    body: dict[str, Any] = {"errorCode": error.row.code, "message": error.http_message}
    if error.details:
        body["details"] = [_shown(detail) for detail in error.details]
    return Response(error.row.http, [JSON], encode(body), error)


def failure(request: Request, error: BaseException) -> Response:
    """The answer to a request that nothing else was answered to."""
    match error:
        case DaprError():
            return of(error)
        case CrowdedError():
            return of(errors.REQUEST_MEMORY())
        case asyncio.CancelledError():
            pass
        case _:  # a defect of ours; the connection's other requests go on
            log.error("Request failed: %r", request, exc_info=error)
    return interrupted()


def interrupted() -> Response:
    """The sidecar stops, or fails at something that is no store's fault: the caller cannot know what was done."""
    return Response(500, [JSON], encode({"errorCode": "ERR_INTERNAL", "message": "the request was interrupted"}))


def _shown(detail: Detail) -> Mapping[str, Any]:
    match detail:
        case ErrorInfo():
            metadata = detail.metadata if detail.http_metadata is None else detail.http_metadata
            told = {"domain": detail.domain, "metadata": metadata, "reason": detail.reason}
            return {"@type": _TYPE + "ErrorInfo", **told}
        case ResourceInfo():
            named = {"resource_name": detail.name, "resource_type": detail.kind}
            return {"@type": _TYPE + "ResourceInfo", "description": "", "owner": "", **named}
        case BadRequest():
            field = {"field": detail.field} if detail.field else {}
            violation = {**field, "description": detail.http_description or detail.description}
            return {"@type": _TYPE + "BadRequest", "field_violations": [violation]}
        case Help():
            link = {"description": detail.description, "url": detail.url}
            return {"@type": _TYPE + "Help", "links": [link]}
