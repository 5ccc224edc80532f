"""Where the real programs are that we are compared with: daprd 1.18, placement, scheduler, sentry, h2spec."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.cache import ROOT, cached, run

if TYPE_CHECKING:
    from collections.abc import Iterator

VERSION = "1.18"
UNPACK = ROOT.parent / "shared" / "oracle" / "unpack.sh"  # an archive of all of them, beside the repository
HOW = (
    f"`dapr init --slim --runtime-version {VERSION}.1` puts daprd, placement and scheduler into ~/.dapr/bin,"
    " h2spec is at github.com/summerwind/h2spec; on PATH or in the folder that DAPRD names they are found too"
)


def program(name: str) -> Path:
    """Give the program, or skip the test."""
    if found := find(name):
        return found
    pytest.skip(f"the real {name} is not here: {HOW}")


@cache
def find(name: str) -> Path | None:
    """In DAPRD, on PATH, where `dapr init --slim` puts it, or in the archive."""
    return next((path for path in _places(name) if path.is_file() and _is_that_version(path)), None)


def _places(name: str) -> Iterator[Path]:
    if given := os.environ.get("DAPRD"):
        place = Path(given).expanduser()
        yield (place if place.is_dir() else place.parent) / name
    if found := shutil.which(name):
        yield Path(found)
    yield Path("~/.dapr/bin").expanduser() / name
    if UNPACK.exists():
        yield cached("oracle", lambda folder: run(UNPACK, folder)) / name


def _is_that_version(path: Path) -> bool:
    """Only daprd says which it is; one that was built by hand calls itself `edge`."""
    if path.name != "daprd":
        return True
    told = subprocess.run([path, "--version"], capture_output=True, text=True, check=False).stdout.strip()
    return told == "edge" or told.startswith(VERSION)
