"""A request, as the server, its handler, and what stands around the handler tell each other of it."""

from __future__ import annotations

from collections.abc import Hashable  # noqa: TC003 - the struct asks for it
from typing import Any

from dapr_state.wire.http1 import request as wire


class Request(wire.Request, eq=False):
    began: float = 0.0  # when its answer was begun, by the monotonic clock
    ended: float = 0.0  # when there was one
    peer: Any = None  # the client's address, where the service asks for it
    # What handlers say
    counted_as: Hashable = None  # what is the same of requests that are counted alike, though their paths differ
    needs_client: bool = False  # the answer is worth nothing once the client has gone
    is_routed: bool = False  # it has passed what may refuse it before its route; only said where somebody asks
    trace: Any = None  # the span that answers it, where there is one
