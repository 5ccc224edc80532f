"""What users install: the wheel, in an environment of its own."""

from __future__ import annotations

import subprocess
import sys
import venv
from typing import TYPE_CHECKING

from tests.support.cache import ROOT
from tests.support.client import item
from tests.support.components import component
from tests.support.http import ask
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


MOST = 1_400_000  # octets of the wheel, the page among them


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True, cwd=ROOT)


def test_wheel_serves_in_an_empty_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wheel that was built from the sdist, installed beside nothing else, serves state."""
    run(sys.executable, "-m", "build", "--no-isolation", "--sdist", "--outdir", tmp_path)
    (sdist,) = tmp_path.glob("*.tar.gz")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, sdist)
    (wheel,) = tmp_path.glob("*.whl")
    venv.create(tmp_path / "venv", with_pip=True)
    binaries = tmp_path / "venv" / "bin"
    run(binaries / "pip", "install", "--quiet", "--require-hashes", "-r", "requirements.lock")
    run(binaries / "pip", "install", "--quiet", "--no-deps", wheel)
    monkeypatch.setattr(Sidecar, "program", (binaries / "dapr-state", "serve"))

    with Sidecar(tmp_path, [component("mem", "state.in-memory")]) as sidecar, sidecar.client() as client:
        client.save("mem", item("greeting", b"hello"))

        assert client.get("mem", "greeting").response["data"] == b"hello"
        assert ask(sidecar.http_port, "GET", "/dapr-state/js/main.js").code == 200
        assert wheel.stat().st_size < MOST
