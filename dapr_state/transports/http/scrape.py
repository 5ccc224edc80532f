"""The metrics port: every path and verb is answered with the metrics as text, without a token, as by daprd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING
from dapr_state.serving.http.response import Response, line
from dapr_state.serving.http.service import Service
from dapr_state.transports.http import problem

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from dapr_state.serving.http.request import Request

# Writing is done in steps; after so long, requests that wait are served before it goes on.
SLICE: Final = 0.0005  # seconds: half of what the finest latency bucket can tell
_CONTENT_TYPE: Final = line("Content-Type", "text/plain; version=0.0.4; charset=utf-8; escaping=underscores")


def scrape(lines: Callable[[], Iterator[str]]) -> Service:
    async def answer(_: Request) -> Response:
        written = []
        began = WAITING.monotonic()
        for text in lines():
            written.append(text.encode("utf-8", "replace"))
            if WAITING.monotonic() - began > SLICE:
                await asyncio.sleep(0)
                began = WAITING.monotonic()
        return Response(200, [_CONTENT_TYPE], b"".join(written))

    return Service(answer, problem.failure)
