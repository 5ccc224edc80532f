"""What daprd needs before it hosts actors: Dapr's placement and scheduler services, each in its own process."""

from __future__ import annotations

import json
import re
import socket
import sys
from pathlib import Path
from typing import Self

from tests.support import oracle
from tests.support.http import ask
from tests.support.processes import Process, free_port

PROGRAM = Path(__file__).with_name("placement_program.py")


class _Service(Process):
    """`port` is where daprd finds it; its data is in `folder`."""

    def __init__(self, binary: Path, folder: Path, *flags: str, port: int = 0) -> None:
        self.port = port or free_port()
        self._health_port = free_port()
        command: list[str | Path] = [binary, "--port", str(self.port), "--healthz-port", str(self._health_port)]
        command += ["--metrics-port", str(free_port()), "--listen-address", "127.0.0.1", *flags]
        super().__init__(command, folder / f"{binary.name}-{self.port}.log", {"TMPDIR": str(folder)})

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            return ask(self._health_port, "GET", "/healthz").code == 200
        except OSError:
            return False


class Sentry(_Service):
    """It signs certificates: those of the control plane, and of whoever asks; its root is made anew."""

    def __init__(self, folder: Path, *, lifetime: str = "24h", jwks: str = "", port: int = 0) -> None:
        """`lifetime` is that of a certificate; with `jwks`, a set of keys, who asks needs a token signed by one."""
        self.credentials = folder / "credentials"
        self.credentials.mkdir()
        self._anchors = self.credentials / "ca.crt"
        config = folder / "sentry.yaml"
        mtls: dict[str, object] = {"enabled": True, "workloadCertTTL": lifetime, "allowedClockSkew": "1s"}
        if jwks:
            mtls["tokenValidators"] = [{"name": "JWKS", "options": {"source": jwks}}]
        document = {"apiVersion": "dapr.io/v1alpha1", "kind": "Configuration", "metadata": {"name": "daprsystem"}}
        config.write_text(json.dumps(document | {"spec": {"mtls": mtls}}))  # YAML, too
        flags = ("--config", str(config), "--issuer-credentials", str(self.credentials), "--trust-domain", "localhost")
        super().__init__(oracle.program("sentry"), folder, *flags, port=port)

    @property
    def flags(self) -> tuple[str, ...]:
        """What a service of the control plane is told."""
        return ("--tls-enabled", "--sentry-address", self.address, "--trust-anchors-file", str(self._anchors))

    @property
    def sidecar_flags(self) -> tuple[str, ...]:
        """What a sidecar is told."""
        return ("--enable-mtls", "--sentry-address", self.address)

    @property
    def environment(self) -> dict[str, str]:
        return {"DAPR_TRUST_ANCHORS": self._anchors.read_text()}


class Placement(_Service):
    """It says which sidecar hosts which actor."""

    def __init__(self, binary: Path, folder: Path, *flags: str) -> None:
        super().__init__(binary, folder, "--initial-cluster", f"dapr-placement-0=127.0.0.1:{free_port()}", *flags)


class Placements:
    """Three of them, of which one leads."""

    def __init__(self, binary: Path, folder: Path, *flags: str) -> None:
        peers = ",".join(f"p{number}=127.0.0.1:{free_port()}" for number in range(3))
        self.all = [
            _Service(binary, folder, "--id", f"p{number}", "--initial-cluster", peers, *flags) for number in range(3)
        ]
        self.address = ", ".join(each.address for each in self.all)

    def __enter__(self) -> Self:
        for each in self.all:
            each.launch()
        for each in self.all:
            each.wait_ready()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self.all:
            each.close()

    def leader(self, log: str) -> _Service:
        """The one that this log of a sidecar says it is connected to."""
        port = int(re.findall(r"Connected to placement service: \S*:(\d+)", log)[-1])
        return next(each for each in self.all if each.port == port)


class Scheduler(_Service):
    """It keeps the reminders, and says when they are due."""

    def __init__(self, binary: Path, folder: Path, *flags: str, number: int = 0, cluster: str = "") -> None:
        """`cluster` is what all that belong together are told of one another; empty: it is alone."""
        # certificates of schedulers name them as Kubernetes does
        name = f"dapr-scheduler-server-{number}"
        scheme = "https" if "--tls-enabled" in flags else "http"
        peers = cluster or f"{name}={scheme}://127.0.0.1:{free_port()}"
        data = str(folder / (f"etcd-{number}" if cluster else "etcd"))
        client_port = str(free_port())
        super().__init__(
            binary,
            folder,
            *("--id", name, "--etcd-data-dir", data, "--etcd-client-port", client_port),
            *("--etcd-initial-cluster", peers),
            *flags,
        )


class Schedulers:
    """Three of them, which share the reminders out."""

    def __init__(self, binary: Path, folder: Path, *flags: str) -> None:
        # in plain text between themselves: their certificates are for names that only Kubernetes finds
        peers = ",".join(f"dapr-scheduler-server-{number}=http://127.0.0.1:{free_port()}" for number in range(3))
        self.all = [Scheduler(binary, folder, *flags, number=number, cluster=peers) for number in range(3)]
        self.address = ",".join(each.address for each in self.all)

    def __enter__(self) -> Self:
        for each in self.all:
            each.launch()
        for each in self.all:
            each.wait_ready()
        return self

    def __exit__(self, *exception: object) -> None:
        for each in self.all:
            each.close()


class OwnPlacement(Process):
    """A simple one of ours, for machines that have not the real one."""

    def __init__(self, folder: Path, port: int = 0, hosts: int = 0) -> None:
        """`hosts` more are in its tables, of which nobody is there."""
        self.port = port or free_port()
        super().__init__(
            [sys.executable, PROGRAM, str(self.port), str(hosts)], folder / f"own-placement-{self.port}.log"
        )

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def is_ready(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
        except OSError:
            return False
        return True
