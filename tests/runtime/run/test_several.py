"""Several applications of one run: their order, restarts, the crash of one, and what is kept of what they write."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.runtime.run import stages
from dapr_state.runtime.run.runfile import RunFileError, only, read
from tests.runtime.run.runs import APP, Started, ask, command, environment, processes
from tests.support.processes import free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")

LONG = 10 << 20
FILE = """
version: 1
name: shop
interpolate: true
common: {{envFile: common.env, daprdLogDestination: console}}
apps:
- appID: web
  appDirPath: web
  dependsOn: [db, flaky]
  command: "{app} shows FROM OWN"
  envFile: own.env
  env: {{OWN: env}}
- {{appID: last, appDirPath: ., dependsOn: {{web: completed}}, command: "{app} fails_when crash 7"}}
- appID: job
  appDirPath: .
  appLogDestination: file
  logsDir: kept
  command: ["{python}", -c, "print('y' * {long})"]
- appID: db
  appDirPath: .
  appPort: {port}
  dependsOn: {{job: completed}}
  command: "{app} hosts ${{PORT:-{port}}} A"
- appID: flaky
  appDirPath: .
  restart: on-failure
  command: [sh, -c, "[ -e been ] || {{{{ touch been; exit 3; }}}}"]
"""


@pytest.fixture
def other(tmp_path: Path) -> Iterator[int]:
    """A process that is called daprd, and is none of ours."""
    (tmp_path / "daprd").write_text("#!/bin/sh\nread -r _\n")
    (tmp_path / "daprd").chmod(0o755)
    words = [str(tmp_path / "daprd"), "--app-id", "other", "--dapr-http-port=5"]
    with subprocess.Popen(words, stdin=subprocess.PIPE) as process:
        yield process.pid
        process.communicate(b"\n")


def test_five_of_which_one_crashes(tmp_path: Path, other: int) -> None:
    """Each starts after those it depends on; one starts again; the crash of one ends all, and its code is the run's."""
    (tmp_path / "web").mkdir()
    (tmp_path / "common.env").write_text("FROM=common\nOWN=common\n")
    (tmp_path / "web" / "own.env").write_text("OWN='own'\n")
    file = tmp_path / "dapr.yaml"
    file.write_text(FILE.format(app=f"{sys.executable} {APP}", python=sys.executable, port=free_port(), long=LONG))
    with Started(tmp_path, "-f", str(file)) as started:
        until(lambda: re.search("^last .*│ waiting", started.text, re.MULTILINE), 30)
        wide = ask(tmp_path, "list", "-o", "wide", "--all")[1]
        (tmp_path / "crash").touch()
        code = started.code()
        until(lambda: not processes(started.pid))
    lines = started.text.splitlines()
    wanted = ("dapr-state: job: up and running", "dapr-state: db: up and running", "web   │ FROM=common")
    order = [lines.index(line) for line in wanted]

    assert code == 7
    assert "last: the application ended with 7" in started.text
    assert "flaky: the application ended with 3: it starts again in 1 s" in started.text
    assert order == sorted(order)
    assert "web   │ OWN=env" in lines
    assert {"db", "last", "other"} <= {line.split()[0] for line in wide.splitlines()}
    assert f"{other}" in wide
    assert "db_app.log" in wide
    assert ask(tmp_path, "logs", "web") == (0, "FROM=common\nOWN=env\n")
    assert ask(tmp_path, "logs", "web", "-n", "1") == (0, "OWN=env\n")
    assert (tmp_path / "kept" / "job_app.log").stat().st_size == LONG + 1
    assert ask(tmp_path, "logs", "nobody")[0] == 1


def test_nobody_reads_what_they_write(tmp_path: Path) -> None:
    """A pager that stands still holds neither an application nor the end of the run."""
    program = "import sys; print('y' * 300_000); sys.exit(7)"
    words = json.dumps([sys.executable, "-c", program])
    file = tmp_path / "dapr.yaml"
    file.write_text(f"version: 1\napps: [{{appID: web, appDirPath: ., command: {words}}}]")
    reading, writing = os.pipe()
    started = subprocess.Popen(
        command("-f", str(file)), env=environment(tmp_path), stdin=subprocess.DEVNULL, stdout=writing, stderr=writing
    )
    os.close(writing)
    try:
        assert started.wait(30) == 7
    finally:
        started.kill()
        started.wait()
        os.close(reading)


