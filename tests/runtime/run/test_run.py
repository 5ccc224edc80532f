"""`run` as a script uses it: what the application is given, how everything ends, and that nothing is left."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.runtime.run.runs import APP, Started, app, environment, processes, run
from tests.support.processes import free_port
from tests.support.waiting import until

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")


def test_the_exit_code_is_the_applications(tmp_path: Path) -> None:
    """And it is said."""
    done = run(tmp_path, *app("ends", "3"))

    assert done.returncode == 3
    assert "the application ended with 3" in done.stderr


def test_the_first_line_can_call_the_sidecar(tmp_path: Path) -> None:
    """Both APIs answer before the application starts; its output is as it wrote it; of a good end nothing is said."""
    done = run(tmp_path, *app("calls"))

    assert (done.returncode, done.stdout) == (0, "status 204\n")
    assert "ended" not in done.stderr
    assert re.search(
        r"^dapr-state: .*: HTTP \d+, gRPC \d+; components from the built-in SQLite store$", done.stderr, re.MULTILINE
    )


def test_two_at_the_same_moment(tmp_path: Path) -> None:
    """Both look for the usual ports, and each gets ports that are its own."""
    words = [sys.executable, "-m", "dapr_state", "run", "--", sys.executable, str(APP), "calls"]
    both = [
        subprocess.Popen(
            words, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        for _ in range(2)
    ]
    said = [each.communicate(timeout=60)[0].decode() for each in both]
    ports = [port for text in said for pair in re.findall(r"HTTP (\d+), gRPC (\d+)", text) for port in pair]

    assert [each.returncode for each in both] == [0, 0]
    assert len(set(ports)) == 4, said


def test_the_environment(tmp_path: Path) -> None:
    """What SDKs read, with the id of the folder where none is given."""
    folder = tmp_path / "My Shop"
    folder.mkdir()
    names = ("APP_ID", "APP_PORT", "APP_PROTOCOL", "APP_CHANNEL_ADDRESS", "PYTHONUNBUFFERED")
    done = run(folder, "-p", "0", *app("shows", *names))

    assert done.stdout.splitlines() == [
        "APP_ID=my-shop",
        "APP_PORT=None",
        "APP_PROTOCOL=http",
        "APP_CHANNEL_ADDRESS=127.0.0.1",
        "PYTHONUNBUFFERED=1",
    ]


def test_sockets_in_place_of_ports(tmp_path: Path) -> None:
    """No port is told where nobody listens."""
    done = run(tmp_path, "-a", "x", "-u", str(tmp_path), *app("shows", "DAPR_HTTP_PORT", "DAPR_GRPC_ENDPOINT"))

    assert done.stdout.splitlines() == ["DAPR_HTTP_PORT=None", f"DAPR_GRPC_ENDPOINT=unix:{tmp_path}/dapr-x-grpc.socket"]


@pytest.mark.parametrize(
    ("words", "code", "text"),
    [
        (["--", "no-such-command"], 127, "no-such-command: not found"),
        (["--", "./file"], 126, "./file: not executable"),
        (["--nope"], 2, "unknown flag: --nope"),
        (["-k", "--", "true"], 2, "Kubernetes is not supported"),
        (["--app-id"], 2, "flag needs an argument: --app-id"),
        (["--resources-path", "none", "--", "true"], 125, "none"),
        (["--app-id", "a.b", "--", "true"], 125, "parameter app-id cannot contain dots"),
        (["true", "--app-id", "x"], 0, "the command gets --app-id"),
    ],
)
def test_what_cannot_start(tmp_path: Path, words: list[str], code: int, text: str) -> None:
    """It ends at once, and says why; the codes are those of shells, and of `env`."""
    (tmp_path / "file").write_text("")
    done = run(tmp_path, *words)

    assert (done.returncode, text in done.stderr) == (code, True), done.stderr


@pytest.mark.parametrize(
    ("number", "program", "code"),
    [
        (signal.SIGTERM, "waits", 143),
        (signal.SIGINT, "waits", 130),
        (signal.SIGHUP, "waits", 143),
        (signal.SIGTERM, "saves", 0),
        (signal.SIGINT, "saves", 0),
    ],
)
def test_a_signal_ends_the_application_first(tmp_path: Path, number: signal.Signals, program: str, code: int) -> None:
    """It can still save its last state; its own end is the exit code."""
    with Started(tmp_path, *app(program)) as started:
        started.says("waiting")
        started.send(number)

        assert started.code() == code
        assert ("at the end 204" in started.text) == (program == "saves")


def test_an_application_that_does_not_end(tmp_path: Path) -> None:
    """After its grace it is killed."""
    with Started(tmp_path, "--app-grace", "0.2", *app("ignores")) as started:
        started.says("waiting")
        started.send(signal.SIGTERM)

        assert started.code() == 137


def test_a_second_signal_ends_all_at_once(tmp_path: Path) -> None:
    """Whatever grace there is."""
    with Started(tmp_path, "--app-grace", "60", *app("ignores")) as started:
        started.says("waiting")
        started.send(signal.SIGTERM)
        started.send(signal.SIGINT)

        assert started.code() == 137


def test_a_signal_that_comes_twice_at_once_is_one(tmp_path: Path) -> None:
    """`timeout` signals the process and its group: the application still saves its last state."""
    with Started(tmp_path, *app("saves")) as started:
        started.says("waiting")
        started.send(signal.SIGTERM)
        started.send(signal.SIGTERM)

        assert started.code() == 0
        assert "at the end 204" in started.text


def test_what_the_application_started_ends_with_it(tmp_path: Path) -> None:
    """A child of it that lives on would hold its port."""
    with Started(tmp_path, *app("parent")) as started:
        code = started.code()

        assert code == 0
        until(lambda: not processes(started.pid))


def _sidecar(started: Started) -> int:
    def look() -> int:
        return next((pid for pid in processes(started.pid) if _name(pid) == "daprd"), 0)

    return until(look, what="a sidecar that is called daprd")


def _name(pid: int) -> str:
    return Path(f"/proc/{pid}/comm").read_text().strip()


def test_a_sidecar_that_is_killed(tmp_path: Path) -> None:
    """The application ends too, and it is not its fault."""
    with Started(tmp_path, *app("waits")) as started:
        started.says("waiting")
        os.kill(_sidecar(started), signal.SIGKILL)

        assert started.code() == 125
        assert "the sidecar ended with 137" in started.text


def test_a_sidecar_that_is_asked_to_end(tmp_path: Path) -> None:
    """That is a wish like any other."""
    with Started(tmp_path, *app("waits")) as started:
        started.says("waiting")
        os.kill(_sidecar(started), signal.SIGTERM)

        assert started.code() == 0


def test_an_application_that_is_killed(tmp_path: Path) -> None:
    """128 and the number of its signal, as shells tell it."""
    with Started(tmp_path, *app("waits")) as started:
        started.says("waiting")
        told = until(lambda: re.search(r"waiting (\d+)\s", started.text))
        os.kill(int(told[1]), signal.SIGKILL)

        assert started.code() == 137


@pytest.mark.parametrize("program", ["waits", "ignores"])
@pytest.mark.parametrize("moment", ["starting", "running"])
def test_a_storm_of_ctrl_c_ends_all_without_a_word_too_many(tmp_path: Path, program: str, moment: str) -> None:
    """Ten in a row, from the sidecar's start on to the very end of `run`: nothing is left, and nothing is traced."""
    with Started(tmp_path, *app(program)) as started:
        until(lambda: processes(started.pid)) if moment == "starting" else started.says("waiting")
        for _ in range(10):
            started.send(signal.SIGINT)
        code = started.code()
        until(lambda: not processes(started.pid))

    assert code in {130, 137}
    assert "/dapr_state/" not in started.text  # but the application may be traced


