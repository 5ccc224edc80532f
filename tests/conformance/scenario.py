"""A scenario: steps taken one after the other, and for each a line of text that can be compared with daprd's."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

    Step = Callable[[Any], Any]  # takes a scene, gives what the scene can show

# what no two servers can have in common
RANDOM = (
    (re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), "TIME"),
    (re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d+ \+0000 UTC( m=\+[\d.]+)?"), "TIME"),
    (re.compile(r"\b[0-9a-f]{40}\b"), "SHA"),
    (re.compile(r"\n"), r"\\n"),
)


class Scene(Protocol):
    """Where a scenario plays: one server, and names that no other scenario uses."""

    def shown(self, answer: Any) -> str:
        """The answer as text, without those names."""
        ...


@dataclass(frozen=True)
class Scenario:
    name: str
    steps: tuple[Step, ...]

    def play(self, scene: Scene) -> list[str]:
        """Take the steps and return one line for each, without what is random."""
        return [without_random(scene.shown(step(scene))) for step in self.steps]


def scenario(name: str, *steps: Step) -> Scenario:
    return Scenario(name, steps)


def without_random(line: str) -> str:
    for pattern, name in RANDOM:
        line = pattern.sub(name, line)
    return line
