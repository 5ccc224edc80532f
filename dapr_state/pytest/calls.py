"""What the sidecar's API and the application were asked during a test."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from dapr_state.pytest.client import Client


@dataclass(frozen=True)
class Call:
    """`api` is `state`, `actors`, …, and `app` for what the application was asked; `took` is in seconds."""

    api: str
    operation: str
    target: str
    code: str
    took: float
    error: str = ""
    transport: str = ""


class Calls:
    """All since the test began, in the order in which they ended."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._behind = ""

    def __repr__(self) -> str:
        return f"<Calls {list(self)}>"

    def __iter__(self) -> Iterator[Call]:
        return iter([_call(told) for told in self._told()])

    def __len__(self) -> int:
        return len(self._told())

    def __getitem__(self, at: int) -> Call:
        return list(self)[at]

    def clear(self) -> None:
        """Forget those so far."""
        if told := self._told():
            self._behind = told[-1]["id"]

    def begin(self) -> None:
        """Another test begins."""
        self._behind = ""

    def _told(self) -> list[Any]:
        told: list[Any] = self._client.ask("GET", "test/calls", fromEvent=self._behind).get("calls", [])
        behind = int(self._behind or 0)
        return [each for each in told if int(each["id"]) > behind]


def _call(told: Any) -> Call:
    return Call(
        told["api"],
        told["operation"],
        told["target"],
        told["code"],
        float(told["took"].removesuffix("s")),
        told.get("error", ""),
        told.get("transport", ""),
    )
