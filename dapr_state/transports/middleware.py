"""What the requests of both transports pass, decided once at start: token, API lists, metrics, API log, tracing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct, field

from dapr_state.security.access import GrpcAccess, HttpAccess
from dapr_state.transports.http.labels import Labels

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.observability.apilog import ApiLog
    from dapr_state.observability.metrics import Metrics
    from dapr_state.observability.tap import Tap
    from dapr_state.observability.tracecontext import Tracer
    from dapr_state.security.origins import Origins
    from dapr_state.security.tokens import ApiToken
    from dapr_state.testmode.service import TestMode


class Middleware(Struct, frozen=True, kw_only=True):
    """None, and lists without rules, cost a request nothing."""

    token: ApiToken | None = None
    origins: Origins | None = None  # of the HTTP port
    grpc_access: GrpcAccess = field(default_factory=lambda: GrpcAccess((), ()))
    http_access: HttpAccess = field(default_factory=lambda: HttpAccess((), ()))
    metrics: Metrics | None = None
    http_labels: Labels = field(default_factory=Labels)
    api_log: ApiLog | None = None
    tracer: Tracer | None = None
    echoes_context: bool = True  # without a tracer: whether answers carry the caller's trace context
    test: TestMode | None = None
    tap: Tap | None = None  # where calls are told to whoever looks at the traffic
    count_errors: Callable[[str], None] | None = None  # is given the code of each error that is answered
