"""`--wait`: stands before an application until a sidecar on this machine can be called."""

from __future__ import annotations

import http.client
import sys
import urllib.error
import urllib.request
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from dapr_state.clock import WaitingClock

TIMEOUT: Final = 60.0
_PERIOD: Final = 0.1
_ATTEMPT_TIMEOUT: Final = 0.5


def until_ready(http_port: str, timeout: float = TIMEOUT, clock: WaitingClock = WAITING) -> bool:
    """Ask every 100 ms. Gives up without an error, as daprd: the application shall start and see for itself."""
    url = f"http://localhost:{http_port}/v1.0/healthz/outbound"
    _say(f"Waiting for Dapr to be outbound ready (timeout: {timeout:.0f} seconds): url={url}\n")
    deadline = clock.monotonic() + timeout
    reason = ""
    while clock.monotonic() < deadline:
        reason = _ask(url)
        if not reason:
            _say("Dapr is outbound ready!")
            return True
        _say(f"Dapr outbound NOT ready yet: {reason}")
        clock.block(_PERIOD)
    _say(f"timeout waiting for Dapr to become outbound ready. Last error: {reason}")
    return False


def _ask(url: str) -> str:
    """Why the sidecar is not ready, or nothing."""
    try:
        with urllib.request.urlopen(url, timeout=_ATTEMPT_TIMEOUT) as answer:  # noqa: S310 - always http://localhost
            return "" if answer.status == HTTPStatus.NO_CONTENT else f"unexpected status code: {answer.status}"
    except (OSError, http.client.HTTPException) as error:
        return f'Get "{url}": {error}'


def _say(line: str) -> None:
    # stdout stays free for the application's command
    print(line, file=sys.stderr)  # noqa: T201
