"""Reads differences.txt, the table of the calls that we answer otherwise than daprd on purpose."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from tests.support.sidecar import GRPC_SERVERS

TABLE = Path(__file__).with_name("differences.txt")


@dataclass
class Difference:
    """`call` counts from 0 within the scenario; `daprd` has its answer for each store that the row is about.

    `ours` is the answer of a sidecar whose gRPC server is one of `servers`; of several rows, the last one counts.
    """

    rule: str
    scenario: str
    call: int
    ours: str = ""
    daprd: dict[str, str] = field(default_factory=dict)
    servers: tuple[str, ...] = GRPC_SERVERS

    def __repr__(self) -> str:
        only = "" if self.servers == GRPC_SERVERS else f" ({'+'.join(self.servers)})"
        return f"{self.scenario} {self.call} {'+'.join(self.daprd)}{only}"


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
                rows[-1].daprd |= dict.fromkeys(who.split("+"), answer)
        elif line and not line.startswith("#"):
            scenario, _, call = line.rpartition(" ")
            rows.append(Difference(rule, scenario, int(call)))
    return rows


ALL = read(TABLE.read_text())


def same(one: str, other: str) -> bool:
    """Equal, but for the order of the causes: daprd names those of a call of many items as they happen to come."""
    return one == other or (r"\n" in one and sorted(_words(one)) == sorted(_words(other)))


def _words(answer: str) -> list[str]:
    return answer.replace(r"\n", " ").split()
