"""A sidecar whose event loop is watched: how long each thing that was asked of it held everybody else up."""

from __future__ import annotations

import json
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.http import ask
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from tests.support.components import Component

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "tests.support.watched_program"


@dataclass(frozen=True)
class Hold:
    """One turn of the loop, in seconds. `held` is what counts; the others tell what it was made of."""

    held: float  # run, or blocked
    used: float  # of a processor
    clock: float
    waited: float  # for a processor
    collecting: float  # garbage
    stacks: Sequence[tuple[str, int]]  # what was seen meanwhile, and how often

    def __str__(self) -> str:
        parts = f"{self.used * 1e3:.0f} of CPU, {self.collecting * 1e3:.0f} of it for garbage"
        seen = "\n".join(f"  seen {count} times\n{_indented(stack)}" for stack, count in self.stacks)
        return f"the loop was held {self.held * 1e3:.0f} ms ({parts})\n{seen}"


@dataclass
class Watch:
    """What `Watched.watch` has seen when it is over."""

    holds: list[Hold] = field(default_factory=list)

    @property
    def worst(self) -> float:
        return max((each.held for each in self.holds), default=0.0)

    @property
    def used(self) -> float:
        return max((each.used for each in self.holds), default=0.0)

    def __str__(self) -> str:
        return "\n".join(str(each) for each in sorted(self.holds, key=lambda hold: -hold.held)[:3])


class Watched(Sidecar):
    def __init__(
        self,
        folder: Path,
        components: Iterable[Component] = (),
        *,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        program: str = PROGRAM,
    ) -> None:
        self._holds, self._beats = folder / "holds", folder / "beats"
        self._holds.touch()
        self._beats.write_bytes(bytes(8))
        self.program = (sys.executable, "-m", program, self._holds, self._beats, "serve")
        super().__init__(folder, components, flags=flags, environment={"PYTHONPATH": str(ROOT), **(environment or {})})

    @contextmanager
    def watch(self) -> Iterator[Watch]:
        """Watch what the loop does from now on, until it has done all that the block asks of it."""
        watch = Watch()
        self._settle()
        began = self._holds.stat().st_size
        yield watch
        self._settle()
        with self._holds.open("rb") as file:
            file.seek(began)
            watch.holds = [Hold(**json.loads(line)) for line in file]

    def _settle(self) -> None:
        """Wait until the loop answers, and has turned often since."""
        ask(self.http_port, "GET", "/v1.0/healthz")
        seen = self._count()
        until(lambda: self._count() >= seen + 5, 30, what="the loop turns")

    def _count(self) -> int:
        return int.from_bytes(self._beats.read_bytes(), "little")


def _indented(text: str) -> str:
    return "\n".join(f"    {line.replace(f'{ROOT}/', '')}" for line in text.splitlines())
