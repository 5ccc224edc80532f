"""How the console's page is served, to whom, and when it is not there."""

from __future__ import annotations

import gzip
import re
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from dapr_state.console import files
from tests.support.components import component
from tests.support.http import Answer, Socket, request
from tests.support.processes import free_port
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = [component("mem", "state.in-memory")]
PAGE = "/dapr-state/"


def get(port: int, path: str, method: str = "GET", **headers: str) -> Answer:
    with Socket(port) as client:
        return client.send(request(method, path, **headers)).answer(method)


@pytest.fixture(scope="module")
def sidecar(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("console"), MEMORY) as server:
        yield server


@pytest.mark.parametrize("path", sorted(files.load()))
def test_every_file_is_served_with_its_guards(path: str, sidecar: Sidecar) -> None:
    """As it is and compressed, under a policy that lets in nothing from elsewhere and nothing inline."""
    plain = get(sidecar.http_port, PAGE + path)
    zipped = get(sidecar.http_port, PAGE + path, Accept_Encoding="br, gzip")

    assert (plain.code, zipped.code) == (200, 200)
    assert gzip.decompress(zipped.body) == plain.body == files.load()[path].body
    assert zipped.header("ETag") != plain.header("ETag")
    policy = plain.header("Content-Security-Policy") or ""
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "require-trusted-types-for 'script'" in policy
    assert plain.header("X-Content-Type-Options") == "nosniff"
    assert plain.header("Cross-Origin-Resource-Policy") == "same-origin"


def test_the_page_is_the_index(sidecar: Sidecar) -> None:
    """Without its slash it is sent there, so that its files are found beside it."""
    assert get(sidecar.http_port, PAGE).body == files.load()[files.INDEX].body
    assert get(sidecar.http_port, f"{PAGE}?x=1").code == 200
    assert get(sidecar.http_port, PAGE, "HEAD").code == 200
    moved = get(sidecar.http_port, "/dapr-state")
    assert (moved.code, moved.header("Location")) == (308, PAGE)


def test_every_module_is_fetched_at_once() -> None:
    """The page names them all: otherwise a browser learns of each only from the one that imports it."""
    page = files.load()[files.INDEX].body.decode()

    assert set(re.findall(r'(?:href|src)="([^"]+\.js)"', page)) == {
        path for path in files.load() if path.endswith(".js")
    }


def test_a_file_that_the_browser_has_is_not_sent_again(sidecar: Sidecar) -> None:
    """304 for the etag of the form that it would get."""
    etag = get(sidecar.http_port, PAGE).header("ETag") or ""
    zipped = get(sidecar.http_port, PAGE, Accept_Encoding="gzip").header("ETag") or ""

    assert get(sidecar.http_port, PAGE, If_None_Match=etag).code == 304
    assert get(sidecar.http_port, PAGE, If_None_Match=zipped).code == 200
    assert get(sidecar.http_port, PAGE, If_None_Match=zipped, Accept_Encoding="gzip").code == 304


@pytest.mark.parametrize(
    "path", ["../console/files.py", "..%2ffiles.py", "%2e%2e/files.py", "files.py", "vendor", "vendor/", ".", "js/"]
)
def test_what_is_not_in_the_table_is_not_served(path: str, sidecar: Sidecar) -> None:
    """Whatever a path says, it is looked up, and never opened."""
    assert get(sidecar.http_port, PAGE + path).code == 404


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_is_written_to_the_page(method: str, sidecar: Sidecar) -> None:
    """It is read, and nothing else."""
    answer = get(sidecar.http_port, PAGE, method)

    assert (answer.code, answer.header("Allow")) == (405, "GET, HEAD")


def test_a_call_of_another_application_is_not_for_the_page(sidecar: Sidecar) -> None:
    """The header `dapr-app-id` makes any path service invocation, as in daprd."""
    assert get(sidecar.http_port, PAGE, **{"dapr-app-id": "other"}).json["errorCode"] == "ERR_DIRECT_INVOKE"


