"""The plugin in runs of pytest of its own: what it starts, what fails a test, and what happens when things go wrong."""

from __future__ import annotations

import os
import re
import signal
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dapr_state.pytest import process
from dapr_state.pytest.client import SidecarEnded
from tests.support.components import component
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable

    from tests.plugin.conftest import Run

USING = """
import json, os, pathlib, urllib.request, pytest

def save(key, value):
    url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/state/statestore"
    body = json.dumps([{"key": key, "value": value}]).encode()
    request = urllib.request.Request(url, body, {"Content-Type": "application/json"}, method="POST")
    return urllib.request.urlopen(request).status
"""


def sidecars(folder: Path) -> list[str]:
    """The sidecars that run for this folder, by what they were started with."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended meanwhile
            words = entry.read_bytes()
            if b"--test-mode" in words and str(folder).encode() in words:
                found.append(entry.parent.name)
    return found


def test_tests_are_kept_apart(run: Callable[..., Run]) -> None:
    """What one has stored, moved and broken is not there in the next; one process has one sidecar."""
    done = run(
        {
            "test_it.py": USING
            + """
@pytest.mark.parametrize("number", range(5))
def test_apart(dapr, number, tmp_path_factory):
    assert len(dapr.state()) == 0 and list(dapr.calls) == []
    assert abs(dapr.clock.moved.total_seconds()) < 1
    save("k", number)
    assert dapr.state().json("k") == number and [call.operation for call in dapr.calls] == ["SaveState"]
    dapr.clock.advance("1d")
    dapr.fail("write", unused="ignore")

def test_where_it_is(dapr, dapr_clock, dapr_sidecar):
    assert dapr is dapr_sidecar and dapr_clock is dapr.clock
    assert dapr.env == {name: os.environ[name] for name in dapr.env}
    assert "test" == dapr.app_id == os.environ["APP_ID"]
"""
        },
        "-W",
        "error",
        DAPR_API_TOKEN="of-the-developer's-shell",
    )

    assert done.code == 0, done.output
    assert done.summary.startswith("6 passed")


def test_nothing_starts_unless_it_is_asked_for(run: Callable[..., Run]) -> None:
    """A run without the fixture starts no process, and loads nothing of the plugin but its first file."""
    done = run(
        {
            "test_it.py": """
import sys
def test_nothing():
    ours = {name for name in sys.modules if name.startswith("dapr_state.pytest.")}
    assert ours == {"dapr_state.pytest.plugin", "dapr_state.pytest.ports"}
""",
        },
        "-W",
        "error",
    )

    assert done.code == 0, done.output


def test_it_can_be_left_out(run: Callable[..., Run]) -> None:
    """With `-p no:dapr_state` there is neither fixture nor environment; with dapr_env = false no environment."""
    asking = {"test_it.py": "import os\ndef test_env():\n    assert 'DAPR_HTTP_PORT' not in os.environ\n"}
    without = run(asking, "-p", "no:dapr_state")
    off = run({**asking, "pytest.ini": "[pytest]\ndapr_env = false\n"})

    assert (without.code, off.code) == (0, 0), without.output + off.output


def test_what_the_sidecar_has_seen_fails_a_test(run: Callable[..., Run]) -> None:
    """A fault that nobody met, an error in its log, a call that goes on: each in a sentence; the next test is clean."""
    done = run(
        {
            "test_it.py": USING
            + """
import threading

def test_unused(dapr):
    dapr.fail("write", key="cart", error="disk full")

def test_log(dapr):
    dapr._process._log.open("a").write('time="x" level=error msg="something broke"\\n')

def test_expected(dapr):
    dapr.expect_error("something broke")
    dapr._process._log.open("a").write('time="x" level=error msg="something broke"\\n')

def test_under_way(dapr):
    dapr.hang("write")
    threading.Thread(target=lambda: pytest.raises(Exception, save, "k", 1), daemon=True).start()
    while not [fault for fault in dapr._faults._faults if fault.hits]:
        pass

