"""What an attack costs: the memory of the sidecar, and how long a bystander waits for an answer meanwhile."""

from __future__ import annotations

import os
import threading
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fairness.attacks import ATTACKS, Scene
from tests.support.components import component
from tests.support.http import Socket, request
from tests.support.rawapp import RawApp
from tests.support.sidecar import Sidecar
from tests.support.stores import one_of_each

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.redis import RedisServer

MEGABYTE = 1_000_000
PAGE = os.sysconf("SC_PAGE_SIZE")
CHECK_INTERVAL = 0.02  # seconds between two looks at the memory, and between two questions of the bystander


def resident(sidecar: Sidecar) -> float:
    """Megabytes that the process has in memory."""
    return int(Path(f"/proc/{sidecar.pid}/statm").read_text().split()[1]) * PAGE / MEGABYTE


@dataclass
class Cost:
    """Megabytes, and seconds."""

    idle: float
    highest: float = 0.0
    waits: list[float] = field(default_factory=list)
    unanswered: int = 0

    def wait(self, share: float) -> float:
        """What this share of the bystander's questions had waited at most."""
        ordered = sorted(self.waits) or [float("inf")]
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Meters:
    """Two threads beside an attack: one looks at the memory, the other is the bystander."""

    def __init__(self, sidecar: Sidecar) -> None:
        self.cost = Cost(resident(sidecar))
        self._sidecar = sidecar
        self._is_over = threading.Event()

    def __enter__(self) -> Cost:
        self._threads = [threading.Thread(target=each) for each in (self._check, self._ask)]
        for thread in self._threads:
            thread.start()
        return self.cost

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        for thread in self._threads:
            thread.join()

    def _check(self) -> None:
        while not self._is_over.wait(CHECK_INTERVAL):
            self.cost.highest = max(self.cost.highest, resident(self._sidecar))

    def _ask(self) -> None:
        octets = request("GET", "/v1.0/state/mem/bystander")
        with ExitStack() as stack:
            connection: Socket | None = None
            while not self._is_over.wait(CHECK_INTERVAL):
                began = time.perf_counter()
                try:
                    connection = connection or stack.enter_context(Socket(self._sidecar.http_port))
                    connection.send(octets).answer()
                except OSError:
                    connection = None
                    self.cost.unanswered += 1
                self.cost.waits.append(time.perf_counter() - began)


@contextmanager
def scene(folder: Path, redis: RedisServer, seconds: float, *, with_app: bool) -> Iterator[Scene]:
    """A sidecar with a store of every kind, warm; and an application with actors, where it is wanted."""
    with ExitStack() as stack:
        app = stack.enter_context(RawApp(folder, {"entities": ["cart"]})) if with_app else None
        components = one_of_each(folder, redis, 6)
        components.append(
            component("actors", "state.sqlite", connectionString=str(folder / "actors.db"), actorStateStore="true")
        )
        flags = ["--app-port", str(app.port)] if app else []
        sidecar = stack.enter_context(Sidecar(folder, components, flags=flags))
        with Socket(sidecar.http_port) as connection, sidecar.client() as client:
            for store in ("mem", "lite", "redis"):
                connection.send(request("POST", f"/v1.0/state/{store}", '[{"key":"k","value":1}]')).answer()
                assert client.get(store, "k").ok
        yield Scene(sidecar, redis, folder / "state.db", app, seconds)


def attack(place: Scene, name: str) -> Cost:
    """Run one, beside the meters."""
    with Meters(place.sidecar) as cost:
        place.begin()
        ATTACKS[name](place)
    return cost
