"""What a web page that is open on the same machine can do to a sidecar: nothing; and other clients notice nothing.

Daprd answers all of these: README, row 17.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.components import component
from tests.support.http import Answer, Socket
from tests.support.http2 import Http2Client, head
from tests.support.processes import free_port
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = [component("mem", "state.in-memory")]
SAVE = ("POST", b"/v1.0/state/mem", b'[{"key":"page","value":1}]')
READ = ("GET", b"/v1.0/state/mem/page", b"")
VERSIONS = (1, 2)

# How a page of evil.example reaches us: by a form or a simple request, by an image, or under its own name
PAGES = {
    "a simple request": {"Host": "localhost", "Origin": "http://evil.example", "Content-Type": "text/plain"},
    "of another site": {"Host": "127.0.0.1", "Sec-Fetch-Site": "cross-site", "Content-Type": "text/plain"},
    "under its own name": {"Host": "evil.example", "Sec-Fetch-Site": "same-origin", "Origin": "http://evil.example"},
    "under its own name, old": {"Host": "evil.example:3500"},
    "from a sandbox": {"Host": "localhost", "Origin": "null"},
}
CLIENTS = [
    *({"Host": host} for host in ("localhost", "127.0.0.1", "127.0.0.1:3500", "[::1]:3500", "app.localhost")),
    {"Host": "localhost", "User-Agent": "DaprSDK/python", "dapr-app-id": ""},
    {"Host": "localhost", "Sec-Fetch-Mode": "cors", "User-Agent": "node"},
    {"Host": "localhost", "Origin": "http://localhost:8080", "Sec-Fetch-Site": "same-site"},
]


def send(version: int, port: int, what: tuple[str, bytes, bytes], headers: dict[str, str]) -> Answer:
    method, path, body = what
    if version == 1:
        lines = [b"%b: %b" % (name.encode(), value.encode()) for name, value in headers.items()]
        with Socket(port) as client:
            first = b"%b %b HTTP/1.1" % (method.encode(), path)
            client.send(b"\r\n".join((first, *lines, b"Content-Length: %d" % len(body), b"", b"")) + body)
            return client.answer()
    fields = [(name.lower().encode(), value.encode()) for name, value in headers.items() if name != "Host"]
    with Http2Client(port) as client2:
        stream = client2.open(head(method, path, *fields, authority=headers["Host"].encode()), ended=not body)
        if body:
            client2.h2.send_data(stream, body, end_stream=True)
            client2.flush()
        return client2.answer(stream)


@pytest.fixture(scope="module")
def local(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("local"), MEMORY, flags=["--enable-api-logging"]) as sidecar:
        yield sidecar


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.parametrize("what", [SAVE, READ, ("POST", b"/v1.0/shutdown", b""), ("GET", b"/nowhere", b"")])
def test_a_page_of_another_origin_is_refused(
    what: tuple[str, bytes, bytes], page: str, version: int, local: Sidecar
) -> None:
    """403 on every path, in both versions, with the option that would let it in; nothing is written."""
    answer = send(version, local.http_port, what, PAGES[page])

    assert answer.code == 403
    assert answer.json["errorCode"] in {"ERR_FOREIGN_HOST", "ERR_FOREIGN_ORIGIN"}
    assert "--allowed-" in answer.json["message"]
    assert answer.header("Access-Control-Allow-Origin") is None
    assert send(1, local.http_port, READ, {"Host": "localhost"}).code == 204


@pytest.mark.oracle
@pytest.mark.parametrize("page", PAGES)
def test_daprd_lets_every_page_in(page: str, tmp_path: Path, daprd_binary: Path) -> None:
    """So the difference is one, and if daprd closes the hole this says so."""
    with Daprd(daprd_binary, tmp_path, MEMORY) as daprd:
        wrote = send(1, daprd.http_port, SAVE, PAGES[page])
        read = send(1, daprd.http_port, READ, PAGES[page])

    assert (wrote.code, read.body) == (204, b"1")


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("headers", CLIENTS)
def test_clients_that_are_no_browsers_and_pages_of_this_machine_are_served(
    headers: dict[str, str], version: int, local: Sidecar
) -> None:
    """By whatever name of loopback they call it."""
    assert send(version, local.http_port, ("GET", b"/v1.0/state/mem/other", b""), headers).code == 204


def test_a_request_without_a_host_is_served(local: Sidecar) -> None:
    """HTTP/1.0 has none, and no browser speaks it."""
    with Socket(local.http_port) as client:
        assert client.send(b"GET /v1.0/healthz HTTP/1.0\r\n\r\n").answer().code == 204


def test_what_is_refused_is_in_the_api_log_and_the_metrics(tmp_path: Path) -> None:
    """Whoever looks for the reason finds the request, its status and its error."""
    port = free_port()
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
        "spec: {metrics: {recordErrorCodes: true}}\n",
        encoding="utf-8",
    )
    flags = ["--enable-api-logging", "--metrics-port", str(port), "--config", str(config)]
    with Sidecar(tmp_path, MEMORY, flags=flags) as sidecar:
        send(1, sidecar.http_port, SAVE, PAGES["a simple request"])
        log = until(lambda: [line for line in sidecar.log().splitlines() if "HTTP API Called" in line])
        page = send(1, port, ("GET", b"/", b""), {"Host": "localhost"}).body.decode()

    assert any("POST /v1.0/state/mem" in line and "403" in line for line in log)
    assert any(
        line.startswith("dapr_http_server_latency_count") and 'status="403"' in line for line in page.split("\n")
    )
    assert 'error_code="ERR_FOREIGN_ORIGIN"' in page


@pytest.mark.parametrize(
    ("flags", "environment", "headers", "code"),
    [
        (["--allowed-hosts", "sidecar,*.example"], {}, {"Host": "sidecar:3500"}, 204),
        (["--allowed-hosts", "sidecar,*.example"], {}, {"Host": "evil.test"}, 403),
        (["--allowed-origins", "http://page.example"], {}, {"Host": "localhost", "Origin": "http://page.example"}, 204),
        (["--allowed-origins", "http://page.example"], {}, {"Host": "localhost", "Origin": "http://evil.test"}, 403),
        (["--dapr-listen-addresses", "0.0.0.0"], {}, {"Host": "sidecar.internal:3500"}, 204),
        (["--dapr-listen-addresses", "0.0.0.0"], {}, {"Host": "sidecar", "Origin": "http://evil.test"}, 403),
        ([], {"DAPR_API_TOKEN": "t"}, {"Host": "sidecar", "dapr-api-token": "t"}, 204),
        ([], {"DAPR_API_TOKEN": "t"}, {"Host": "x", "dapr-api-token": "t", "Origin": "http://evil.test"}, 403),
    ],
)
def test_options_name_other_hosts_and_origins(
    flags: list[str], environment: dict[str, str], headers: dict[str, str], code: int, tmp_path: Path
) -> None:
    """Who listens for other machines, or has a token, is called by any name; pages of others stay out."""
    with Sidecar(tmp_path, MEMORY, flags=flags, environment=environment) as sidecar:
        assert send(1, sidecar.http_port, READ, headers).code == code
