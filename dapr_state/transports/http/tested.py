"""Around each HTTP request of a sidecar in test mode: it is recorded, and meets the faults that a test has put in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from dapr_state import errors
from dapr_state.admin.table import BASE
from dapr_state.serving.http.exchange import CutError
from dapr_state.testmode.store import is_looking
from dapr_state.transports.http import target

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response
    from dapr_state.serving.http.service import Handler
    from dapr_state.testmode.service import TestMode
    from dapr_state.transports.http.router import Router

LOOKS: Final = "dapr-state-test"  # the header of who tests, and only looks or arranges
UNRECORDED: Final = frozenset({"Healthz", "HealthzOutbound", "GetMetadata"})
_BASE: Final = BASE.encode()


def tested(handler: Handler, test: TestMode, router: Router) -> Handler:
    async def around(request: Request) -> Response:
        path, _ = target.split(request.target)
        parts = target.segments(path)
        route = router.route(request.method, parts)
        if route is None or route.operation.key in UNRECORDED or LOOKS in request.headers:
            if LOOKS in request.headers or path.startswith(_BASE):
                is_looking.set(True)
            return await handler(request)
        operation = route.operation
        about = "/".join(route.params(parts).values())
        with test.calls.recorded(operation.groups.partition(".")[0], operation.key, about, "http") as event:
            event.request_bytes = len(request.body)
            fault = test.faults.of_api(operation.key)
            is_met = fault is not None and await fault.wait()
            effect = fault.effect if fault and is_met else ""
            if effect == "drop_connection":
                raise CutError
            if effect == "goaway":
                request.keep_alive = False
            elif fault and is_met and effect != "after_commit":
                raise errors.TEST_UNAVAILABLE(reason=fault.text)
            response = await handler(request)
            event.response_bytes = len(response.body)
            if isinstance(response.error, errors.DaprError):
                event.code = response.error.row.code
            if fault and effect == "after_commit":
                raise errors.TEST_UNAVAILABLE(reason=fault.text)
            return response

    return around
