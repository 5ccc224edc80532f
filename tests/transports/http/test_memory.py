"""What a sidecar takes of the machine's memory under uploads that never end, and that it gives it back."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest

from tests.support.components import component
from tests.support.http import Socket, ask, request
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

MEGABYTE = 1 << 20
UPLOADS = 100
LIMIT = 100 * MEGABYTE  # above idle, while it lasts
LEFT = 20 * MEGABYTE  # above idle, soon after


def resident(sidecar: Sidecar) -> int:
    pages = Path(f"/proc/{sidecar.pid}/statm").read_text(encoding="ascii").split()[1]
    return int(pages) * 4096


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("chunked", [False, True])
def test_uploads_that_never_end_are_not_all_held(chunked: bool, tmp_path: Path) -> None:
    """100 of 4 MB, as much of each as is read: less than a fourth is held, others are served, and all comes back."""
    body = b"x" * (4 * MEGABYTE - 1)
    sent = request("POST", "/v1.0/state/mem", body + b"x")[:-1]
    if chunked:
        head = b"POST /v1.0/state/mem HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent = head + b"400000\r\n" + body
    with Sidecar(tmp_path, [component("mem", "state.in-memory")]) as sidecar:
        ask(sidecar.http_port, "GET", "/v1.0/healthz")
        idle = resident(sidecar)
        clients = [Socket(sidecar.http_port) for _ in range(UPLOADS)]
        at = dict.fromkeys(clients, 0)
        moved = 1
        while moved:  # until nothing is read of any
            moved = 0
            for client in clients:
                with contextlib.suppress(BlockingIOError):
                    client.raw.setblocking(False)
                    taken = client.raw.send(sent[at[client] : at[client] + MEGABYTE // 4])
                    at[client] += taken
                    moved += taken
            served = ask(sidecar.http_port, "POST", "/v1.0/state/mem", '[{"key":"k","value":1}]').code
            assert resident(sidecar) - idle < LIMIT
        for client in clients:
            client.raw.close()
        until(lambda: resident(sidecar) - idle < LEFT)

    assert served == 204


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_connection_that_rests_holds_nothing_of_its_last_request(tmp_path: Path) -> None:
    """60 connections that have each saved a megabyte, and stay open."""
    sent = request("POST", "/v1.0/state/mem", b'[{"key":"k","value":"%b"}]' % (b"x" * MEGABYTE))
    with Sidecar(tmp_path, [component("mem", "state.in-memory")]) as sidecar:
        ask(sidecar.http_port, "GET", "/v1.0/healthz")
        idle = resident(sidecar)
        clients = [Socket(sidecar.http_port) for _ in range(60)]
        codes = {client.send(sent).answer().code for client in clients}
        held = resident(sidecar) - idle
        for client in clients:
            client.raw.close()

    assert codes == {204}
    assert held < LEFT
