"""The other families of gRPC clients, in their own processes: grpc-js, grpc-go, and grpc-java on netty."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import families
from tests.support.families import MINUTES

if TYPE_CHECKING:
    from tests.serving.grpc.server import Server

SOURCES = Path(__file__).parent / "clients"


FAMILIES = {
    "javascript": families.javascript("probe.mjs"),
    "go": families.go(),
    "java": families.java("probe.Probe"),
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
    folder = families.built(SOURCES / name, family)
    done = subprocess.run(
        [*family.run, str(server.port)], cwd=folder, capture_output=True, text=True, check=True, timeout=MINUTES
    )
    found = dict(line.split("\t") for line in done.stdout.splitlines())

    assert {key: _plain_code(json.loads(value)) for key, value in found.items()} == EXPECTED


def _plain_code(value: object) -> object:
    """Write status codes in one way: the families differ in underscores, case, and the L of CANCELLED."""
    if isinstance(value, list) and value and isinstance(value[0], str):
        return [_plain_code(value[0]), *value[1:]]
    is_code = isinstance(value, str) and value[:1].isupper()
    return str(value).upper().replace("_", "").replace("CANCELLED", "CANCELED") if is_code else value