def test_clean(dapr):
    assert save("k", 1) == 204
"""
        },
    )

    assert done.code == 1
    assert "unused fault: error write key=cart" in done.output
    assert re.search("the sidecar has logged an error: .*something broke", done.output)
    assert done.summary.startswith("2 failed, 3 passed"), done.output


def test_checks_can_be_switched_off(run: Callable[..., Run]) -> None:
    """With dapr_strict = false in the ini file."""
    asking = {"test_it.py": "def test_unused(dapr):\n    dapr.fail('write')\n"}
    done = run({**asking, "pytest.ini": "[pytest]\ndapr_strict = false\n"})

    assert done.code == 0, done.output


def test_state_may_be_kept(run: Callable[..., Run]) -> None:
    """By a mark from test to test, by the ini file within a module; never into the next module."""
    marked = """
@pytest.mark.dapr(keep_state=True)
def test_first(dapr):
    assert save("k", 1) == 204
@pytest.mark.dapr(keep_state=True)
def test_second(dapr):
    assert "k" in dapr.state()
"""
    plain = marked.replace("@pytest.mark.dapr(keep_state=True)", "")
    by_mark = run({"test_a.py": USING + marked, "test_b.py": "def test_empty(dapr):\n    assert not dapr.state()\n"})
    by_ini = run(
        {
            "test_a.py": USING + plain,
            "test_b.py": "def test_empty(dapr):\n    assert not dapr.state()\n",
            "pytest.ini": "[pytest]\ndapr_reset = module\n",
        }
    )

    assert (by_mark.code, by_ini.code) == (0, 0), by_mark.output + by_ini.output


def test_a_sidecar_that_ends_fails_its_test_alone(run: Callable[..., Run]) -> None:
    """The report says how it ended; the tests after it have a new one, at the same ports."""
    done = run(
        {
            "test_it.py": USING
            + """
import signal
def test_before(dapr):
    assert save("k", 1) == 204
def test_crash(dapr):
    os.kill(dapr._process._running.pid, signal.SIGKILL)
    dapr._process._running.wait()
    dapr.state()["k"] = b"1"
def test_unnoticed(dapr):
    os.kill(dapr._process._running.pid, signal.SIGKILL)
    dapr._process._running.wait()
def test_after(dapr):
    assert not dapr.state() and save("k", 1) == 204
"""
        },
        "-W",
        "error",
    )

    assert done.summary.startswith("2 failed, 2 passed"), done.output
    assert done.output.count("the sidecar was ended by SIGKILL") >= 2


def test_faults_and_calls_of_a_sidecar_that_is_restarted(run: Callable[..., Run]) -> None:
    """What was met before counts, faults of the old one are not taken for those of the new one, and calls are told."""
    done = run(
        {
            "test_it.py": USING
            + """
import urllib.error
def fails():
    with pytest.raises(urllib.error.HTTPError):
        save("k", 1)
@pytest.mark.parametrize("kill", [False, True])
def test_restarted(dapr, kill):
    before = dapr.fail("write")
    fails(), save("k", 1), save("k", 2)
    dapr.calls.clear()
    dapr.restart(kill=kill)
    after = dapr.fail("write")
    before.remove()
    fails()
    assert (before.hits, after.hits) == (1, 1)
    assert [call.operation for call in dapr.calls] == ["SaveState"]
"""
        }
    )

    assert done.code == 0, done.output


REMEMBERS = """
import dapr.actor, fastapi
from contextlib import asynccontextmanager
from dapr.ext.fastapi import DaprActor

class CounterInterface(dapr.actor.ActorInterface):
    @dapr.actor.actormethod(name="Add")
    async def add(self, number): ...

class Counter(dapr.actor.Actor, CounterInterface):
    number = 0
    async def add(self, number):
        self.number += number
        return self.number

