"""What is asked of the schedulers: any of them answers for all.

Rules that a change must keep:
1. Every caller has an answer within LONGEST once a scheduler is known, and all who wait hold so many octets at most.
2. A call that failed for want of its scheduler is made again at each of the others. One that must not be done twice is
   only if it has not left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import grpc

from dapr_state.actors.gate import AwayError
from dapr_state.clock import WAITING
from dapr_state.golang import codes

if TYPE_CHECKING:
    from dapr_state.actors.scheduler.hosts import Hosts
    from dapr_state.clock import WaitingClock

LONGEST: Final = 30.0  # seconds: a scheduler that was killed answers 23 s after its start, once its lease is over
ATTEMPT: Final = 5.0  # seconds before another one is asked
PAUSE: Final = 0.1  # seconds after a scheduler that broke a call off, as one does that stops, or was too slow
OCTETS_AT_MOST: Final = 16 << 20  # of all that are under way; each is held twice until it has left
LEAST: Final = 4096  # what one is counted with at least: its buffers and objects
_UNSENT: Final = "connection error:"  # what the text begins with where no connection could be made
_PASSING: Final = (grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)


class CallError(Exception):
    """The scheduler has refused, or was not reached; as Go prints it."""

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(f"rpc error: code = {codes.shown(code.name)} desc = {details}")
        self.code = code


class Calls:
    """`ask` is all."""

    def __init__(self, hosts: Hosts, waiting: WaitingClock = WAITING) -> None:
        self._hosts = hosts
        self._waiting = waiting
        self._octets = 0

    def __repr__(self) -> str:
        return f"<Calls with {self._octets} octets to {self._hosts!r}>"

    async def ask(self, method: str, request: Any, *, is_repeatable: bool = True) -> Any:
        """Call this method of one of them. Raises CallError or AwayError."""
        octets = max(request.ByteSize(), LEAST)
        if self._octets + octets > OCTETS_AT_MOST:
            raise AwayError("too many calls wait for the scheduler")
        self._octets += octets
        try:
            await self._hosts.known(octets)
            return await self._ask(method, request, is_repeatable=is_repeatable)
        finally:
            self._octets -= octets

    async def _ask(self, method: str, request: Any, *, is_repeatable: bool) -> Any:
        ends = self._waiting.monotonic() + LONGEST
        failed: set[str] = set()
        while True:
            host = self._hosts.next(failed)
            left = ends - self._waiting.monotonic()
            is_only = not is_repeatable or len(self._hosts.connections) == 1
            try:
                return await getattr(host.stub, method)(request, timeout=left if is_only else min(left, ATTEMPT))
            except grpc.aio.AioRpcError as error:
                code, details = error.code(), error.details() or ""
            failed.add(host.address)
            if code is grpc.StatusCode.UNAVAILABLE:
                is_again = (is_repeatable or details.startswith(_UNSENT)) and self._hosts.has_others(failed)
            else:
                is_again = is_repeatable and code in _PASSING and ends - self._waiting.monotonic() > PAUSE
                await self._waiting.sleep(PAUSE if is_again else 0)
            if not is_again:
                raise CallError(code, details)
