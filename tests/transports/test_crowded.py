"""What the servers have no memory for is answered with an error of the API, over both transports."""

from __future__ import annotations

from typing import Any

import grpc

from dapr_state.errors import REQUEST_MEMORY
from dapr_state.serving.answer_memory import CrowdedError
from dapr_state.transports.grpc import status
from dapr_state.transports.http import problem


def test_over_grpc() -> None:
    """The status tells what to do."""
    told = status.of_exception(CrowdedError())

    assert told
    assert (told.code, told.details) == (grpc.StatusCode.RESOURCE_EXHAUSTED, REQUEST_MEMORY.sentence)


def test_over_http() -> None:
    """So does the answer's body."""
    request: Any = None  # nothing of it is told
    told = problem.failure(request, CrowdedError())

    assert (told.status, told.error.row) == (503, REQUEST_MEMORY)  # type: ignore[union-attr]
