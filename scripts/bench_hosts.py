"""Actors on another host: two sidecars of ours beside two daprds, each pair under a placement service of its own.

Every call is made of the first sidecar, for an actor that lives on the second. The application of each is a small
asyncio server. Ratios above 1 mean that ours is ahead; rounds alternate. Needs wrk, daprd and its placement service.
"""

from __future__ import annotations

import re
import statistics
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from dapr_state.actors.placement.ring import Ring
from tests.support import oracle
from tests.support.cluster import TYPE, Member, wait_connected
from tests.support.control_plane import Placement, Sentry
from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Sequence

ACTORS = 100
CALLERS = (1, 32)
SECONDS = 3  # of a round
APP = Path(__file__).with_name("bench_app.py")


class App(Process):
    """What a Member asks of its application: a port."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        super().__init__([sys.executable, APP, str(self.port), TYPE], folder / f"app-{self.port}.log")


class Pair:
    """Two members, and a script for wrk that calls the actors of the second through the first."""

    def __init__(self, folder: Path, running: ExitStack, daprd: Path | None, sentry: Sentry | None) -> None:
        self.name = "daprd" if daprd else "ours"
        flags = sentry.flags if sentry else ()
        placement = running.enter_context(Placement(oracle.program("placement"), folder, *flags))
        self.members = [self._member(folder, running, placement.address, daprd, sentry) for _ in range(2)]
        wait_connected(*self.members)
        first, second = (member.name for member in self.members)
        ring = Ring((first, second), 100)
        ids = [each for each in map(str, range(10 * ACTORS)) if ring.owner(each) == second][:ACTORS]
        self._script = folder / f"{self.name}.lua"
        self._script.write_text(
            f"local ids = {{{', '.join(ids)}}}\nlocal n = 0\nrequest = function()\n  n = n + 1\n"
            f'  return wrk.format("PUT", "/v1.0/actors/{TYPE}/" .. ids[n % #ids + 1] .. "/method/ping",'
            ' {["content-type"] = "application/json"}, "{}")\nend\n'
        )

    @staticmethod
    def _member(folder: Path, running: ExitStack, placement: str, daprd: Path | None, sentry: Sentry | None) -> Member:
        app = running.enter_context(App(folder))
        flags = sentry.sidecar_flags if sentry else ()
        environment = sentry.environment if sentry else {}
        member = Member(folder, placement, daprd=daprd, app=app, flags=flags, environment=environment)  # type: ignore[arg-type]  # its port is all that is used
        return running.enter_context(member)

    def load(self, callers: int) -> tuple[float, float]:
        """Calls a second, and seconds of CPU of both sidecars for each."""
        before = self._cpu()
        url = f"http://127.0.0.1:{self.members[0].sidecar.http_port}"
        command = ["wrk", "-t1", f"-c{callers}", f"-d{SECONDS}", "-s", str(self._script), url]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        if "Non-2xx" in out:
            sys.exit(f"{self.name}: {out}")
        rate, total = re.findall(r"Requests/sec:\s+([\d.]+)", out)[0], re.findall(r"(\d+) requests in", out)[0]
        return float(rate), (self._cpu() - before) / int(total)

    def _cpu(self) -> float:
        tasks = [task for each in self.members for task in Path(f"/proc/{each.sidecar.pid}/task").iterdir()]
        return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks) / 1e9


def compare(folder: Path, rounds: int, *, secured: bool) -> None:
    with ExitStack() as running:
        sentry = running.enter_context(Sentry(folder)) if secured else None
        pairs = [Pair(folder, running, daprd, sentry) for daprd in (None, oracle.program("daprd"))]
        print("| callers | ours/s | daprd/s | ratio | CPU a call, us | daprd's |\n|--:|--:|--:|--:|--:|--:|")
        for callers in CALLERS:
            _compare(pairs, callers, rounds)


def _compare(pairs: Sequence[Pair], callers: int, rounds: int) -> None:
    for pair in pairs:
        pair.load(callers)  # warm
    found = [[pair.load(callers) for pair in pairs] for _ in range(rounds)]
    ratio = statistics.median(ours[0] / theirs[0] for ours, theirs in found)
    rates = [statistics.median(each[index][0] for each in found) for index in range(2)]
    costs = [statistics.median(each[index][1] for each in found) * 1e6 for index in range(2)]
    print(
        f"| {callers} | {rates[0]:.0f} | {rates[1]:.0f} | {ratio:.2f} | {costs[0]:.0f} | {costs[1]:.0f} |", flush=True
    )
