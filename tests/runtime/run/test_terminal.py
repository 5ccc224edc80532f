"""`run` in a terminal: it belongs to the application, and comes back."""

from __future__ import annotations

import fcntl
import signal
import struct
import sys
import termios
from typing import TYPE_CHECKING

import pytest

from tests.runtime.run.runs import InTerminal, app, processes
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")


def test_the_application_reads_the_terminal(tmp_path: Path) -> None:
    """As if it had been started without us."""
    with InTerminal(tmp_path, app("asks")) as terminal:
        terminal.says("name? ")
        terminal.type("Ada\n")

        assert terminal.code() == 0
        terminal.says("got Ada")


def test_a_breakpoint(tmp_path: Path) -> None:
    """The debugger has a prompt, and what is typed goes to it."""
    with InTerminal(tmp_path, app("breaks")) as terminal:
        terminal.says("(Pdb)")
        terminal.type("answer += 1\n")
        terminal.type("c\n")

        assert terminal.code() == 0
        terminal.says("answer 42")


def test_ctrl_c_is_for_the_application(tmp_path: Path) -> None:
    """It ends in its own way, while the sidecar still answers; nothing is left."""
    with InTerminal(tmp_path, app("saves")) as terminal:
        terminal.says("waiting")
        terminal.type("\x03")

        assert terminal.code() == 0
        terminal.says("at the end 204")
        until(lambda: not processes(terminal.pid))


def test_ctrl_c_twice(tmp_path: Path) -> None:
    """The second ends what the first has not: here the application asks again in its own way."""
    with InTerminal(tmp_path, app("asks_again")) as terminal:
        terminal.says("waiting")
        terminal.type("\x03")
        terminal.says("sure?")
        terminal.type("\x03")

        assert terminal.code() == 130
        until(lambda: not processes(terminal.pid))


def test_ctrl_z_and_back(tmp_path: Path) -> None:
    """The shell gets the terminal while both are stopped; then they go on."""
    with InTerminal(tmp_path, app("asks")) as terminal:
        terminal.says("name? ")
        terminal.type("\x1a")
        until(terminal.is_stopped)
        terminal.resume()
        terminal.type("Ada\n")

        assert terminal.code() == 0
        terminal.says("got Ada")


def test_a_window_that_changes(tmp_path: Path) -> None:
    """The application is told."""
    with InTerminal(tmp_path, app("resized")) as terminal:
        terminal.says("waiting")
        fcntl.ioctl(terminal.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 123, 0, 0))
        terminal.says("columns 123")
        terminal.type("\x03")

        assert terminal.code() == 128 + signal.SIGINT
