"""A program in a process of its own: started, watched, stopped, killed, paused; its output kept in a file."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from collections import deque
from typing import TYPE_CHECKING, Self

from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

ROOT_VARIABLES = ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")

# The system draws from some ten thousand ports: two of the thousands that a run asks for are soon the same.
_given: deque[int] = deque(maxlen=1000)


class EndedAtStart(Exception):
    """The program ended before it was ready; the text is all that it wrote."""


def free_port() -> int:
    """Give a port that nobody listens on at this moment, nor is about to: it was not given lately."""
    while True:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        if port not in _given:
            _given.append(port)
            return port


class Process:
    """One run of a program, in a bare environment: the developer's own settings do not leak in."""

    def __init__(self, command: Sequence[str | Path], log: Path, environment: Mapping[str, str] | None = None) -> None:
        self.command = [str(word) for word in command]
        self.log_file = log
        self._environment = {name: os.environ[name] for name in ROOT_VARIABLES if name in os.environ}
        self._environment["XDG_RUNTIME_DIR"] = str(log.parent)  # its registry is not the developer's
        self._environment |= environment or {}
        self._running: subprocess.Popen[bytes] | None = None
        self._log_start = 0  # where this run's output begins

    def __repr__(self) -> str:
        state = "not started" if self._running is None else f"pid {self._running.pid}"
        return f"<{type(self).__name__} {self.command[0]} {state}>"

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *exception: object) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: ended by that signal."""
        return self._process.poll()

    @property
    def _process(self) -> subprocess.Popen[bytes]:
        if self._running is None:
            raise RuntimeError(f"{self!r} was never started")
        return self._running

    def start(self) -> Self:
        """Start it, and return when it is ready."""
        self.launch()
        self.wait_ready()
        return self

    def launch(self) -> Self:
        """Start it and return at once; for what is not going to be ready."""
        with self.log_file.open("ab") as output:
            self._log_start = output.tell()
            self._running = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=self._environment
            )
        return self

    def wait_ready(self, timeout: float = 30) -> None:
        def ready() -> bool:
            if self.exit_code is not None:
                raise EndedAtStart(self.log())
            return self.is_ready()

        try:
            until(ready, timeout, what=f"{self!r} is ready")
        except BaseException:
            self.close()
            raise

    def is_ready(self) -> bool:
        return True

    def log(self) -> str:
        """Give what it wrote since it was last started."""
        with self.log_file.open("rb") as written:
            written.seek(self._log_start)
            return written.read().decode(errors="replace")

    def wait(self, timeout: float = 20) -> int:
        """Wait for its end, and return the exit code."""
        return self._process.wait(timeout)

    def stop(self, timeout: float = 20) -> int:
        """Ask it to end (SIGTERM), and return the exit code."""
        self.signal(signal.SIGTERM)
        return self.wait(timeout)

    def kill(self) -> None:
        """End it without a chance to clean up, as `kill -9` does."""
        self.signal(signal.SIGKILL)
        self.wait()

    def pause(self) -> None:
        """Leave it alive, with its connections open, but deaf (SIGSTOP)."""
        self.signal(signal.SIGSTOP)

    def resume(self) -> None:
        self.signal(signal.SIGCONT)

    def signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def close(self) -> None:
        """End it whatever its state."""
        if self._running is None or self.exit_code is not None:
            return
        self.resume()
        try:
            self.stop()
        except subprocess.TimeoutExpired:
            self.kill()