def test_those_that_go_on(tmp_path: Path) -> None:
    """One that fails ends nobody then, but who depends on it; of the others only who was named runs at all."""
    lines = [
        "version: 1",
        "apps:",
        "- {appID: a, appDirPath: ., command: [sh, -c, 'exit 3']}",
        "- {appID: b, appDirPath: ., dependsOn: {a: completed}, command: [sh, -c, 'echo never']}",
        f"- {{appID: c, appDirPath: ., command: '{sys.executable} {APP} fails_when go 0'}}",
        "- {appID: d, appDirPath: ., command: [sh, -c, 'echo never']}",
    ]
    (tmp_path / "dapr.yaml").write_text("\n".join(lines))
    words = [word for each in "abc" for word in ("--only", each)]
    with Started(tmp_path, "-f", str(tmp_path), "--keep-going", *words) as started:
        started.says("b: it depends on a, which has failed")
        until(lambda: re.search("^c .*│ waiting", started.text, re.MULTILINE))
        (tmp_path / "go").touch()

        assert started.code() == 3
        assert "never" not in started.text


@pytest.mark.parametrize(
    ("keys", "reason"),
    [
        ("dependsOn: [b]", "dependsOn: a → b → a: none of them can be the first"),
        ("dependsOn: [a]", "dependsOn: a → a: none of them can be the first"),
        ("dependsOn: [x]", "apps[0].dependsOn: there is no application x"),
        ("dependsOn: {b: healthy}", "apps[0].dependsOn: 'healthy' is not one of started, ready, completed"),
        ("envFile: none.env", "none.env: no such file or directory"),
        ("envFile: bad.env", "bad.env: line 1 is no NAME=value"),
        ("restart: sometimes", "--restart: 'sometimes' is not never"),
        ("reload: [none]", "none: no such file or directory"),
        ("reload: 3", "apps[0].reload: is neither true nor false"),
        ("logLevel: '${NOWHERE}'", "NOWHERE is not set"),
    ],
)
def test_what_cannot_be(tmp_path: Path, keys: str, reason: str) -> None:
    """It is found before anything starts."""
    (tmp_path / "bad.env").write_text("secret\n")
    b = "{appID: b, appDirPath: ., dependsOn: a}"
    text = f"version: 1\ninterpolate: true\napps:\n- {{appID: a, appDirPath: ., {keys}}}\n- {b}"
    (tmp_path / "dapr.yaml").write_text(text)
    with pytest.raises(RunFileError) as raised:
        read(str(tmp_path), {"HOME": str(tmp_path)})

    assert reason in str(raised.value)


def test_keys_for_one(tmp_path: Path) -> None:
    """They are what flags are for a run of one; texts stay as they are where nothing else is asked for."""
    (tmp_path / "src").mkdir()
    keys = "reload: src, restart: always, appGrace: 2s, logsDir: here, logLevel: '${X}'"
    (tmp_path / "dapr.yaml").write_text(f"version: 1\napps: [{{appDirPath: ., appID: a, {keys}}}]")
    (plan,) = read(str(tmp_path), {"HOME": str(tmp_path)}).plans

    assert (plan.reloads, plan.restart, plan.grace) == ((tmp_path / "src",), "always", 2)
    assert (plan.logs, plan.app_file) == (tmp_path / "here", tmp_path / "here" / "a_app.log")
    assert "--log-level=${X}" in plan.sidecar
    with pytest.raises(RunFileError, match="there is no application b"):
        only(["b"], [plan])


def test_a_way_that_leads_back() -> None:
    """It is shown from where it begins; two ways to one are none."""
    assert stages.cycle({"a": ["b", "c"], "b": ["d"], "c": ["d"], "d": []}) == []
    assert stages.cycle({"a": ["b"], "b": ["c"], "c": ["b"]}) == ["b", "c", "b"]
