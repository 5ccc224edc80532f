"""The official Python SDK, unmodified, in its own process and environment."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.stores import STORES
from tests.support.waiting import until

if TYPE_CHECKING:
    from tests.support.sidecar import Daprd, Sidecar

PROGRAM = Path(__file__).with_name("sdk_program.py")

EXPECTED = {
    "saved": "one",
    "replaced": "two",
    "etag changed": True,
    "deleted": "",
    "bulk": [["b", "2", True], ["x", "", False], ["a", "1", True]],
    "transaction": ["1", "2", ""],
    "transaction refused": "ABORTED ERR_STATE_TRANSACTION",
    "stale etag": "ABORTED ERR_STATE_SAVE",
    "stale delete": "ABORTED ERR_STATE_DELETE",
    "first write": "ABORTED ERR_STATE_SAVE",
    "unknown store": "INVALID_ARGUMENT DAPR_STATE_NOT_FOUND",
    "illegal key": "INVALID_ARGUMENT DAPR_STATE_ILLEGAL_KEY",
    "kept": ["1", "1"],
    "ttl": "v",
    "bad ttl": "INTERNAL ERR_STATE_SAVE",
}


def _run(python: Path, server: Sidecar, store: str) -> dict[str, Any]:
    ports = {"DAPR_GRPC_PORT": str(server.grpc_port), "DAPR_HTTP_PORT": str(server.http_port)}
    environment = {**os.environ, **ports, "DAPR_HEALTH_TIMEOUT": "10"}
    command = [str(python), str(PROGRAM), store]
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 0, done.stderr + done.stdout
    seen: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return seen


@pytest.mark.parametrize("store", STORES)
def test_an_application_with_the_sdk_works(store: str, sidecar: Sidecar, sdk_python: Path) -> None:
    """Saves, reads, deletes, transactions, etags, options and TTL are answered as the SDK expects, on every store."""
    seen = _run(sdk_python, sidecar, store)
    with sidecar.client() as client:
        until(lambda: not client.get(store, "short").response, what="the value with a TTL of one second is gone")

    assert seen == EXPECTED


@pytest.mark.oracle
def test_the_program_sees_the_same_on_daprd(daprd: Daprd, sdk_python: Path) -> None:
    """Only the refused transaction differs: 500 for every conflict is one of daprd's ways that we left."""
    seen = _run(sdk_python, daprd, "lite")

    assert seen == {
        **EXPECTED,
        "bulk": [["a", "1", True], ["b", "2", True], ["x", "", False]],
        "transaction refused": "INTERNAL ERR_STATE_TRANSACTION",
    }
