"""Reads a differences.txt: a table of the steps that we answer otherwise than daprd on purpose.

A row is the name of a scenario and the number of one of its steps, counted from 0; then our answer, and daprd's at the
places (the stores, mostly) that the row is about. Where no row says otherwise, both answer alike. Where the line of our
answer begins with the name of a gRPC server, the row is about that server alone. Above the rows stands the rule that
asks for them: the numbers are those of the README's table of differences.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.sidecar import GRPC_SERVERS
from tests.support.stores import GROUPED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.conformance.scenario import Scenario

ALIKE = {"redis": ("redis", *GROUPED)}  # what one of these says, all of them say


@dataclass
class Difference:
    """`daprd` has its answer for each place; of several rows, the last one counts."""

    rule: str
    scenario: str
    step: int
    ours: str = ""
    daprd: dict[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = GRPC_SERVERS

    def __repr__(self) -> str:
        only = "" if self.servers == GRPC_SERVERS else f" ({'+'.join(self.servers)})"
        return f"{self.scenario} {self.step} {'+'.join(self.daprd)}{only}"


@dataclass(frozen=True)
class Suite:
    """Scenarios that are played at each of `places`, and what is different there."""

    name: str
    scenarios: Sequence[Scenario]
    places: tuple[str, ...]
    differences: Sequence[Difference]

    @classmethod
    def of(cls, module: str, scenarios: Sequence[Scenario], places: tuple[str, ...]) -> Suite:
        """With the table that stands beside the module's file."""
        path = Path(module)
        return cls(path.parent.name, scenarios, places, read(path.with_name("differences.txt").read_text()))

    def number(self, scenario: Scenario) -> int:
        return self.scenarios.index(scenario)

    def expected(
        self, theirs: Sequence[str], scenario: Scenario, place: str, server: str = GRPC_SERVERS[0]
    ) -> list[str]:
        """Say what our answers are to be, given daprd's; a row whose daprd answers otherwise is out of date."""
        expected = list(theirs)
        for row in self.differences:
            if row.scenario == scenario.name and place in row.daprd and server in row.servers:
                assert same(theirs[row.step], row.daprd[place])
                expected[row.step] = row.ours
        return expected


def read(text: str) -> list[Difference]:
    rows: list[Difference] = []
    rule = ""
    for line in text.splitlines():
        if line.startswith("= "):
            rule = line[2:]
        elif line.startswith("  "):
            who, _, answer = line.strip().partition(": ")
            if who in GRPC_SERVERS:
                rows[-1].ours, rows[-1].servers = answer, (who,)
            elif who == "ours":
                rows[-1].ours = answer
            else:
                places = [place for each in who.split("+") for place in ALIKE.get(each, (each,))]
                rows[-1].daprd |= dict.fromkeys(places, answer)
        elif line and not line.startswith("#"):
            scenario, _, step = line.rpartition(" ")
            rows.append(Difference(rule, scenario, int(step)))
    return rows


def same(one: str, other: str) -> bool:
    """Equal, but for the order of the causes: daprd names those of a call of many items as they happen to come."""
    return one == other or (r"\n" in one and sorted(_words(one)) == sorted(_words(other)))


def all_same(some: Sequence[str], others: Sequence[str]) -> bool:
    return len(some) == len(others) and all(map(same, some, others))


def _words(answer: str) -> list[str]:
    return answer.replace(r"\n", " ").split()
