"""The command: what it prints where, and how it ends."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state import DAPR_VERSION, __version__
from dapr_state.cli import main

if TYPE_CHECKING:
    from pathlib import Path


def _run(*argv: str) -> tuple[int, list[str], list[str]]:
    """The exit code, and the lines of stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "dapr_state", *argv], capture_output=True, text=True, check=False, timeout=30
    )
    return done.returncode, done.stdout.splitlines(), done.stderr.splitlines()


@pytest.mark.parametrize("argv", [[], ["--help"], ["-h"], ["help"]])
def test_without_a_command_the_commands_are_shown(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Asking for help is no error."""
    code = main(argv)

    printed = capsys.readouterr()
    assert code == 0
    assert "serve       run the sidecar" in printed.out
    assert printed.err == ""


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named on stderr, beside the commands that there are."""
    code = main(["--app-id", "x"])

    printed = capsys.readouterr()
    assert code == 2
    assert printed.err.startswith("dapr-state: there is no command '--app-id'\n")
    assert printed.out == ""


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    """Our own version, and that of the API that is spoken."""
    code = main(["--version"])

    assert (code, capsys.readouterr().out) == (0, f"dapr-state {__version__} (Dapr {DAPR_VERSION})\n")


def test_the_version_of_serve_is_the_apis() -> None:
    """The dapr command asks for it, and compares it as it would daprd's."""
    assert _run("serve", "--version") == (0, [DAPR_VERSION], [])


def test_the_version_comes_before_the_build(capsys: pytest.CaptureFixture[str]) -> None:
    """Of several questions the first in daprd's order is answered."""
    code = main(["serve", "--wait", "--build-info", "--version"])

    assert (code, capsys.readouterr().out) == (0, f"{DAPR_VERSION}\n")


def test_the_build() -> None:
    """Three lines, as daprd has them."""
    code, out, err = _run("serve", "--build-info")

    assert (code, err) == (0, [])
    assert out == [f"Version: {DAPR_VERSION}", "Git Commit: ", f"Git Version: dapr-state {__version__}"]


def test_an_unknown_flag() -> None:
    """The mistake on both outputs, the usage on stderr, exit 2."""
    code, out, err = _run("serve", "--nope")

    assert (code, out) == (2, ["unknown flag: --nope"])
    assert err[:2] == ["unknown flag: --nope", "Usage of dapr-state serve:"]
    assert len(err) > 40


def test_the_help_of_serve() -> None:
    """As daprd: the usage on stderr, exit 2."""
    code, out, err = _run("serve", "--help")

    assert (code, out) == (2, ["pflag: help requested"])
    assert err[0] == "Usage of dapr-state serve:"
    assert any(line.startswith("      --app-id string") and '(default "dapr-state")' in line for line in err)


def test_a_deprecated_flag_is_told_on_stderr() -> None:
    """The line does not disturb what is printed on stdout."""
    line = "Flag --components-path has been deprecated, use --resources-path"

    assert _run("serve", "--components-path", "x", "--version") == (0, [DAPR_VERSION], [line])


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["--app-id", "a.b"], "Fatal error from runtime: parameter app-id cannot contain dots"),
        (
            ["--dapr-grpc-port", "x"],
            'Fatal error from runtime: error parsing dapr-grpc-port flag: strconv.Atoi: parsing "x": invalid syntax',
        ),
        (["--log-level", "verbose", "--app-id", ""], "invalid value for --log-level: verbose"),
        (
            ["--resources-path", "/nonexistent"],
            "Fatal error from runtime: failed to load components: open /nonexistent: no such file or directory",
        ),
    ],
)
def test_a_fatal_mistake_is_the_last_line(argv: list[str], message: str) -> None:
    """The last line of the log says why the sidecar ends, with exit code 1."""
    code, out, err = _run("serve", "--log-as-json", *argv)

    last = json.loads(out[-1])
    assert (code, err) == (1, [])
    assert (last["level"], last["msg"]) == ("fatal", message)


def test_a_log_file_takes_all_lines(tmp_path: Path) -> None:
    """With --log-file nothing is printed."""
    file = tmp_path / "log"

    code, out, err = _run("serve", "--log-file", str(file), "--mode", "bar", "--app-id", "my-app")

    assert (code, out, err) == (1, [], [])
    assert re.search(
        r'^time="\S+" level=fatal msg="Fatal error from runtime: invalid mode: bar" app_id=my-app instance=\S+'
        rf" scope=dapr\.runtime type=log ver={re.escape(__version__)}$",
        file.read_text(),
        re.MULTILINE,
    )


def test_on_a_terminal_lines_have_colours() -> None:
    """A person who starts the sidecar sees daprd's coloured form."""
    leader, follower = pty.openpty()

    code = subprocess.run(
        [sys.executable, "-m", "dapr_state", "serve", "--mode", "bar"], stdout=follower, check=False, timeout=30
    ).returncode
    seen = os.read(leader, 10_000).decode()
    os.close(leader)
    os.close(follower)

    assert code == 1
    assert seen.startswith("\x1b[31mFATA\x1b[0m[000")
