"""A sidecar, ours or daprd, beside an application that hosts actors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from tests.support.components import component
from tests.support.http import ask
from tests.support.processes import Process, free_port
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.support.redis import RedisServer


@dataclass(frozen=True)
class ControlPlane:
    """What daprd needs to host actors."""

    daprd: Path
    placement: str
    scheduler: str


def sidecar(
    folder: Path,
    plane: ControlPlane | None,
    app_port: int,
    *flags: str,
    redis: RedisServer | None = None,
    more: Sequence[Mapping[str, Any]] = (),
) -> Sidecar:
    """Ours, or daprd where there is a control plane; actor state is in a file of the folder, or in a Redis.

    `more`: what else is in the folder of resources.
    """
    kind, where = "state.sqlite", {"connectionString": str(folder / "actors.db")}
    if redis:
        kind, where = "state.redis", {"redisHost": redis.address}
    documents = [component("statestore", kind, actorStateStore="true", **where), *more]
    flags = ("--app-port", str(app_port), *flags)
    if plane is None:
        return Sidecar(folder, documents, flags=flags)
    flags += ("--placement-host-address", plane.placement, "--scheduler-host-address", plane.scheduler)
    return Daprd(plane.daprd, folder, documents, flags=flags)


def hosted(server: Sidecar) -> set[str]:
    """The actor types that it hosts at this moment."""
    runtime = ask(server.http_port, "GET", "/v1.0/metadata").json.get("actorRuntime", {})
    if not runtime.get("hostReady"):
        return set()
    return {each["type"] for each in runtime.get("activeActors", ())}


class Application(Process):
    """An application of an SDK: it is told where its sidecar is as Dapr tells it, and asks it before it is up."""

    def __init__(
        self, command: Sequence[str | Path], folder: Path, server: Sidecar, environment: Mapping[str, str] | None = None
    ) -> None:
        port = server.command[server.command.index("--app-port") + 1]
        ports = {
            "APP_PORT": port,
            "DAPR_HTTP_PORT": str(server.http_port),
            "DAPR_GRPC_PORT": str(server.grpc_port),
            "DAPR_HEALTH_TIMEOUT": "30",
        }
        super().__init__(command, folder / f"application-{port}.log", {**ports, **(environment or {})})


class Hosting:
    """A sidecar and an application that wait for each other, up when the actor types are hosted."""

    def __init__(
        self,
        folder: Path,
        plane: ControlPlane | None,
        command: Sequence[str | Path],
        *types: str,
        flags: Sequence[str] = (),
    ) -> None:
        self.sidecar = sidecar(folder, plane, free_port(), *flags)
        self.app = Application(command, folder, self.sidecar)
        self._types = set(types)

    def __enter__(self) -> Self:
        try:
            self.sidecar.launch()
            self.app.launch()
            self.wait_ready()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()

    def wait_ready(self) -> None:
        self.sidecar.wait_ready()
        until(self._is_hosting, 30, what=f"{self._types} are hosted:\n{self.app.log()}")

    def close(self) -> None:
        self.app.close()
        self.sidecar.close()

    def _is_hosting(self) -> bool:
        return self._types <= hosted(self.sidecar)
