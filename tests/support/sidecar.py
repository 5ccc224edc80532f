"""Our sidecar and the real daprd, each in its own process and behind the same interface."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from tests.support.client import Client
from tests.support.components import write_components
from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    from tests.support.components import Component

READY = "dapr initialized. Status: Running"
GRPC_SERVERS = ("native", "grpcio")  # what may serve the gRPC API; the first is the default


class Sidecar(Process):
    """`dapr-state serve` with these components; `flags` are added to the ones that every sidecar here gets."""

    program: Sequence[str | Path] = (sys.executable, "-m", "dapr_state", "serve")

    def __init__(
        self,
        folder: Path,
        components: Iterable[Component] = (),
        *,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        app_id: str = "app",
        grpc_server: str = GRPC_SERVERS[0],
    ) -> None:
        self.grpc_port, self.http_port = free_port(), free_port()
        self.folder = folder
        self.app_id = app_id
        self.grpc_server = grpc_server
        name = f"{type(self).__name__.lower()}-{self.grpc_port}"
        self.resources = write_components(folder / f"{name}-resources", components)
        ports = {
            "--dapr-grpc-port": self.grpc_port,
            "--dapr-http-port": self.http_port,
            "--dapr-internal-grpc-port": free_port(),
            "--metrics-port": free_port(),
        }
        command = [*self.program, "--app-id", app_id, "--resources-path", self.resources]
        command += [str(word) for pair in ports.items() for word in pair]
        if grpc_server != GRPC_SERVERS[0]:
            command += ["--grpc-server", grpc_server]
        command += ["--dapr-listen-addresses", "127.0.0.1", *flags]
        # daprd asks the network for its own address unless it is told one
        super().__init__(command, folder / f"{name}.log", {"DAPR_HOST_IP": "127.0.0.1", **(environment or {})})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def is_ready(self) -> bool:
        return READY in self.log()

    def client(self) -> Client:
        return Client(self.grpc_port)


class Daprd(Sidecar):
    """The real one; `binary` comes from the fixture `daprd_binary`."""

    def __init__(
        self,
        binary: Path,
        folder: Path,
        components: Iterable[Component] = (),
        *,
        flags: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        app_id: str = "app",
    ) -> None:
        self.program = (binary,)
        super().__init__(folder, components, flags=flags, environment=environment, app_id=app_id)