@asynccontextmanager
async def lifespan(app):
    await actors.register_actor(Counter)
    yield

app = fastapi.FastAPI(lifespan=lifespan)
actors = DaprActor(app)
"""


def test_actors_of_a_sidecar_that_was_killed_are_not_met_again(run: Callable[..., Run]) -> None:
    """Neither by the next test nor the next module, though the application goes on and was told of no end."""
    counted = """
import os, signal, pytest, remembers
@pytest.fixture(scope="module")
def counters(dapr_app_module):
    return dapr_app_module.serve(remembers.app)
def test_restarted(dapr, counters):
    assert dapr.actor("Counter", "1").invoke("Add", 1) == 1
    dapr.restart(kill=True)
def test_crash(dapr, counters):
    assert dapr.actor("Counter", "1").invoke("Add", 1) == 1
    os.kill(dapr._process._running.pid, signal.SIGKILL)
    dapr._process._running.wait()
"""
    done = run({"remembers.py": REMEMBERS, "test_a.py": counted, "test_b.py": counted})

    assert done.summary.startswith("2 failed, 2 passed"), done.output
    assert "AssertionError" not in done.output


def test_a_sidecar_that_is_stuck_fails_its_test_alone(run: Callable[..., Run]) -> None:
    """At the end of a test that passes, and of one that has failed: it is ended, and the next test has a new one."""
    done = run(
        {
            "test_it.py": USING
            + """
import signal
from dapr_state.pytest import client
client.ANSWER = 3.0
def test_stuck(dapr):
    os.kill(dapr._process._running.pid, signal.SIGSTOP)
def test_next(dapr):
    assert save("k", 1) == 204
def test_fails(dapr):
    os.kill(dapr._process._running.pid, signal.SIGSTOP)
    assert False
def test_last(dapr):
    assert not dapr.state() and save("k", 1) == 204
