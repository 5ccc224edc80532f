"""`list` and `stop`: they see what runs, and nothing else, and `stop` returns when it has ended."""

from __future__ import annotations

import json
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.runtime.run import daprd
from tests.runtime.run.runs import Started, app, ask, processes
from tests.support.configured import MEMORY
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")


def _listed(folder: Path) -> list[dict[str, Any]]:
    code, text = ask(folder, "list", "-o", "json")
    assert code == 0
    found: list[dict[str, Any]] = json.loads(text)
    return found


def test_nothing_runs(tmp_path: Path) -> None:
    """That is said, and is no error; an id that nothing has is one."""
    assert ask(tmp_path, "list") == (0, "No Dapr instances found.\n")
    assert ask(tmp_path, "stop", "x") == (1, "failed to stop app id x: couldn't find app id x\n")
    assert ask(tmp_path, "list", "-o", "xml") == (1, "An invalid output format was specified.\n")
    assert ask(tmp_path, "stop")[0] == 2


def test_a_run_is_listed_and_stopped(tmp_path: Path) -> None:
    """With its processes and command; when `stop` returns nothing of it is left, nor of what it has registered."""
    with Started(tmp_path, "-a", "shop", *app("waits")) as started:
        started.says("up and running")
        (shop,) = _listed(tmp_path)
        theirs = [each for each in daprd.found() if each["appId"] == "shop"]
        table = ask(tmp_path, "list")[1].splitlines()
        stopped = ask(tmp_path, "stop", "shop")
        left = processes(started.pid)

        assert (shop["appId"], shop["cliPid"], shop["status"]) == ("shop", started.pid, "ready")
        assert shop["command"].endswith("app.py waits")
        # as Dapr's own tools find it, by its name and command line
        assert [(each["daprdPid"], each["httpPort"], each["grpcPort"]) for each in theirs] == [
            (shop["daprdPid"], shop["httpPort"], shop["grpcPort"])
        ]
        assert f"waiting {shop['appPid']}" in started.text
        assert [line.split()[0] for line in table] == ["APP", "shop"]
        assert (stopped, left) == ((0, ""), [])
        assert (started.code(), _listed(tmp_path)) == (143, [])


def test_an_application_that_is_waited_for(tmp_path: Path) -> None:
    """The sidecar says so; a second one of another id is left alone by `stop`."""
    one = Sidecar(tmp_path, [MEMORY], app_id="one", flags=["--app-port", "1"])
    one.launch()
    with Sidecar(tmp_path, [MEMORY], app_id="two"):
        while len(found := _listed(tmp_path)) < 2:
            assert one.exit_code is None
        stopped = ask(tmp_path, "stop", "-a", "two")
        left = [each["appId"] for each in _listed(tmp_path)]
    one.stop()

    assert [each["status"] for each in found] == ["waiting for app on 1", "ready"]
    assert (stopped[0], left) == (0, ["one"])


def test_one_that_does_not_answer(tmp_path: Path) -> None:
    """It is listed all the same, and a `stop` that is in vain says so."""
    with Sidecar(tmp_path, [MEMORY]) as sidecar:
        sidecar.pause()
        (found,) = _listed(tmp_path)
        stopped = ask(tmp_path, "stop", "app", "--timeout", "0.2")
        sidecar.resume()

    assert found["status"] == "not answering"
    assert stopped == (1, "failed to stop app id app: it still runs after 0.2 s\n")


def test_what_a_killed_one_leaves(tmp_path: Path) -> None:
    """It is not listed, and its file goes."""
    with Sidecar(tmp_path, [MEMORY]) as sidecar:
        before = _listed(tmp_path)
        sidecar.signal(signal.SIGKILL)
        sidecar.wait()

    assert (len(before), _listed(tmp_path)) == (1, [])
    assert list((tmp_path / "dapr-state" / "run").iterdir()) == []
