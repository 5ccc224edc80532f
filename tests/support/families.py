"""Programs in other languages: built once, with their libraries, from a folder of the tests."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import cache

if TYPE_CHECKING:
    from pathlib import Path

MINUTES = 60
GO = ("go mod tidy", "go build -o probe .")
MAVEN = ("mvn -q -B package dependency:copy-dependencies",)
NPM = ("npm install --no-package-lock --no-audit --no-fund --silent",)


class Family(NamedTuple):
    """How a program is built and run; `tools` come with the Debian packages `packages`."""

    tools: tuple[str, ...]
    packages: str
    build: tuple[str, ...]
    run: tuple[str, ...]


def javascript(program: str) -> Family:
    return Family(("node", "npm"), "nodejs npm", NPM, ("node", program))


def go() -> Family:
    return Family(("go",), "golang-go, 1.24 or newer", GO, ("./probe",))


def java(main: str) -> Family:
    run = ("java", "-cp", "target/classes:target/dependency/*", main)
    return Family(("java", "mvn"), "default-jdk-headless maven", MAVEN, run)


def built(source: Path, family: Family) -> Path:
    """A copy of the folder, with what was made of it; the first run fetches the libraries."""
    missing = [tool for tool in family.tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing: apt-get install {family.packages}")
    files = sorted(path for path in source.rglob("*") if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

    def build(folder: Path) -> None:
        shutil.copytree(source, folder)
        for command in family.build:
            done = subprocess.run(
                command.split(), cwd=folder, capture_output=True, text=True, check=False, timeout=8 * MINUTES
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    return cache.cached(f"client-{source.name}-{version}", build)
