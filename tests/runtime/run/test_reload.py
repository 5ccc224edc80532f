"""`--reload`: the application starts again when a file of it changes, under the same sidecar."""

from __future__ import annotations

import json
import re
import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.runtime.run import listing
from dapr_state.runtime.run.sources import snapshot
from tests.runtime.run.runs import APP, Started, ask, called, processes
from tests.support.processes import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")


def _write(folder: Path, *types: str) -> None:
    program = f"import sys; sys.path.insert(0, {str(APP.parent)!r}); import app; app.hosts(sys.argv[1], *{types})"
    (folder / "main.py").write_text(program)


def test_a_change_starts_the_application_again(tmp_path: Path) -> None:
    """Its new actor type is known, an actor that was active is called in the new process; the sidecar stays."""
    source = tmp_path / "source"  # not the home of the run, in which its own files change
    source.mkdir()
    _write(source, "A")
    port = free_port()
    program = ("--", sys.executable, "source/main.py", str(port))
    words = ("-a", "x", "-p", str(port), "--reload", "--reload-dir", "source", *program)
    with Started(tmp_path, *words) as started:
        started.says("up and running")
        (before,) = json.loads(ask(tmp_path, "list", "-o", "json")[1])
        http = before["httpPort"]
        first = until(lambda: called(http, "A"))
        unknown = called(http, "B")
        _write(source, "A", "B")
        started.says("main.py has changed")
        second = until(lambda: called(http, "B"))
        again = called(http, "A")
        (after,) = json.loads(ask(tmp_path, "list", "-o", "json")[1])

        assert (first, unknown) == (["A"], None)
        assert (second, again) == (["A", "B"], ["A", "B"])
        assert before["daprdPid"] == after["daprdPid"]
        assert before["appPid"] != after["appPid"]
        assert ask(tmp_path, "stop", "x") == (0, "")
        until(lambda: not processes(started.pid))


def test_an_application_that_fails_waits_for_a_change(tmp_path: Path) -> None:
    """A slip of the pen does not end the run."""
    (tmp_path / "main.py").write_text("prin('x')")
    with Started(tmp_path, "--reload", "--", sys.executable, "main.py") as started:
        started.says("it starts again after a change")
        (tmp_path / "main.py").write_text("print('mended')")

        assert started.code() == 0
        assert "mended" in started.text


def test_what_an_application_that_fails_has_started_ends_with_it(tmp_path: Path) -> None:
    """Not after the next change: by then its group's number may be somebody else's."""
    starts = "import subprocess, sys; print('child', subprocess.Popen(['sleep', '600']).pid, flush=True); sys.exit(3)"
    (tmp_path / "main.py").write_text(starts)
    with Started(tmp_path, "--reload", "--", sys.executable, "main.py") as started:
        started.says("it starts again after a change")
        child = int(re.search(r"child (\d+)", started.text)[1])  # type: ignore[index]
        left = listing._runs(child)
        (tmp_path / "main.py").write_text("print('mended')")

        assert started.code() == 0
        assert not left


def test_what_counts_as_a_change(tmp_path: Path) -> None:
    """Sources and settings, wherever they lie; not what is made, installed or hidden."""
    for name in (
        "a.py",
        "b/c.toml",
        "d.yml",
        "e.json",
        "f.txt",
        ".venv/g.py",
        "venv/h.py",
        "b/__pycache__/i.py",
        ".j/k.py",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    assert sorted(snapshot([tmp_path])) == [str(tmp_path / name) for name in ("a.py", "b/c.toml", "d.yml", "e.json")]


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    """That is a mistake in the command line."""
    code, text = ask(tmp_path, "run", "--reload", "--reload-dir", "none", "--", "true")

    assert code == 2
    assert "is no folder" in text
