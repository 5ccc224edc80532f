"""The actors of an application that ends: it is called once more for each, as long as it can be."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from typing import TYPE_CHECKING

import pytest

from tests.runtime.run.runs import InTerminal, Started, app, ask, called, processes
from tests.support.processes import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")

ENDED = "ended /actors/A/1"
COMPLAINT = re.compile(r"dapr │ .*level=(?:error|warn)")


def _words() -> list[str]:
    port = str(free_port())
    return ["-a", "x", "-p", port, *app("hosts", port, "A")]


def _active(folder: Path) -> None:
    """One actor is."""
    (listed,) = json.loads(ask(folder, "list", "-o", "json")[1])
    until(lambda: called(listed["httpPort"], "A"))


@pytest.mark.parametrize("how", ["SIGINT", "stop"])
def test_they_end_before_it(tmp_path: Path, how: str) -> None:
    """While it still answers; no call of them fails."""
    with Started(tmp_path, *_words()) as started:
        started.says("up and running")
        _active(tmp_path)
        if how == "stop":
            assert ask(tmp_path, "stop", "x") == (0, "")
        else:
            started.send(signal.Signals[how])
        started.code()

        assert ENDED in started.text
        assert not COMPLAINT.search(started.text)


def test_callers_wait_for_the_next_one(tmp_path: Path) -> None:
    """Between a crash and the start after it nobody is called in vain."""
    with Started(tmp_path, "--restart", "always", *_words()) as started:
        started.says("up and running")
        (listed,) = json.loads(ask(tmp_path, "list", "-o", "json")[1])
        until(lambda: called(listed["httpPort"], "A"))
        os.kill(listed["appPid"], signal.SIGKILL)
        started.says("it starts again in 1 s")
        answer = called(listed["httpPort"], "A")

        assert answer == ["A"]
        assert not COMPLAINT.search(started.text)
        assert ask(tmp_path, "stop", "x") == (0, "")


def test_ctrl_c_in_a_terminal(tmp_path: Path) -> None:
    """It goes to the application itself: when that has ended nobody calls it in vain."""
    with InTerminal(tmp_path, _words()) as terminal:
        terminal.says("up and running")
        _active(tmp_path)
        terminal.type("\x03")

        assert terminal.code() == 130
        assert not COMPLAINT.search(terminal.text)
        until(lambda: not processes(terminal.pid))
