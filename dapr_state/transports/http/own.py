"""Answers that no route gives: what any HTTP server says by itself, and what a failed handler leaves to be said."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING

from dapr_state.errors import DaprError
from dapr_state.transports.http import problem
from dapr_state.transports.http.message import Response

if TYPE_CHECKING:
    from dapr_state.wire.http1 import Request

log = logging.getLogger("dapr.runtime.http")


def answer(request: Request) -> Response | None:
    """What is not for the sidecar, but for any HTTP server to answer."""
    if request.expect not in {"", "100-continue"}:
        request.keep_alive = False  # its body may come or not
        return Response(417)
    if request.target == b"*" and request.method == "OPTIONS":
        return Response(200)
    return None


def failure(request: Request | None, error: BaseException) -> Response:
    if isinstance(error, DaprError):
        return problem.of(error)
    if not isinstance(error, asyncio.CancelledError):  # a defect of ours; the connection's other requests go on
        log.error("Request failed: %r", request, exc_info=error)
    return problem.interrupted()
