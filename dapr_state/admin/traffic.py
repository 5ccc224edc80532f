"""Calls as they end, for whoever looks: never values, at most so many a second, and nothing where nobody looks."""

from __future__ import annotations

import asyncio
import os
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state import errors
from dapr_state.admin import feed
from dapr_state.admin.messages import seconds_of, set_duration, set_time, text
from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from dapr_state.observability.tap import Ended, Tap

SAMPLE: Final = 20  # events a second, if nothing else is asked for
SAMPLE_AT_MOST: Final = 1000  # a page could not show more, nor anybody read them
WAITING_AT_MOST: Final = 1000  # of one listener: what comes then is counted, not kept

_EPOCH: Final = os.urandom(4).hex()


class TrafficAdmin:
    def __init__(self, tap: Tap) -> None:
        self._tap = tap
        self._numbers = count(1)
        self._listeners: set[_Listener] = set()
        self._is_closed = False

    def __repr__(self) -> str:
        return f"<TrafficAdmin of {len(self._listeners)} listeners>"

    def close(self) -> None:
        """End all listening: the sidecar stops."""
        self._is_closed = True
        for listener in self._listeners:
            listener.news.set()

    async def traffic(self, request: Any) -> AsyncIterator[Any]:
        if len(self._listeners) >= feed.WATCHERS_AT_MOST:
            raise errors.ADMIN_WATCHERS(limit=feed.WATCHERS_AT_MOST)
        listener = _Listener(request)
        self._listeners.add(listener)
        self._tap.listeners.append(listener.take)
        try:
            while not self._is_closed:
                listener.news.clear()
                while listener.waiting:
                    yield self._event(*listener.waiting.popleft())
                await listener.news.wait()
        finally:
            self._listeners.discard(listener)
            self._tap.listeners.remove(listener.take)

    def _event(self, ended: Ended, dropped: int) -> Any:
        event = admin_pb2.TrafficEvent(
            id=f"{_EPOCH}.{next(self._numbers)}",
            transport=ended.transport,
            api=ended.api,
            operation=ended.operation,
            target=text(ended.target),
            code=ended.code,
            request_bytes=ended.received,
            response_bytes=ended.sent,
            error=text(ended.error),
            trace_id=ended.trace_id,
            caller=ended.caller,
            dropped=dropped,
        )
        set_time(event.at, ended.at)
        set_duration(event.took, ended.seconds)
        return event


class _Listener:
    """One who looks: what he wants, and how many he has had in this second."""

    def __init__(self, request: Any) -> None:
        self.news = asyncio.Event()
        self.waiting: deque[tuple[Ended, int]] = deque()
        self._apis = frozenset(request.apis)
        self._failures_only = request.failures_only
        self._slower = seconds_of(request, "slower_than", 0.0)
        self._per_second = min(request.sample_per_second or SAMPLE, SAMPLE_AT_MOST)
        self._second = -1
        self._taken = 0
        self._dropped = 0

    def take(self, ended: Ended) -> None:
        if (self._failures_only and not ended.is_failed) or ended.seconds < self._slower:
            return
        if self._apis and ended.api not in self._apis:
            return
        second = int(WAITING.monotonic())
        if second != self._second:
            self._second, self._taken = second, 0
        if self._taken >= self._per_second or len(self.waiting) >= WAITING_AT_MOST:
            self._dropped += 1
            return
        self._taken += 1
        self.waiting.append((ended, self._dropped))
        self._dropped = 0
        self.news.set()
