"""One pluggable component, used by daprd and by us: what callers are answered, and what each finds of the other."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any, cast
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
TAGGED = REFUSED["own"].replace('"418"', '"418", "tag": "TEAPOT"')
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


WHO = "theirs"  # in the place of the sidecar's own name


def _query(**query: object) -> tuple[str, str, object]:
    return "POST", "/v1.0-alpha1/state/plug/query?metadata.m=1", {"filter": {"EQ": {"who": WHO}}, **query}


SAID: dict[str, tuple[str, str, object]] = {
    "save": (
        "POST",
        "/v1.0/state/plug?metadata.u=1&metadata.partitionKey=p",
        [
            {
                "key": "said",
                "value": {"who": WHO},
                "contentType": "text/x",
                "metadata": {"m": "1", "ttlInSeconds": "1000"},
                "options": {"concurrency": "last-write", "consistency": "eventual"},
            }
        ],
    ),
    "saves": (
        "POST",
        "/v1.0/state/plug",
        [
            {"key": "said", "value": {"who": WHO}},
            {"key": "too", "value": {"who": WHO}, "metadata": {"m": "2"}, "options": {"consistency": "strong"}},
            {"key": "unreadable", "value": {"who": WHO}},
        ],
    ),
    "get": ("GET", "/v1.0/state/plug/said?metadata.m=1&consistency=strong", None),
    "get of an unknown consistency": ("GET", "/v1.0/state/plug/said?consistency=odd&metadata.m=", None),
    "gets": ("POST", "/v1.0/state/plug/bulk?metadata.m=1", {"keys": ["said", "no"], "metadata": {"x": "y", "m": "2"}}),
    "transaction": (
        "POST",
        "/v1.0/state/plug/transaction?metadata.u=1",
        {
            "operations": [
                {
                    "operation": "upsert",
                    "request": {"key": "t", "value": 1, "contentType": "x", "metadata": {"m": "1"}},
                },
                {"operation": "delete", "request": {"key": "t", "options": {"consistency": "strong"}}},
            ]
        },
    ),
    "query": _query(),
    "query with order and page": _query(sort=[{"key": "a.b", "order": "DESC"}, {"key": "c"}], page={"limit": 2}),
    "query that goes on": _query(sort=[{"key": "a", "order": "DESC"}], page={"limit": 2, "token": "2"}),
    "query for nothing": ("POST", "/v1.0-alpha1/state/plug/query", {"filter": {"EQ": {"who": "nobody"}}}),
    "query with groups": (
        "POST",
        "/v1.0-alpha1/state/plug/query",
        {"filter": {"AND": [{"IN": {"a.b": ["<x>", 1.5]}}, {"OR": [{"GT": {"n": 1}}, {"NEQ": {"n": None}}]}]}}
    ),
    "query that is refused": (
        "POST",
        "/v1.0-alpha1/state/plug/query?metadata.fail=" + quote(REFUSED["invalid"], safe=""),
        {"filter": {"EQ": {"who": WHO}}},
    ),
    "query that is refused in the component's own words": (
        "POST",
        "/v1.0-alpha1/state/plug/query?metadata.fail=" + quote(REFUSED["own"], safe=""),
        {"filter": {"EQ": {"who": WHO}}},
    ),
    "query that is refused in the component's own words, with a tag": (
        "POST",
        "/v1.0-alpha1/state/plug/query?metadata.fail=" + quote(TAGGED, safe=""),
        {"filter": {"EQ": {"who": WHO}}},
    ),
    "delete": ("DELETE", "/v1.0/state/plug/said?metadata.m=1&consistency=strong&concurrency=first-write", None),
}  # fmt: skip


def _said(server: Sidecar, name: str, who: str) -> list[object]:
    """What the caller is answered, and what the component has heard."""
    method, path, body = SAID[name]
    ask(server.http_port, "GET", "/v1.0/state/plug/heard")
    answer = ask(server.http_port, method, path, json.dumps(body).replace(WHO, who) if body else None)
    heard = ask(server.http_port, "GET", "/v1.0/state/plug/heard").json
    for _, request, _ in heard:
        for each in (request, *request.get("items", ())):
            if "value" in each:  # how JSON is written is each one's own
                each["value"] = json.loads(base64.b64decode(each["value"]))
    told = json.loads(plain(answer.body) or "null")
    if isinstance(told, list):  # of a bulk get, which daprd answers in any order
        told.sort(key=lambda each: each["key"])
    seen = [answer.status.partition(" ")[2][:3], told, heard]
    return cast("list[object]", json.loads(json.dumps(seen).replace(who, WHO)))


@pytest.mark.parametrize("name", SAID)
def test_the_component_hears_from_us_what_it_hears_from_daprd(sidecar: Sidecar, recorded: Recorded, name: str) -> None:
    """All that a caller says beside what he asks for, and queries with their pages; and he is answered the same."""
    expected = recorded(f"said: {name}", lambda daprd: _said(daprd, name, "theirs"), of="theirs")

    assert _said(sidecar, name, "ours") == expected


def test_the_metadata_of_a_transaction_are_passed_on(sidecar: Sidecar) -> None:
    """With it, as by daprd, and with each operation, as on every store: its own go before them."""
    with sidecar.client() as client:
        client.get("plug", "heard")
        own = item("t", b"1", metadata={"m": "1"})
        client.transact("plug", ("upsert", own), ("delete", item("t")), metadata={"m": "2", "ttlInSeconds": "1000"})
        ((kind, heard, _),) = json.loads(client.get("plug", "heard").response["data"])

    first, second = (next(iter(each.values())) for each in heard["operations"])
    assert (kind, heard["metadata"]) == ("TransactionalStateRequest", {"m": "2", "ttlInSeconds": "1000"})
    assert first["metadata"] == {"m": "1", "ttlInSeconds": "1000"}
    assert second["metadata"] == heard["metadata"]


def test_metadata_tell_what_the_component_tells(sidecar: Sidecar, recorded: Recorded) -> None:
    """Its features in its words; and what actors make of them."""

    def told(server: Sidecar) -> object:
        return sorted(ask(server.http_port, "GET", "/v1.0/metadata").json["components"], key=lambda each: each["name"])

    assert told(sidecar) == recorded("metadata", told, of="theirs")
