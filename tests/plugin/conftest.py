"""Test runs in processes of their own: in an environment with the SDK and the plugin, the sidecar is of another one."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from tests.support import cache
from tests.support.cache import ROOT
from tests.support.processes import ROOT_VARIABLES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SIDECAR = f"{sys.executable} -m dapr_state serve"


@dataclass
class Run:
    """What became of one run of pytest."""

    code: int
    output: str

    def __post_init__(self) -> None:
        self.summary = self.output.strip().splitlines()[-1] if self.output.strip() else ""


@pytest.fixture(scope="session")
def hosting_python() -> Path:
    """The interpreter of an environment with the SDK, FastAPI and pytest."""
    return cache.hosting_python()


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The plugin as it is published alone."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--outdir", str(folder), str(ROOT / "plugin")]
    subprocess.run(build, check=True, capture_output=True)
    (made,) = folder.glob("pytest_dapr_state-*.whl")
    return made


@pytest.fixture(scope="session")
def plugin(wheel: Path) -> Path:
    """The same, unpacked in a folder."""
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(wheel.parent / "plugin")
    return wheel.parent / "plugin"


@pytest.fixture
def start(hosting_python: Path, plugin: Path, tmp_path: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start pytest on these files, in a bare environment."""

    def begin(files: dict[str, str], *arguments: str, **environment: str) -> subprocess.Popen[str]:
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        bare = {name: os.environ[name] for name in ROOT_VARIABLES if name in os.environ}
        bare |= {"PYTHONPATH": str(plugin), "DAPR_STATE_COMMAND": SIDECAR, "PYTHONDONTWRITEBYTECODE": "1"}
        command = [str(hosting_python), "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        return subprocess.Popen(
            command,
            cwd=tmp_path,
            env={**bare, **environment},
            text=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return begin


@pytest.fixture
def run(start: Callable[..., subprocess.Popen[str]]) -> Callable[..., Run]:
    """The same, to its end."""

    def end(files: dict[str, str], *arguments: str, **environment: str) -> Run:
        running = start(files, *arguments, **environment)
        output, _ = running.communicate(timeout=90)
        return Run(running.returncode, output)

    return end
