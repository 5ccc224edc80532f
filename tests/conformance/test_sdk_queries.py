"""The query calls of the official SDKs, unmodified, each in its own process and language."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import families
from tests.support.families import MINUTES
from tests.support.http import ask
from tests.support.stores import STORES

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.sidecar import Sidecar

SOURCES = Path(__file__).with_name("sdk_queries")
FAMILIES = {
    "javascript": families.javascript("queries.mjs"),
    "go": families.go(),
    "java": families.java("queries.Queries"),
}
SAVED = {"a": {"city": "Bern", "total": 9}, "b": {"city": "Bern", "total": 120}, "c": {"city": "Chur", "total": 1}}
REFUSED = 'failed to parse JSON query body: unsupported filter "FOO" at filter'


def asked(command: Sequence[str | Path], sidecar: Sidecar, store: str, folder: Path | None = None) -> list[Any]:
    """What the program saw, by each of the transports that it uses."""
    body = json.dumps([{"key": key, "value": value} for key, value in SAVED.items()])
    assert ask(sidecar.http_port, "POST", f"/v1.0/state/{store}", body).code == 204
    words = [*map(str, command), str(sidecar.grpc_port), str(sidecar.http_port), store]
    ports = {"DAPR_GRPC_PORT": str(sidecar.grpc_port), "DAPR_HTTP_PORT": str(sidecar.http_port)}
    environment = {**os.environ, **ports}  # the SDK of Python asks there whether the sidecar is well
    done = subprocess.run(
        words, cwd=folder, env=environment, capture_output=True, text=True, check=False, timeout=MINUTES
    )
    assert done.returncode == 0, done.stderr + done.stdout
    seen = json.loads(done.stdout.splitlines()[-1])
    return seen if isinstance(seen, list) else [seen]


def check(seen: list[Any]) -> None:
    for each in seen:
        assert each["keys"] == ["b", "a"]
        assert each["data"] == [SAVED["b"], SAVED["a"]]
        assert REFUSED in each["refused"].replace("\\", "")


@pytest.mark.parametrize("store", STORES)
def test_the_python_sdk_queries(store: str, sidecar: Sidecar, sdk_python: Path) -> None:
    """Filter, order, page after page to the end, and what is refused, on every store."""
    check(asked([sdk_python, SOURCES / "queries.py"], sidecar, store))


@pytest.mark.timeout(10 * MINUTES)  # the first run fetches the libraries
@pytest.mark.parametrize("name", FAMILIES)
def test_the_other_sdks_query(name: str, sidecar: Sidecar) -> None:
    """The same in other languages; that of JavaScript over gRPC and over HTTP."""
    family = FAMILIES[name]
    seen = asked(family.run, sidecar, "lite", families.built(SOURCES / name, family))

    check(seen)
    assert len(seen) == (2 if name == "javascript" else 1)
