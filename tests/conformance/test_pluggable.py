"""One pluggable component, used by daprd and by us: what callers are answered, and what each finds of the other."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from tests.support.client import FIRST_WRITE, item
from tests.support.components import component
from tests.support.http import ask, plain
from tests.support.pluggable import PluggableComponent
from tests.support.recorded import data
from tests.support.sidecar import Daprd, Sidecar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.support.client import Client
    from tests.support.recorded import Recorded

OWN = [["ErrorInfo", {"reason": "R", "domain": "D", "metadata": {"kit_error": "true", "http_code": "418"}}]]
ETAG = [["BadRequest", {"field_violations": [{"field": "etag", "description": "why"}]}]]
WRONG = "00000000-0000-4000-8000-000000000000"
COMPONENTS = [component("plug", "state.plugged"), component("few", "state.plugged", features="ETAG", largest="2")]


def fail(code: str, details: list[Any]) -> str:
    return "fail " + json.dumps({"code": code, "details": details})


REFUSED = {
    "plain": fail("INTERNAL", []),
    "mismatch": fail("FAILED_PRECONDITION", ETAG),
    "invalid": fail("INVALID_ARGUMENT", ETAG),
    "no details": fail("INVALID_ARGUMENT", []),
    "own": fail("NOT_FOUND", OWN),
    "rows": fail("INTERNAL", [["ErrorInfo", {"metadata": {"expected": "3", "affected": "1"}}]]),
}
CASES: dict[str, Callable[[Client], object]] = {
    "save and get": lambda client: [client.save("plug", item("a", b"1")), client.get("plug", "a").response["data"]],
    "missing": lambda client: client.get("plug", "nobody"),
    "several": lambda client: client.save("plug", item("b", b"2"), item("c", b"3")),
    "bulk get": lambda client: [
        (each["key"], each.get("data"), each.get("error"))
        for each in sorted(
            client.bulk_get("plug", "a", "b", "nobody").response["items"], key=lambda each: str(each["key"])
        )
    ],
    "stale etag": lambda client: client.save("plug", item("nobody", b"2", etag=WRONG)),
    "first-write": lambda client: client.save("plug", item("a", b"2", options=FIRST_WRITE)),
    "delete with a stale etag": lambda client: client.delete("plug", "nobody", etag=WRONG),
    "delete": lambda client: client.delete("plug", "a"),
    "bulk delete": lambda client: client.bulk_delete("plug", item("b"), item("c")),
    "transaction": lambda client: [
        client.transact("plug", ("upsert", item("t", b"1")), ("delete", item("b"))),
        client.get("plug", "t").response["data"],
    ],
    "transaction of a store that has none": lambda client: client.transact("few", ("upsert", item("t", b"1"))),
    **{f"{name}: save": lambda client, key=key: client.save("plug", item(key, b"1")) for name, key in REFUSED.items()},
    **{f"{name}: delete": lambda client, key=key: client.delete("plug", key) for name, key in REFUSED.items()},
    **{f"{name}: get": lambda client, key=key: client.get("plug", key) for name, key in REFUSED.items()},
    **{
        f"{name}: two": lambda client, key=key: client.save("plug", item(key, b"1"), item("x", b"1"))
        for name, key in REFUSED.items()
    },
    **{
        f"{name}: two deletes": lambda client, key=key: client.bulk_delete("plug", item(key), item("x"))
        for name, key in REFUSED.items()
    },
    **{
        f"{name}: transaction": lambda client, key=key: client.transact("plug", ("upsert", item(key, b"1")))
        for name, key in REFUSED.items()
        if name not in {"mismatch", "invalid"}  # these are 409 and 400 here, on every store
    },
}


def _over_http(key: str) -> dict[str, tuple[str, str, object]]:
    path = quote(key, safe="")
    operation = {"operation": "upsert", "request": {"key": key, "value": 1}}
    return {
        "save": ("POST", "/v1.0/state/plug", [{"key": key, "value": 1}]),
        "get": ("GET", f"/v1.0/state/plug/{path}", None),
        "delete": ("DELETE", f"/v1.0/state/plug/{path}", None),
        "bulk get": ("POST", "/v1.0/state/plug/bulk", {"keys": [key]}),
        "transaction": ("POST", "/v1.0/state/plug/transaction", {"operations": [operation]}),
    }


HTTP = {
    f"{kind}: {name}": request
    for kind, key in {"good": "h", **REFUSED}.items()
    for name, request in _over_http(key).items()
    if not (name == "transaction" and kind in {"mismatch", "invalid"})
}


@pytest.fixture(scope="module")
def process(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PluggableComponent]:
    with PluggableComponent(tmp_path_factory.mktemp("pluggable")) as process:
        yield process


@pytest.fixture(scope="module")
def sidecar(process: PluggableComponent) -> Iterator[Sidecar]:
    with Sidecar(process.folder, COMPONENTS, environment=process.environment, app_id="ours") as server:
        yield server


@pytest.fixture(scope="module")
def theirs(process: PluggableComponent, daprd_binary: Path) -> Iterator[Daprd]:
    with Daprd(daprd_binary, process.folder, COMPONENTS, environment=process.environment, app_id="theirs") as server:
        yield server


def over_grpc(server: Sidecar, case: Callable[[Client], object]) -> object:
    with server.client() as client:
        return case(client)


@pytest.mark.parametrize("name", CASES)
def test_callers_are_answered_as_by_daprd(sidecar: Sidecar, recorded: Recorded, name: str) -> None:
    """Codes, texts and details over gRPC."""
    expected = recorded(f"gRPC {name}", lambda daprd: over_grpc(daprd, CASES[name]), of="theirs")
    got = json.dumps(data(over_grpc(sidecar, CASES[name])))

    assert json.loads(got.replace("ours||", "theirs||")) == expected


def over_http(server: Sidecar, method: str, path: str, body: object) -> list[object]:
    answer = ask(server.http_port, method, path, None if body is None else json.dumps(body))
    return [answer.status.partition(" ")[2][:3], plain(answer.body)]


@pytest.mark.parametrize("name", HTTP)
def test_callers_over_http_are_answered_as_by_daprd(sidecar: Sidecar, recorded: Recorded, name: str) -> None:
    """Statuses and bodies."""
    expected = recorded(f"HTTP {name}", lambda daprd: over_http(daprd, *HTTP[name]), of="theirs")

    assert data(over_http(sidecar, *HTTP[name])) == expected


def test_metadata_tell_what_the_component_tells(sidecar: Sidecar, recorded: Recorded) -> None:
    """Its features in its words; and what actors make of them."""

    def told(server: Sidecar) -> object:
        return sorted(ask(server.http_port, "GET", "/v1.0/metadata").json["components"], key=lambda each: each["name"])

    assert told(sidecar) == recorded("metadata", told, of="theirs")
