"""The conformance suite of HTTP/2, h2spec, against the server."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle

if TYPE_CHECKING:
    from tests.serving.grpc.server import Server


@pytest.mark.oracle
def test_h2spec_passes(server: Server) -> None:
    """All of h2spec's cases pass, and none is skipped."""
    command = [oracle.program("h2spec"), "-h", "127.0.0.1", "-p", str(server.port), "-o", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert done.stdout.splitlines()[-1] == "146 tests, 146 passed, 0 skipped, 0 failed"
