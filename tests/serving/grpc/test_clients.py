"""The other families of gRPC clients, in their own processes: grpc-js, grpc-go, and grpc-java on netty."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest

from tests.support import cache

if TYPE_CHECKING:
    from tests.serving.grpc.server import Server

SOURCES = Path(__file__).parent / "clients"
MINUTES = 60


class Family(NamedTuple):
    """How a client is built and run; `tools` come with the Debian packages `packages`."""

    tools: tuple[str, ...]
    packages: str
    build: tuple[str, ...]
    run: tuple[str, ...]


FAMILIES = {
    "javascript": Family(
        ("node", "npm"),
        "nodejs npm",
        ("npm install --no-package-lock --no-audit --no-fund --silent",),
        ("node", "probe.mjs"),
    ),
    "go": Family(("go",), "golang-go, 1.24 or newer", ("go mod tidy", "go build -o probe ."), ("./probe",)),
    "java": Family(
        ("java", "mvn"),
        "default-jdk-headless maven",
        ("mvn -q -B package dependency:copy-dependencies",),
        ("java", "-cp", "target/classes:target/dependency/*", "probe.Probe"),
    ),
}

EXPECTED = {
    "unary": "hello",
    "large": 4_000_000,
    "too large": ["RESOURCEEXHAUSTED", "grpc: received message larger than max (4194305 vs. 4194304)"],
    "abort": ["FAILEDPRECONDITION", "größer"],
    "deadline": "DEADLINEEXCEEDED",
    "cancel": "CANCELED",
    "parallel": True,
    "server stream": 2000,
    "client stream": "1000000",
    "both stream": [1, 100_000, 0, 5],
    "metadata": "fffe",
}


@pytest.mark.timeout(10 * MINUTES)  # the first run fetches the libraries
@pytest.mark.parametrize("name", FAMILIES)
def test_another_family_of_clients(server: Server, name: str) -> None:
    """All kinds of calls work: large ones, errors, deadlines, cancellation, metadata, a thousand at once."""
    family = FAMILIES[name]
    folder = _built(name, family)
    done = subprocess.run(
        [*family.run, str(server.port)], cwd=folder, capture_output=True, text=True, check=True, timeout=MINUTES
    )
    found = dict(line.split("\t") for line in done.stdout.splitlines())

    assert {key: _plain_code(json.loads(value)) for key, value in found.items()} == EXPECTED


def _built(name: str, family: Family) -> Path:
    missing = [tool for tool in family.tools if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"{' and '.join(missing)} missing: apt-get install {family.packages}")
    source = SOURCES / name
    files = sorted(path for path in source.rglob("*") if path.is_file())
    version = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:12]

    def build(folder: Path) -> None:
        shutil.copytree(source, folder)
        for command in family.build:
            done = subprocess.run(
                command.split(), cwd=folder, capture_output=True, text=True, check=False, timeout=8 * MINUTES
            )
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"

    return cache.cached(f"client-{name}-{version}", build)


def _plain_code(value: object) -> object:
    """Write status codes in one way: the families differ in underscores, case, and the L of CANCELLED."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [_plain_code(value[0]), *value[1:]]
    is_code = isinstance(value, str) and value[:1].isupper()
    return str(value).upper().replace("_", "").replace("CANCELLED", "CANCELED") if is_code else value
