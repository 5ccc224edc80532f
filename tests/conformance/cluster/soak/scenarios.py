"""Clusters, and what happens to them, as data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

# What a round may do, and how many seconds after it all reminders that are due have fired at most. A frozen sidecar is
# noticed by placement after 5 s and by the scheduler after 8 (placement.md 1.3, scheduler.md); a scheduler that was
# killed is replaced after 14 to 24 s (scheduler.md 1.4), and its own lease stands in its way when it is back: 32 s.
ACTIONS: Final = {
    "kill -9 a host": 10.0,
    "SIGTERM a host": 10.0,
    "SIGSTOP a sidecar": 20.0,
    "SIGSTOP a host": 20.0,
    "join": 5.0,
    "kill -9 a placement": 15.0,
    "SIGTERM a scheduler": 20.0,
    "kill -9 a scheduler": 45.0,
}
HOSTS: Final = ("kill -9 a host", "SIGTERM a host", "SIGSTOP a sidecar", "SIGSTOP a host", "join")
PLANE: Final = ("kill -9 a placement", "SIGTERM a scheduler", "kill -9 a scheduler")


@dataclass(frozen=True)
class Scenario:
    """`hosts` are "ours" or "daprd"; what happens to a host happens to one of ours."""

    hosts: tuple[str, ...]
    placements: int = 1
    schedulers: int = 1
    actions: tuple[str, ...] = HOSTS
    secured: bool = False  # by a sentry, all of them


SCENARIOS: Final = {
    "two of ours": Scenario(("ours", "ours")),
    "three of ours": Scenario(("ours", "ours", "ours")),
    "ours and daprd": Scenario(("ours", "daprd")),
    "two of ours and daprd": Scenario(("ours", "ours", "daprd")),
    "two of ours and daprd, secured": Scenario(("ours", "ours", "daprd"), secured=True),
    "two of ours, with services that end": Scenario(("ours", "ours"), actions=PLANE),
    "three of each": Scenario(("ours", "ours", "ours"), 3, 3, (*HOSTS, *PLANE)),
    "three of each, secured": Scenario(("ours", "ours", "ours"), 3, 3, (*HOSTS, *PLANE), secured=True),
}
