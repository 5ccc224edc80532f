"""What takes long to make and stays the same - an environment, an unpacked archive - is made once, in .cache/."""

from __future__ import annotations

import fcntl
import hashlib
import shutil
import subprocess
import sys
import venv
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]
CACHE = ROOT / ".cache"
SDK = "dapr==1.19.0"  # the official Python SDK
HOSTING = ("dapr-ext-fastapi==1.18.3", "uvicorn==0.54.0")  # what an application adds that hosts actors over HTTP

TESTING = ("pytest==9.2.0", "pytest-xdist==3.8.0")


def cached(name: str, make: Callable[[Path], None]) -> Path:
    """Give the folder .cache/<name>, which `make` fills once; two runs do not get in each other's way."""
    CACHE.mkdir(exist_ok=True)
    folder, done = CACHE / name, CACHE / f"{name}.done"
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            shutil.rmtree(folder, ignore_errors=True)
            make(folder)
            done.touch()
    return folder


def sdk_python() -> Path:
    """Give the interpreter of an environment that has the official SDK and nothing of ours, or skip the test."""
    return _python(f"sdk-{sys.version_info.major}.{sys.version_info.minor}-{SDK}", SDK)


def hosting_python() -> Path:
    """The same, with what hosts actors over HTTP, and what tests such an application."""
    return _python(f"testing-{sys.version_info.major}.{sys.version_info.minor}-{SDK}", SDK, *HOSTING, *TESTING)


def _python(name: str, *packages: str) -> Path:
    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", *packages)

    try:
        return cached(name, make) / "bin" / "python"
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the SDK could not be installed: pip install {' '.join(packages)}: {error.stderr[-300:]}")


def javascript(source: Path) -> Path:
    """Give a copy of this folder with the libraries that its package.json asks for, or skip the test."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("node or npm is missing: apt-get install nodejs npm")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

    def make(folder: Path) -> None:
        shutil.copytree(source, folder)
        run("npm", "install", "--prefix", folder, "--no-package-lock", "--no-audit", "--no-fund", "--silent")

    try:
        return cached(f"{source.name}-{version}", make)
    except subprocess.CalledProcessError as error:
        pytest.skip(f"npm install of {source.name} failed: {error.stderr[-300:]}")


def run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