def test_a_page_of_another_site_is_refused(sidecar: Sidecar) -> None:
    """The console is no exception from whose pages may call."""
    assert get(sidecar.http_port, PAGE, Sec_Fetch_Site="cross-site").code == 403
    assert get(sidecar.http_port, PAGE, Origin="http://evil.example").code == 403


def test_what_a_page_must_know_first(sidecar: Sidecar) -> None:
    """Mode, ports, and whether a token is asked for."""
    about = get(sidecar.http_port, f"{PAGE}about.json")

    assert about.header("Cache-Control") == "no-store"
    assert about.json["mode"] == "read"
    assert (about.json["httpPort"], about.json["grpcPort"]) == (sidecar.http_port, sidecar.grpc_port)
    assert about.json["tokenNeeded"] is False


def test_it_can_be_off(tmp_path: Path) -> None:
    """Then its paths are as unknown as any, and nothing of it is in the process."""
    code = "import sys, dapr_state.runtime.servers; print([name for name in sys.modules if 'console' in name])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout

    with Sidecar(tmp_path, MEMORY, flags=["--console", "off"]) as sidecar:
        assert get(sidecar.http_port, PAGE).json["errorCode"] == "ERR_DIRECT_INVOKE"
    assert loaded == "[]\n"


def test_a_token_guards_data_and_not_the_page(tmp_path: Path) -> None:
    """A browser has no token to show when it opens a page; the page itself shows it with what it asks for."""
    port = free_port()
    flags = ["--console", "write", "--console-port", str(port)]
    with Sidecar(tmp_path, MEMORY, flags=flags, environment={"DAPR_API_TOKEN": "secret"}) as sidecar:
        assert get(port, PAGE).code == 200
        assert get(port, f"{PAGE}about.json").json["tokenNeeded"] is True
        assert get(port, "/dapr-state/v1/overview").code == 401
        assert get(port, "/v1.0/state/mem/a", dapr_api_token="secret").code == 404
        assert get(sidecar.http_port, PAGE, **{"dapr-api-token": "secret"}).json["errorCode"] == "ERR_DIRECT_INVOKE"


@pytest.mark.parametrize(("allowed", "is_there"), [("state", False), ("admin", True)])
def test_an_allow_list_that_does_not_name_it_closes_it(allowed: str, is_there: bool, tmp_path: Path) -> None:
    """It is the group `admin`, version `v1`."""
    config = tmp_path / "config.yaml"
    config.write_text(
        "apiVersion: dapr.io/v1alpha1\nkind: Configuration\nmetadata: {name: c}\n"
        f"spec: {{api: {{allowed: [{{name: {allowed}, version: v1, protocol: http}}]}}}}\n",
        encoding="utf-8",
    )
    with Sidecar(tmp_path, MEMORY, flags=["--config", str(config)]) as sidecar:
        for path in (PAGE, f"{PAGE}console.css", f"{PAGE}about.json"):
            assert (get(sidecar.http_port, path).code == 200) is is_there


@pytest.mark.parametrize(
    ("flags", "environment", "refusal"),
    [
        (["--console", "read", "--dapr-listen-addresses", "0.0.0.0"], {}, "set DAPR_API_TOKEN, or listen on 127.0.0.1"),
        (["--console", "maybe"], {}, "invalid value for 'console': maybe: use off, read or write"),
    ],
)
def test_it_does_not_start_where_anybody_could_look(
    flags: list[str], environment: dict[str, str], refusal: str, tmp_path: Path
) -> None:
    """Beyond loopback without a token it has to be off, and the line says what helps."""
    sidecar = Sidecar(tmp_path, MEMORY, flags=flags, environment=environment).launch()

    assert sidecar.wait() == 1
    assert refusal in sidecar.log()
    sidecar.close()
