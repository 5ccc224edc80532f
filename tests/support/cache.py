"""What takes long to make and stays the same - an environment, an unpacked archive - is made once, in .cache/."""

from __future__ import annotations

import fcntl
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
ORACLE = ROOT.parent / "shared" / "oracle"
SDK = "dapr==1.19.0"  # the official Python SDK


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


def oracle() -> Path:
    """Give the folder with the real daprd, or skip the test where its archive is missing."""
    unpack = ORACLE / "unpack.sh"
    if not unpack.exists():
        pytest.skip(f"the real daprd is missing: {unpack.relative_to(ROOT.parent)}")
    return cached("oracle", lambda folder: _run(unpack, folder))


def sdk_python() -> Path:
    """Give the interpreter of an environment that has the official SDK and nothing of ours, or skip the test."""

    def make(folder: Path) -> None:
        venv.create(folder, with_pip=True)
        _run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", SDK)

    try:
        return cached(f"sdk-{sys.version_info.major}.{sys.version_info.minor}-{SDK}", make) / "bin" / "python"
    except subprocess.CalledProcessError as error:
        pytest.skip(f"the SDK could not be installed: pip install {SDK}: {error.stderr[-300:]}")


def _run(*command: str | Path) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True, text=True)
