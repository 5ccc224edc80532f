"""Whether the application is well: it is asked again and again, and some failures in a row make it unwell."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.app.model import AppError
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from dapr_state.app.client import Client
    from dapr_state.clock import WaitingClock

log = logging.getLogger("dapr.apphealth")

_SUCCESSES: Final = range(200, 300)


class UnwellError(Exception):
    """A probe that failed; the text says how, as daprd's log does."""


class Pace(Struct, frozen=True):
    """Times in seconds; so many failures in a row make the application unwell."""

    interval: float = 5.0
    timeout: float = 0.5
    threshold: int = 3


class HealthCheck:
    """The application is unwell until its first success; `changed` is called with each change, and awaited."""

    def __init__(
        self,
        probe: Callable[[], Awaitable[None]],
        pace: Pace,
        changed: Callable[[bool], Awaitable[None]],
        clock: WaitingClock = WAITING,
    ) -> None:
        """`probe` raises UnwellError or AppError."""
        self._probe = probe
        self._pace = pace
        self._changed = changed
        self._clock = clock
        self._failures = 0
        self.is_well = False

    def __repr__(self) -> str:
        return f"<HealthCheck {'well' if self.is_well else 'unwell'}, {self._failures} failures>"

    async def run(self) -> None:
        """Ask for ever: at once, and then at every interval, never twice at a time."""
        while True:
            began = self._clock.monotonic()
            await self._note(await self._ask())
            await self._clock.sleep_until(began + self._pace.interval)

    async def _ask(self) -> str:
        """Why the application is not well; empty if it is."""
        try:
            async with self._clock.timeout(self._pace.timeout):
                await self._probe()
        except UnwellError as error:
            return str(error)
        except AppError as error:
            return f"Network error: {error}"
        except TimeoutError:
            return "Network error: context deadline exceeded"
        return ""

    async def _note(self, problem: str) -> None:
        self._failures = self._failures + 1 if problem else 0
        if not problem and not self.is_well:
            log.info("App entered healthy status")
            self.is_well = True
            await self._changed(True)
        elif self.is_well and self._failures >= self._pace.threshold:
            log.warning("App entered un-healthy status: %s", problem)
            self.is_well = False
            await self._changed(False)


async def probe_http(client: Client, path: str) -> None:
    """Any status of the 200s is a success. Raises UnwellError or AppError."""
    reply = await client.send("GET", path if path.startswith("/") else f"/{path}", ())
    if reply.status not in _SUCCESSES:
        raise UnwellError(f"Health check failed with status code: {reply.status}")


_GRPC_PATH: Final = "/dapr.proto.runtime.v1.AppCallbackHealthCheck/HealthCheck"
_GRPC_HEADERS: Final = (("Content-Type", "application/grpc"), ("TE", "trailers"))
_EMPTY_MESSAGE: Final = bytes(5)  # not compressed, no bytes


async def probe_grpc(client: Client) -> None:
    """Raises UnwellError or AppError. `client` speaks HTTP/2."""
    reply = await client.send("POST", _GRPC_PATH, _GRPC_HEADERS, _EMPTY_MESSAGE)
    told = dict(reply.headers)
    if told.get(b"grpc-status") != b"0":
        status, message = (told.get(name, b"").decode(errors="replace") for name in (b"grpc-status", b"grpc-message"))
        raise UnwellError(f"rpc error: code = {status or 'Unknown'} desc = {message}")
