"""The cluster: a control plane of one or three each, a Redis for the state of actors, and hosts that come and go."""

from __future__ import annotations

import json
import sys
import time
from contextlib import ExitStack
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self

from tests.conformance.cluster.soak.app import TYPE
from tests.conformance.cluster.soak.checks import Outage, turns_of
from tests.support import oracle
from tests.support.components import component
from tests.support.control_plane import Placement, Placements, Scheduler, Schedulers, Sentry
from tests.support.http import Answer, Socket, ask, request
from tests.support.processes import Process, free_port
from tests.support.redis import RedisServer
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from tests.conformance.cluster.soak.checks import Turn
    from tests.conformance.cluster.soak.scenarios import Scenario

PROGRAM: Final = Path(__file__).with_name("app.py")
REMINDED: Final = 35.0  # seconds for a registration: schedulers have 30 of them, and may be without a leader for 24
JOINED: Final = 30.0  # seconds for a host to be up


class Host:
    """A sidecar and its application, which live and die together."""

    def __init__(self, name: str, kind: str, cluster: Cluster) -> None:
        self.name = name
        self.kind = kind
        folder = cluster.folder / name
        folder.mkdir()
        self._record = folder / "turns"
        port = self._app_port = free_port()
        store = component("statestore", "state.redis", redisHost=cluster.redis.address, actorStateStore="true")
        flags = ["--app-port", str(port), "--placement-host-address", cluster.placement.address]
        flags += ["--scheduler-host-address", cluster.scheduler.address]
        flags += cluster.sentry.sidecar_flags if cluster.sentry else ()
        environment = cluster.sentry.environment if cluster.sentry else {}
        if kind == "daprd":
            daprd = oracle.program("daprd")
            self.sidecar: Sidecar = Daprd(daprd, folder, [store], flags=flags, environment=environment)
        else:
            self.sidecar = Sidecar(folder, [store], flags=flags, environment=environment)
        self.app = Process(
            [sys.executable, PROGRAM, str(port), str(self.sidecar.http_port), self._record], folder / "app.log"
        )

    def __repr__(self) -> str:
        return f"<Host {self.name} {self.kind}>"

    def start(self) -> Self:
        self.app.launch()
        self.sidecar.start()
        until(self.is_connected, JOINED, what=f"{self} is in the cluster")
        return self

    def is_connected(self) -> bool:
        runtime = ask(self.sidecar.http_port, "GET", "/v1.0/metadata").json.get("actorRuntime", {})
        return bool(runtime.get("hostReady"))

    def call(self, actor: str, method: str = "add") -> Answer:
        return ask(self.sidecar.http_port, "PUT", f"/v1.0/actors/{TYPE}/{actor}/method/{method}", b"")

    def remind(self, actor: str, name: str, due_time: str) -> Answer:
        path = f"/v1.0/actors/{TYPE}/{actor}/reminders/{name}"
        with Socket(self.sidecar.http_port) as connection:
            connection.raw.settimeout(REMINDED)
            return connection.send(request("POST", path, json.dumps({"dueTime": due_time}))).answer()

    def count(self, actor: str) -> int:
        return int(ask(self.sidecar.http_port, "GET", f"/v1.0/actors/{TYPE}/{actor}/state/count").body or b"0")

    def turns(self) -> Iterator[Turn]:
        lines = self._record.read_bytes().splitlines() if self._record.exists() else []
        return turns_of(self.name, map(json.loads, lines))

    # What may become of it

    def kill(self) -> Outage:
        outage = Outage(self.name, time.monotonic())
        self.app.kill()
        self.sidecar.kill()
        return outage

    def stop(self) -> Outage:
        """By SIGTERM; its application serves until the sidecar has ended."""
        outage = Outage(self.name, time.monotonic(), is_sudden=False)
        self.sidecar.stop(timeout=30)
        self.app.kill()
        return outage

    def freeze(self, seconds: float, *, with_app: bool) -> Outage:
        outage = Outage(self.name, time.monotonic())
        self.sidecar.pause()
        if with_app:
            ask(self._app_port, "GET", "/dapr/config")  # whatever its sidecar has sent it has begun by the answer
            self.app.pause()
        time.sleep(seconds)
        if with_app:
            self.app.resume()
        outage.ended = time.monotonic()
        self.sidecar.resume()
        return outage

    def close(self) -> None:
        self.sidecar.close()
        self.app.close()


class Cluster:
    """`live` are the hosts that may be called."""

    def __init__(self, folder: Path, scenario: Scenario) -> None:
        self.folder = folder
        self.redis = RedisServer(folder)
        self.sentry = Sentry(folder) if scenario.secured else None
        flags = self.sentry.flags if self.sentry else ()
        placement, scheduler = oracle.program("placement"), oracle.program("scheduler")
        self.placement = (
            Placements(placement, folder, *flags) if scenario.placements > 1 else Placement(placement, folder, *flags)
        )
        self.scheduler = (
            Schedulers(scheduler, folder, *flags) if scenario.schedulers > 1 else Scheduler(scheduler, folder, *flags)
        )
        self._numbers = count(1)
        self.all: list[Host] = []
        self.live: tuple[Host, ...] = ()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for service in (self.redis, self.sentry, self.placement, self.scheduler):
                if service:
                    stack.enter_context(service)
            stack.callback(self._close)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def join(self, *kinds: str) -> Sequence[Host]:
        hosts = [Host(f"host{next(self._numbers)}-{kind}", kind, self) for kind in kinds]
        self.all += hosts
        for host in hosts:
            host.start()
        self.live = (*self.live, *hosts)
        return hosts

    def leave(self, host: Host) -> None:
        self.live = tuple(each for each in self.live if each is not host)

    def services(self, kind: str) -> Sequence[Process]:
        """Those of the control plane: "placement" or "scheduler"."""
        found = getattr(self, kind)
        return found.all if isinstance(found, Placements | Schedulers) else [found]

    def _close(self) -> None:
        for host in self.all:
            host.close()
