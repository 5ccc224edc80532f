"""The sidecar's process: how it is started, watched, stopped, killed and paused, and what it writes."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from dapr_state.pytest.client import SidecarEnded

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

START: Final = 30.0  # seconds until it must answer
STOP: Final = 10.0  # seconds until one that does not end is killed
LOOK_EVERY: Final = 0.005
LOOK: Final = 2.0  # seconds for an answer: whoever else listens there may give none
TOLD: Final = 4000  # characters of its log, where it ends by itself
# The sidecar ends when its input does: it outlives no test run, however that ends
ENDS_WITH_INPUT: Final = {"DAPR_STATE_ENDS_WITH_INPUT": "1"}
# What a developer's shell may say is not for the sidecar of a test
LEFT_OUT: Final = frozenset(
    {"DAPR_API_TOKEN", "APP_API_TOKEN", "NOTIFY_SOCKET", "DAPR_STATE_RUN", "DAPR_STATE_RUN_AS", "NAMESPACE"}
)
OF_THIS_PYTHON: Final = frozenset({"PYTHONPATH", "PYTHONHOME"})  # nor for one of another environment

_ERROR_LINE: Final = re.compile(r"^.*\blevel=(?:error|fatal)\b.*$", re.MULTILINE)


@dataclass(frozen=True)
class Settings:
    """What one sidecar is started with."""

    command: Sequence[str]
    folders: Sequence[Path]  # with component files
    config: Sequence[Path] = ()
    flags: Sequence[str] = ()
    env: Mapping[str, str] = field(default_factory=dict)
    app_id: str = "test"


def default_command() -> list[str]:
    """That of this environment, or the one on the PATH."""
    with suppress(ModuleNotFoundError):
        if importlib.util.find_spec("dapr_state.cli"):
            return [sys.executable, "-m", "dapr_state", "serve"]
    found = shutil.which("dapr-state")
    if found is None:
        raise FileNotFoundError(
            "there is no sidecar to test with: pip install dapr-state, "
            "or name a command with dapr_command, --dapr-command or DAPR_STATE_COMMAND, as in 'uvx dapr-state serve'"
        )
    return [found, "serve"]


class Process:
    """`start` it, and again after `stop` or `kill`: with the same ports and files."""

    def __init__(self, settings: Settings, ports: Sequence[int], log: Path) -> None:
        self.settings = settings
        self.http_port, self.grpc_port, self.app_port = ports
        self._log = log
        self._running: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Process {self.settings.app_id} {self._running.pid if self._running else 'not started'}>"

    @property
    def is_running(self) -> bool:
        return self._running is not None and self._running.poll() is None

    def start(self) -> None:
        """Return when it answers."""
        self.kill()  # what is left of one that has ended
        settings = self.settings
        words = [*settings.command, "--test-mode", "--app-id", settings.app_id]
        words += ["--dapr-http-port", str(self.http_port), "--dapr-grpc-port", str(self.grpc_port)]
        words += ["--app-port", str(self.app_port), "--enable-metrics=false"]
        words += ["--dapr-graceful-shutdown-seconds=1"]
        words += [word for folder in settings.folders for word in ("--resources-path", str(folder))]
        words += [word for file in settings.config for word in ("--config", str(file))]
        left_out = LEFT_OUT if settings.command[0] == sys.executable else LEFT_OUT | OF_THIS_PYTHON
        environment = {name: value for name, value in os.environ.items() if name not in left_out}
        with self._log.open("ab") as log:
            self._running = subprocess.Popen(  # noqa: S603 - the test's own command
                [*words, *settings.flags],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                env={**environment, **ENDS_WITH_INPUT, **settings.env},
                start_new_session=True,  # Ctrl-C is for pytest, which stops it then
            )
        until = time.monotonic() + START
        while not self._answers():
            if not self.is_running or time.monotonic() > until:
                why = self.why_gone() or f"the sidecar does not answer after {START:.0f} s:\n{self._tail()}"
                self.kill()
                raise SidecarEnded(why)
            time.sleep(LOOK_EVERY)

    def stop(self) -> None:
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        self._end(signal.SIGKILL)

    def pause(self, seconds: float) -> None:
        """It is there, and does nothing for so long."""
        if self._running:
            self._running.send_signal(signal.SIGSTOP)
            try:
                time.sleep(seconds)
            finally:
                self._running.send_signal(signal.SIGCONT)

    def why_gone(self) -> str:
        """How it has ended; nothing while it runs."""
        if self._running is None:
            return "the sidecar is not started"
        code = self._running.poll()
        if code is None:
            return ""
        how = f"was ended by {signal.Signals(-code).name}" if code < 0 else f"has ended with exit code {code}"
        return f"the sidecar {how}:\n{self._tail()}"

    def written(self) -> int:
        """How much it has written so far."""
        return self._log.stat().st_size if self._log.exists() else 0

    def log(self, since: int = 0) -> str:
        if not self._log.exists():
            return ""
        with self._log.open("rb") as log:
            log.seek(since)
            return log.read().decode(errors="replace")

    def errors(self, since: int) -> list[str]:
        """The lines of level error."""
        return _ERROR_LINE.findall(self.log(since)) if self.written() > since else []

    def _tail(self) -> str:
        return self.log()[-TOLD:].strip()

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.http_port), LOOK) as probe:
            probe.sendall(b"GET /v1.0/healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            return b" 204 " in probe.recv(64)
        return False

    def _end(self, number: signal.Signals) -> None:
        running, self._running = self._running, None
        if running is None:
            return
        if running.poll() is None:
            running.send_signal(number)
        try:
            running.wait(STOP)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
        if running.stdin:
            running.stdin.close()