def test_nothing_is_left_when_run_is_killed_while_it_starts(tmp_path: Path) -> None:
    """The sidecar is there, or not yet."""
    with Started(tmp_path, *app("waits")) as started:
        until(lambda: len(processes(started.pid)) == 1)
        started.send(signal.SIGKILL)
        started.code()
        until(lambda: not processes(started.pid))


@pytest.mark.parametrize("which", ["run", "sidecar", "application"])
def test_nothing_is_left_when_one_is_killed_while_all_end(tmp_path: Path, which: str) -> None:
    """The application, which does not want to end, too; the code is that of its end."""
    with Started(tmp_path, "--app-grace", "1", *app("ignores")) as started:
        told = until(lambda: re.search(r"waiting (\d+)\s", started.text))
        victim = {"run": started.pid, "sidecar": _sidecar(started), "application": int(told[1])}[which]
        started.send(signal.SIGTERM)
        os.kill(victim, signal.SIGKILL)

        assert started.code() == (-signal.SIGKILL if which == "run" else 137)
        until(lambda: not processes(started.pid))


@pytest.mark.parametrize("program", ["waits", "saves"])
def test_nothing_is_left_when_run_itself_is_killed(tmp_path: Path, program: str) -> None:
    """Sidecar and application end a moment later."""
    with Started(tmp_path, *app(program)) as started:
        started.says("waiting")
        before = processes(started.pid)
        started.send(signal.SIGKILL)
        started.code()

        assert len(before) >= 2
        until(lambda: not processes(started.pid))


def test_without_a_command_the_sidecar_runs_alone(tmp_path: Path) -> None:
    """Until a signal comes; where a run file lies in the folder, that was perhaps meant."""
    (tmp_path / "dapr.yaml").touch()
    with Started(tmp_path) as started:
        started.says("there is a dapr.yaml here: dapr-state run -f .")
        started.says("the sidecar runs alone")
        started.send(signal.SIGINT)

        assert started.code() == 0


def test_the_editor_starts_the_application(tmp_path: Path) -> None:
    """It is given the variables, in its form; the console is shown in the browser."""
    browser = tmp_path / "browser"
    browser.write_text('#!/bin/sh\necho "shown $1"\n')
    browser.chmod(0o755)
    words = ("-a", "x", "-p", "8000", "--print-env=dotenv", "--open", *app("waits"))
    with Started(tmp_path, *words, BROWSER=str(browser)) as started:
        said = until(lambda: re.search(r"^DAPR_HTTP_PORT=(\d+)$", started.text, re.MULTILINE))
        started.says(f"shown http://127.0.0.1:{said[1]}/dapr-state/")
        started.says("DAPR_GRPC_PORT=")
        started.send(signal.SIGINT)

        assert started.code() == 0
        assert "APP_ID=x\n" in started.text
        assert "APP_PORT=8000\n" in started.text
        assert "waiting" not in started.text


def test_up_means_that_the_applications_port_is_open(tmp_path: Path) -> None:
    """Not before."""
    port = free_port()
    with Started(tmp_path, "-p", str(port), "--", sys.executable, "-u", "-m", "http.server", str(port)) as started:
        started.says("up and running")

        assert started.text.index("Serving HTTP") < started.text.index("up and running")


def test_it_costs_little() -> None:
    """Neither the servers nor the stores are imported."""
    script = "import sys, dapr_state.cli, dapr_state.runtime.run.supervisor; print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()

    assert not {"grpc", "uvloop", "msgspec", "yaml", "google.protobuf", "dapr_state.stores"} & set(modules)
