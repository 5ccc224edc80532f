"""A `run` in a process of its own, as a script starts it or in a terminal, and what it leaves behind."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

from tests.support.processes import ROOT_VARIABLES
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Sequence

PORTS = ("-H", "0", "-G", "0")
APP = Path(__file__).parent / "app.py"


def command(*words: str) -> list[str]:
    ports = () if "-f" in words else PORTS  # a run file's sidecars find theirs
    return [sys.executable, "-m", "dapr_state", "run", *ports, *words]


def environment(folder: Path, **more: str) -> dict[str, str]:
    bare = {name: os.environ[name] for name in ROOT_VARIABLES if name in os.environ}
    return {**bare, "HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": str(Path.cwd()), **more}


def run(folder: Path, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """One that ends by itself."""
    return subprocess.run(
        command(*words),
        cwd=folder,
        env=environment(folder, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def ask(folder: Path, *words: str) -> tuple[int, str]:
    """Another command: the exit code, and both outputs."""
    done = subprocess.run(
        [sys.executable, "-m", "dapr_state", *words],
        env=environment(folder),
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stdout + done.stderr


def app(*words: str) -> list[str]:
    """A program for a `run`: see app.py."""
    return ["--", sys.executable, str(APP), *words]


def called(http: int, kind: str) -> object:
    """What the application answers to a call of an actor of this type; None if it does not."""
    url = f"http://127.0.0.1:{http}/v1.0/actors/{kind}/1/method/m"
    try:
        with urllib.request.urlopen(urllib.request.Request(url, b"", method="PUT"), timeout=10) as answer:
            return json.load(answer)
    except urllib.error.HTTPError:
        return None


def processes(run: int) -> list[int]:
    """All that a `run` of this number has started and that still lives, by the variable that it gives them."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        try:
            variables = (path / "environ").read_bytes().split(b"\0")
            state = (path / "stat").read_text().rpartition(") ")[2][0]
        except OSError:
            continue
        if f"DAPR_STATE_RUN={run}".encode() in variables and state != "Z":
            found.append(int(path.name))
    return found


class Started:
    """One that is ended by the test; `text` is all that it has said so far."""

    def __init__(self, folder: Path, *words: str, **more: str) -> None:
        self._folder = folder
        self._process = subprocess.Popen(
            command(*words),
            cwd=folder,
            env=environment(folder, **more),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        self.pid = self._process.pid
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        until(lambda: not processes(self.pid), what="nothing is left")
        self._reader.join()
        if self._process.stdout:
            self._process.stdout.close()

    def says(self, text: str) -> None:
        try:
            until(lambda: text in self.text)
        except TimeoutError:
            raise TimeoutError(f"{text!r} is not in {self.text!r}") from None

    def ask(self, *words: str) -> tuple[int, str]:
        return ask(self._folder, *words)

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def code(self) -> int:
        return self._process.wait(20)

    def _read(self) -> None:
        output = self._process.stdout
        while output and (piece := output.read1(65536)):  # type: ignore[attr-defined]
            self.text += piece.decode(errors="replace")


class InTerminal:
    """One whose terminal is this test."""

    def __init__(self, folder: Path, words: Sequence[str]) -> None:
        self.pid, self.descriptor = pty.fork()
        if not self.pid:
            os.chdir(folder)
            os.execve(sys.executable, command(*words), environment(folder, TERM="dumb"))
        self.text = ""
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        for pid in (*processes(self.pid), self.pid):
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._reader.join(10)
        os.close(self.descriptor)

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def says(self, text: str) -> None:
        try:
            until(lambda: text in self.text)
        except TimeoutError:
            raise TimeoutError(f"{text!r} is not in {self.text!r}") from None

    def code(self) -> int:
        return os.waitstatus_to_exitcode(self._wait(0))

    def is_stopped(self) -> bool:
        return os.WIFSTOPPED(self._wait(os.WUNTRACED))

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def _wait(self, options: int) -> int:
        found: list[int] = []

        def look() -> bool:
            pid, status = os.waitpid(self.pid, options | os.WNOHANG)
            found[:] = [status]
            return bool(pid)

        until(look, 20, what=f"an end after {self.text!r}")
        return found[0]

    def _read(self) -> None:
        with suppress(OSError):  # which is how Linux says that this is the end
            while piece := os.read(self.descriptor, 65536):
                self.text += piece.decode(errors="replace")
