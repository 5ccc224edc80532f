"""What the API and the application were asked since the test began, and how many calls of the API are under way."""

from __future__ import annotations

from collections import deque
from contextlib import contextmanager
from itertools import count
from typing import TYPE_CHECKING, Final

from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state.clock import VISIBLE, WAITING
from dapr_state.errors import DaprError, Grpc

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

KEPT: Final = 10_000  # calls: the oldest go first
LONGEST: Final = 200  # characters of a text that is kept of one


class Calls:
    def __init__(self) -> None:
        self._calls: deque[admin_pb2.TrafficEvent] = deque(maxlen=KEPT)
        self._numbers = count(1)
        self._under_way: dict[int, tuple[str, float]] = {}  # of the API
        self.answered = 0  # calls of the API so far
        self.on_end: Callable[[], object] = lambda: None

    def __repr__(self) -> str:
        return f"<Calls {len(self._calls)}, {len(self._under_way)} under way>"

    def clear(self) -> None:
        self._calls.clear()

    def behind(self, event: str) -> list[admin_pb2.TrafficEvent]:
        """All that are kept, or those behind the one with this id."""
        last = int(event) if event.isdecimal() else 0
        return [call for call in self._calls if int(call.id) > last]

    def busy(self) -> list[str]:
        """The calls of the API that are under way."""
        now = WAITING.monotonic()
        return [f"{what} for {now - began:.1f} s" for what, began in self._under_way.values()]

    @property
    def is_idle(self) -> bool:
        return not self._under_way

    @contextmanager
    def recorded(self, api: str, operation: str, target: str, transport: str = "") -> Iterator[admin_pb2.TrafficEvent]:
        """One call: what is raised is its outcome, unless the event is given another one."""
        number = next(self._numbers)
        event = admin_pb2.TrafficEvent(
            id=str(number), api=api, operation=operation, target=target[:LONGEST], transport=transport, code="OK"
        )
        event.at.FromNanoseconds(VISIBLE.nanoseconds())
        began = WAITING.monotonic_ns()
        if api != "app":
            self._under_way[number] = f"{operation} {target}".rstrip(), began / 1e9
        try:
            yield event
        except BaseException as error:
            event.error = str(error)[:LONGEST]
            event.code = error.row.code if isinstance(error, DaprError) else Grpc.UNKNOWN.name
            raise
        finally:
            event.took.FromNanoseconds(WAITING.monotonic_ns() - began)
            self._calls.append(event)
            if self._under_way.pop(number, None):
                self.answered += 1
            self.on_end()
