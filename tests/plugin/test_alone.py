"""pytest-dapr-state: the same files, installed beside nothing but pytest."""

from __future__ import annotations

import subprocess
import venv
from typing import TYPE_CHECKING

from tests.plugin.conftest import SIDECAR
from tests.support.cache import ROOT

if TYPE_CHECKING:
    from pathlib import Path

TEST = """
import importlib.metadata

def test_alone(dapr):
    names = {each.metadata["Name"].lower() for each in importlib.metadata.distributions()}
    assert "pytest-dapr-state" in names and not names & {"dapr-state", "grpcio", "protobuf", "msgspec"}
    dapr.state().put("k", {"n": 12345678901234567890}, ttl="1h")
    assert dapr.state().json("k") == {"n": 12345678901234567890}
    assert dapr.clock.advance("61m").expired == 1
    assert not dapr.state()
"""


def test_it_needs_pytest_alone(wheel: Path, tmp_path: Path) -> None:
    """In an empty environment it is found by pytest, and tests with a sidecar of another environment."""
    venv.create(tmp_path / "venv", with_pip=True)
    python = tmp_path / "venv" / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", wheel], check=True, capture_output=True)
    (tmp_path / "test_alone.py").write_text(TEST)
    (tmp_path / "pytest.ini").write_text(f"[pytest]\ndapr_command = {SIDECAR}\n")
    command = [python, "-m", "pytest", "-q", "-W", "error", "-p", "no:cacheprovider"]
    done = subprocess.run(command, check=False, capture_output=True, text=True, cwd=tmp_path)

    assert done.returncode == 0, done.stdout + done.stderr


def test_it_is_the_same_plugin() -> None:
    """Both packages name the same entry point and version."""
    alone, whole = ((ROOT / name).read_text() for name in ("plugin/pyproject.toml", "pyproject.toml"))
    entry = '[project.entry-points.pytest11]\ndapr_state = "dapr_state.pytest.plugin"'

    assert entry in alone
    assert entry in whole
    assert 'path = "../dapr_state/__init__.py"' in alone
