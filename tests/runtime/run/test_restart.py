"""`--restart`: when an application that has ended starts again, and when no more."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.runtime.run.restart import Restarts
from tests.runtime.run.runs import ask, run

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("policy", "ends", "pauses"),
    [
        ("never", [(3, 0)], [None]),
        ("on-failure", [(3, 0), (3, 0), (0, 0)], [1, 2, None]),
        ("on-failure:2", [(3, 0), (3, 0), (3, 0)], [1, 2, None]),
        ("always", [(0, 0)] * 7, [1, 2, 4, 8, 16, 30, 30]),
        ("always", [(0, 0), (0, 0), (3, 60), (3, 1)], [1, 2, 1, 2]),
    ],
)
def test_when_and_how_soon(policy: str, ends: list[tuple[int, float]], pauses: list[float | None]) -> None:
    """After 1, 2, 4 … 30 seconds; one that ran for long begins again with the first."""
    restarts = Restarts(policy)

    assert [restarts.pause(code, lived) for code, lived in ends] == pauses


@pytest.mark.parametrize("policy", ["", "sometimes", "on-failure:", "on-failure:x", "never:1"])
def test_what_is_no_policy(tmp_path: Path, policy: str) -> None:
    """That is a mistake in the command line, before anything starts."""
    code, text = ask(tmp_path, "run", f"--restart={policy}", "--", "true")

    assert code == 2
    assert "--restart" in text


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc: run it on Linux")
def test_one_that_fails_once(tmp_path: Path) -> None:
    """It starts again under the same sidecar, and its last code is that of the run."""
    script = 'echo "at $DAPR_HTTP_PORT"; [ -e been ] || { touch been; exit 3; }'
    done = run(tmp_path, "--restart", "on-failure", "--", "sh", "-c", script)
    first, second = done.stdout.splitlines()

    assert done.returncode == 0
    assert first == second
    assert "the application ended with 3: it starts again in 1 s" in done.stderr
