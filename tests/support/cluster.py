"""Several sidecars, each with an application that hosts actors, under one placement service."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any, Self

from tests.support.components import component
from tests.support.http import ask
from tests.support.rawapp import RawApp
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from pathlib import Path

    from tests.support.components import Component
    from tests.support.http import Answer

TYPE = "cart"


class Member:
    """A sidecar and its application; `daprd` is the binary where it is not ours."""

    def __init__(
        self,
        folder: Path,
        placement: str,
        *,
        types: Sequence[str] = (TYPE,),
        config: Mapping[str, Any] | None = None,
        daprd: Path | None = None,
        environment: Mapping[str, str] | None = None,
        app: RawApp | None = None,
        flags: Sequence[str] = (),
        store: Component | None = None,
    ) -> None:
        """`app` is one that somebody else has started: several may host on the same."""
        self._owns_app = app is None
        self.app = app or RawApp(folder, {"entities": [*types], **(config or {})})
        store = store or component("statestore", "state.in-memory", actorStateStore="true")
        flags = ("--app-port", str(self.app.port), "--placement-host-address", placement, *flags)
        if daprd:
            self.sidecar: Sidecar = Daprd(daprd, folder, [store], flags=flags, environment=environment)
        else:
            self.sidecar = Sidecar(folder, [store], flags=flags, environment=environment)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            if self._owns_app:
                stack.enter_context(self.app)
            stack.enter_context(self.sidecar)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @property
    def name(self) -> str:
        """What the table calls it."""
        command = self.sidecar.command
        return f"127.0.0.1:{command[command.index('--dapr-internal-grpc-port') + 1]}"

    @property
    def metrics_port(self) -> int:
        command = self.sidecar.command
        return int(command[command.index("--metrics-port") + 1])

    def runtime(self) -> dict[str, Any]:
        found: dict[str, Any] = ask(self.sidecar.http_port, "GET", "/v1.0/metadata").json.get("actorRuntime", {})
        return found

    def is_connected(self) -> bool:
        return bool(self.runtime().get("hostReady"))

    def call(self, actor: str, method: str = "m", body: bytes = b"", **headers: str) -> Answer:
        path = f"/v1.0/actors/{TYPE}/{actor}/method/{method}"
        return ask(self.sidecar.http_port, "PUT", path, body, **headers)

    @contextmanager
    def calling(self, actor: str, method: str = "m", body: bytes = b"", **headers: str) -> Iterator[Future[Answer]]:
        """The same, while the block runs."""
        with ThreadPoolExecutor(1) as pool:
            yield pool.submit(self.call, actor, method, body, **headers)

    def remind(self, actor: str, name: str, reminder: Mapping[str, object]) -> Answer:
        path = f"/v1.0/actors/{TYPE}/{actor}/reminders/{name}"
        return ask(self.sidecar.http_port, "POST", path, json.dumps(reminder))

    def ran(self) -> list[str]:
        """The ids of the actors whose methods its application was asked for."""
        return [each.target.split("/")[3] for each in self.app.seen("/method/")]


def wait_connected(*members: Member) -> None:
    """A sidecar is connected after the round that it joined in: by then all others have the same table."""
    for member in members:
        until(member.is_connected, what="placement is connected")