"""
        }
    )

    assert done.summary.startswith("2 failed, 2 passed, 1 error"), done.output
    assert "the sidecar has not answered for 3 s" in done.output


def test_a_port_where_somebody_is_silent(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Is not waited for without end: the start fails in its time."""
    monkeypatch.setattr(process, "START", 0.1)
    monkeypatch.setattr(process, "LOOK", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        command = (sys.executable, "-c", "import sys; sys.stdin.read()", "-")
        ports = (silent.getsockname()[1], 1, 1)
        started = process.Process(process.Settings(command, []), ports, tmp_path / "log")
        with pytest.raises(SidecarEnded, match="does not answer"):
            started.start()

    assert not started.is_running


def test_a_fixture_that_fails_shows_the_log(run: Callable[..., Run]) -> None:
    """As a test does: what the sidecar has said of an application that is served in it."""
    broken = "import pytest\n@pytest.fixture\ndef broken(dapr):\n    dapr.state()['k'] = b'1'\n    raise RuntimeError\n"
    done = run({"test_it.py": f"{broken}def test_it(broken): pass\n"})

    assert done.summary.startswith("1 error"), done.output
    assert "dapr sidecar" in done.output
    assert "SaveEntry statestore" in done.output


def test_ctrl_c_leaves_nothing_behind(start: Callable[..., subprocess.Popen[str]], tmp_path: Path) -> None:
    """While a test runs: pytest says that it was interrupted, and its sidecar is gone."""
    files = {
        "test_it.py": USING
        + """
import time
def test_long(dapr, pytestconfig):
    pathlib.Path("running").touch()
    time.sleep(60)
"""
    }
    running = start(files, f"--basetemp={tmp_path}/base")
    until((tmp_path / "running").exists, timeout=60, what="the test runs")
    assert sidecars(tmp_path)
    os.killpg(running.pid, signal.SIGINT)
    output, _ = running.communicate(timeout=60)

    assert "KeyboardInterrupt" in output
    assert running.returncode == 2
    until(lambda: not sidecars(tmp_path), what="the sidecar is gone")


def test_a_run_that_is_killed_leaves_nothing_behind(
    start: Callable[..., subprocess.Popen[str]], tmp_path: Path
) -> None:
    """Even where pytest cannot say goodbye, its sidecar notices."""
    test = "def test_it(dapr):\n    pathlib.Path('running').touch()\n    time.sleep(60)\n"
    files = {"test_it.py": f"import pathlib, time\n{test}"}
    running = start(files, f"--basetemp={tmp_path}/base")
    until((tmp_path / "running").exists, timeout=60, what="the test runs")
    running.kill()
    running.communicate()

    until(lambda: not sidecars(tmp_path), what="the sidecar is gone")


def test_a_command_that_is_none_is_told(run: Callable[..., Run]) -> None:
    """With what the program has said; by ini file, and before it by the command line."""
    asking = {"test_it.py": "def test_it(dapr): pass\n", "pytest.ini": "[pytest]\ndapr_command = false\n"}
    done = run(asking, "--dapr-command", "sh -c 'echo no such thing; exit 3'")

    assert done.code == 1
    assert "the sidecar has ended with exit code 3" in done.output
    assert "no such thing" in done.output


def test_other_components_and_names(run: Callable[..., Run]) -> None:
    """Fixtures can be overridden, and factories make others; a test may use two sidecars."""
    done = run(
        {
            "conftest.py": """
import pytest
from dapr_state.pytest import Component, factories
other_sidecar = factories.sidecar([Component("other", "state.in-memory")], app_id="second")
other = factories.dapr("other_sidecar")

@pytest.fixture(scope="session")
def dapr_components(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    (folder / "a.yaml").write_text(Component("from-file", "state.in-memory").text)
    return [folder / "a.yaml", Component("from-text", "state.in-memory").text + "\\n", Component("lite", "state.sqlite",
        {"connectionString": str(folder / "db")})]
""",
            "test_it.py": """
def test_two(dapr, other):
    for store in ("from-file", "from-text", "lite"):
        dapr.state(store)["k"] = b"1"
    other.state("other")["k"] = b"2"
    other.clock.advance("1d")
    assert (dapr.clock.moved.days, other.app_id) == (0, "second")
    assert dapr.state("lite").keys() == ["k"]
""",
        }
    )

    assert done.code == 0, done.output


def test_a_sidecar_that_runs_already(run: Callable[..., Run], tmp_path: Path) -> None:
    """Of whatever started it: it is emptied and moved as one of the plugin's own, and goes on after the run."""
    plain = Sidecar(tmp_path, [component("statestore", "state.in-memory")], flags=["--test-mode"], app_id="mine")
    asking = {
        "conftest.py": "from dapr_state.pytest import factories\ndapr = factories.dapr('dapr_noproc')\n",
        "test_it.py": """
import pytest
@pytest.mark.parametrize("number", range(2))
def test_it(dapr, number):
    assert dapr.app_id == "mine" and not dapr.state()
    dapr.state().put("k", number, ttl="1h")
    assert dapr.clock.advance("61m").expired == 1
    dapr.state().put("k", number)
    with pytest.raises(RuntimeError, match="somebody else has started"):
        dapr.restart()
""",
    }
    with plain:
        done = run(asking, "--dapr-http-port", str(plain.http_port))
        nowhere = run(asking)
        plain.stop()

    assert done.code == 0, done.output
    assert "dapr_noproc wants --dapr-http-port" in nowhere.output


def test_many_tests_with_a_reset_each(run: Callable[..., Run]) -> None:
    """A hundred here, each empty at its beginning; scripts/tests-a-second measures a thousand."""
    test = "def test_it(dapr, n):\n    assert not dapr.state()\n    save('k', n)\n"
    done = run({"test_it.py": USING + "@pytest.mark.parametrize('n', range(100))\n" + test})

    assert done.summary.startswith("100 passed"), done.output
