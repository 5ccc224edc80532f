"""`--wait`: until the sidecar can be called."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING

from dapr_state.runtime.wait import until_ready
from tests.support.processes import free_port

if TYPE_CHECKING:
    import pytest


class _LateSidecar(HTTPServer):
    """Answers 500 twice, then 204."""

    answers = (500, 500, 204)

    def __init__(self) -> None:
        super().__init__(("localhost", 0), _Handler)
        self.paths: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: _LateSidecar

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        self.send_response(self.server.answers[len(self.server.paths) - 1])
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Keep quiet."""


def test_it_waits_until_the_sidecar_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    """It asks again until the answer is 204, and tells on stderr what it sees."""
    with _LateSidecar() as sidecar:
        threading.Thread(target=sidecar.serve_forever, daemon=True).start()
        ready = until_ready(str(sidecar.server_port))
        sidecar.shutdown()

    printed = capsys.readouterr()
    url = f"http://localhost:{sidecar.server_port}/v1.0/healthz/outbound"
    assert (ready, printed.out, sidecar.paths) == (True, "", ["/v1.0/healthz/outbound"] * 3)
    assert printed.err.splitlines() == [
        f"Waiting for Dapr to be outbound ready (timeout: 60 seconds): url={url}",
        "",
        f'Dapr outbound NOT ready yet: Get "{url}": HTTP Error 500: Internal Server Error',
        f'Dapr outbound NOT ready yet: Get "{url}": HTTP Error 500: Internal Server Error',
        "Dapr is outbound ready!",
    ]


def test_it_gives_up_in_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Where nobody listens, it ends after its time with the last reason."""
    ready = until_ready(str(free_port()), timeout=0.05)

    last = capsys.readouterr().err.splitlines()[-1]
    assert ready is False
    assert last.startswith("timeout waiting for Dapr to become outbound ready. Last error: ")
    assert last.endswith("Connection refused>")
