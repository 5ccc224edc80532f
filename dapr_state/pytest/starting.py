"""Starts sidecars for the fixtures, and ends them: those of the session, and those that a test asks for."""

from __future__ import annotations

import os
import shlex
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.pytest import components as files
from dapr_state.pytest.ports import Ports, app_id_of
from dapr_state.pytest.process import Process, Settings, default_command
from dapr_state.pytest.sidecar import Dapr

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class Sidecars:
    """`start` as many as are needed; all are stopped by `close`."""

    def __init__(self, config: pytest.Config, folder: Path) -> None:
        self._config = config
        self._folder = folder
        self._numbers = count()
        self._started: list[Dapr] = []

    def __repr__(self) -> str:
        return f"<Sidecars {len(self._started)}>"

    def start(
        self,
        components: Sequence[Any] = (files.DEFAULT,),
        *,
        config: Sequence[Any] = (),
        flags: Sequence[str] = (),
        env: Mapping[str, str] | None = None,
        app_id: str | None = None,
        command: Sequence[str] | None = None,
        ports: Ports | None = None,
    ) -> Dapr:
        """One more, with these components: paths, texts, or `Component(...)`. It is emptied by nobody."""
        folder = self._folder / str(next(self._numbers))
        settings = Settings(
            command or command_of(self._config),
            files.write(components, folder / "components"),
            _written(config, folder / "config"),
            tuple(flags),
            dict(env or {}),
            app_id or app_id_of(self._config),
        )
        ports = ports or Ports(3)
        process = Process(settings, ports.numbers, folder / "sidecar.log")
        ports.release()
        process.start()
        dapr = Dapr(process.http_port, process.grpc_port, settings.app_id, process)
        self._started.append(dapr)
        return dapr

    def close(self) -> None:
        """All are closed, though one cannot be."""
        with ExitStack() as closing:
            while self._started:
                closing.callback(self._started.pop(0).close)


def command_of(config: pytest.Config) -> list[str]:
    """By the command line, the environment, the ini file, or what there is."""
    given = config.getoption("dapr_command") or os.environ.get("DAPR_STATE_COMMAND")
    words = shlex.split(given) if given else list(config.getini("dapr_command"))
    return words or default_command()


def _written(given: Sequence[Any], folder: Path) -> list[Path]:
    found: list[Path] = []
    for number, each in enumerate(given):
        if isinstance(each, str) and "\n" in each:
            folder.mkdir(parents=True, exist_ok=True)
            path = folder / f"{number}.yaml"
            path.write_text(each)
            found.append(path)
        else:
            found.append(each)
    return found


def running(config: pytest.Config) -> Dapr:
    """One that somebody else has started. Raises UsageError if it is not told where, or is in no test mode."""
    http_port, grpc_port = config.getoption("dapr_http_port"), config.getoption("dapr_grpc_port")
    if not http_port:
        raise pytest.UsageError("dapr_noproc wants --dapr-http-port (and --dapr-grpc-port) of a sidecar that runs")
    found = Dapr(http_port, grpc_port or 0, "", None, os.environ.get("DAPR_API_TOKEN", ""))
    told = found.metadata()
    if told.get("extended", {}).get("testMode") != "true":
        raise pytest.UsageError(f"the sidecar at port {http_port} was not started with --test-mode")
    found.app_id = told["id"]
    return found
