"""The table of the administration API beside what is declared, what is served, and who may call it."""

from __future__ import annotations

import re
import subprocess
import sys
from collections import Counter
from typing import TYPE_CHECKING

import grpc
import pytest
import yaml
from dapr_state_proto.admin.v1 import admin_pb2

from dapr_state.admin import table
from tests.support.admin import RPCS, Admin, Refused, http
from tests.support.components import component
from tests.support.http import Socket, ask
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MEMORY = [component("memory", "state.in-memory")]
DECLARED = {method.name for service in admin_pb2.DESCRIPTOR.services_by_name.values() for method in service.methods}


def test_every_call_has_one_row() -> None:
    """And no row is for anything else; no two have the same route."""
    routes = Counter(route for rpc in table.RPCS for route in rpc.routes)

    assert Counter(rpc.name for rpc in table.RPCS) == Counter(DECLARED)
    assert set(routes.values()) == {1}


def test_every_place_of_a_route_is_a_field() -> None:
    """Of the request, also within a message of it."""
    for rpc in table.RPCS:
        for _, path in rpc.routes:
            for place in (part.partition("}")[0] for part in path.split("{")[1:]):
                message = rpc.request()
                for name in place.split("."):
                    assert name in message.DESCRIPTOR.fields_by_name, f"{rpc.name}: {place}"
                    message = getattr(message, name)


@pytest.fixture(scope="module")
def readable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    """As it is when nobody says anything about it."""
    with Sidecar(tmp_path_factory.mktemp("readable"), MEMORY) as sidecar:
        yield sidecar


@pytest.mark.parametrize("name", sorted(rpc.name for rpc in table.RPCS if rpc.changes))
def test_what_changes_something_is_not_there_to_readers(name: str, readable: Sidecar) -> None:
    """It is not registered: hiding it in a page is no boundary."""
    with pytest.raises(Refused) as refused:
        Admin(readable, "grpc").call(name)
    assert refused.value.status == "UNKNOWN"  # as every method that nobody knows
    verb, path = RPCS[name].routes[-1]
    target = table.BASE + path.replace("{", "").replace("}", "")
    assert http(readable.http_port, verb, target, b"{}").json["errorCode"] == "ERR_DIRECT_INVOKE"


def test_a_call_for_another_application_is_none_of_ours(readable: Sidecar) -> None:
    """The header makes any path a call of a service, as in daprd."""
    answer = http(readable.http_port, "GET", "/dapr-state/v1/overview", dapr_app_id="other")

    assert answer.json["errorCode"] == "ERR_DIRECT_INVOKE"
    assert http(readable.http_port, "GET", "/dapr-state/v1/overview").json["readOnly"] is True


@pytest.mark.parametrize(
    "headers",
    [
        {"content_type": "application/json"},
        {"x_dapr_state": "1"},
        {"x_dapr_state": "1", "content_type": "text/plain"},
        {"x_dapr_state": "0", "content_type": "application/json"},
    ],
)
def test_a_change_needs_what_no_page_sends_unasked(headers: dict[str, str], writable: Sidecar) -> None:
    """A header of its own, and a type of body that a form does not have."""
    target = "/dapr-state/v1/state/memory/entry"
    answer = ask(writable.http_port, "POST", target, '{"key": "k", "json": "1"}', **headers)

    assert (answer.code, answer.json["errorCode"]) == (403, "ERR_ADMIN_GUARD")


def test_pages_of_others_are_refused(writable: Sidecar) -> None:
    """By origin, by site and by host."""
    target = "/dapr-state/v1/overview"
    for headers in ({"Origin": "http://evil.example"}, {"Sec_Fetch_Site": "cross-site"}):
        assert ask(writable.http_port, "GET", target, **headers).code == 403
    evil = b"GET /dapr-state/v1/overview HTTP/1.1\r\nHost: evil.example\r\n\r\n"
    with Socket(writable.http_port) as client:
        assert client.send(evil).answer().code == 403


@pytest.mark.parametrize(("verb", "path"), sorted({route for rpc in table.RPCS for route in rpc.routes}))
def test_no_route_answers_a_page_of_others(verb: str, path: str, writable: Sidecar) -> None:
    """Whatever it asks for and however: under a name of its own, from its own origin, or as a form."""
    target = table.BASE + re.sub(r"\{[^}]*\}", "memory", path)
    told = [
        http(writable.http_port, verb, target, **headers).code
        for headers in (
            {"Origin": "http://evil.example"},
            {"Origin": "null"},
            {"Sec_Fetch_Site": "cross-site"},
        )
    ]

    with Socket(writable.http_port) as client:
        by_name = client.send(f"{verb} {target} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode()).answer()

    assert [*told, by_name.code] == [403] * 4


def test_a_token_is_asked_for(tmp_path: Path) -> None:
    """On both transports."""
    with Sidecar(tmp_path, MEMORY, environment={"DAPR_API_TOKEN": "secret"}) as sidecar:
        with pytest.raises(Refused) as refused:
            Admin(sidecar, "grpc").call("GetOverview")
        assert refused.value.status == "UNAUTHENTICATED"
        assert http(sidecar.http_port, "GET", "/dapr-state/v1/overview").code == 401
        assert http(sidecar.http_port, "GET", "/dapr-state/v1/overview", dapr_api_token="secret").code == 200


def listed(folder: Path, kind: str, rule: dict[str, str]) -> list[str]:
    """The flags of a sidecar with this rule in a list."""
    file = folder / "config.yaml"
    spec = {"api": {kind: [rule]}}
    file.write_text(yaml.safe_dump({"kind": "Configuration", "metadata": {"name": "c"}, "spec": spec}))
    return ["--config", str(file)]


def served(sidecar: Sidecar) -> tuple[bool, bool]:
    """Whether it answers over gRPC, and over HTTP."""
    try:
        Admin(sidecar, "grpc").call("GetOverview")
    except Refused:
        over_grpc = False
    else:
        over_grpc = True
    return over_grpc, http(sidecar.http_port, "GET", "/dapr-state/v1/overview").code == 200


def test_it_is_off_by_one_flag(tmp_path: Path) -> None:
    """On both transports, and no reflection tells of it."""
    with Sidecar(tmp_path, MEMORY, flags=["--console", "off"]) as sidecar:
        assert served(sidecar) == (False, False)


@pytest.mark.parametrize(
    ("protocol", "rule", "expected"),
    [
        ("http", {"name": "state", "version": "v1"}, (True, False)),
        ("grpc", {"name": "state", "version": "v1"}, (False, True)),
        ("http", {"name": "admin", "version": "v1"}, (True, True)),
        ("grpc", {"name": "admin", "version": "v1"}, (True, True)),
    ],
)
def test_an_allow_list_has_to_name_it(
    protocol: str, rule: dict[str, str], expected: tuple[bool, bool], tmp_path: Path
) -> None:
    """Else it is closed, as all that the list does not name."""
    flags = listed(tmp_path, "allowed", {**rule, "protocol": protocol})
    with Sidecar(tmp_path, MEMORY, flags=flags) as sidecar:
        assert served(sidecar) == expected


@pytest.mark.parametrize("protocol", ["http", "grpc"])
def test_a_deny_list_closes_it(protocol: str, tmp_path: Path) -> None:
    """On the transport that it names."""
    rule = {"name": "admin", "version": "v1", "protocol": protocol}
    with Sidecar(tmp_path, MEMORY, flags=listed(tmp_path, "denied", rule)) as sidecar:
        assert served(sidecar) == (protocol != "grpc", protocol != "http")


def test_reflection_tells_of_it(writable: Sidecar) -> None:
    """So grpcurl needs no files; health knows the services, too."""
    from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc  # noqa: PLC0415

    with grpc.insecure_channel(writable.address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)  # type: ignore[no-untyped-call]
        ask = reflection_pb2.ServerReflectionRequest
        (listed,) = stub.ServerReflectionInfo(iter([ask(list_services="")]))
        (file,) = stub.ServerReflectionInfo(iter([ask(file_containing_symbol="dapr_state.admin.v1.State")]))

    names = {each.name for each in listed.list_services_response.service}
    assert {"dapr_state.admin.v1.State", "dapr_state.admin.v1.Runtime"} <= names
    assert file.file_descriptor_response.file_descriptor_proto


def test_nothing_of_it_is_imported_where_it_is_off() -> None:
    """Whoever does not want it does not pay for it."""
    program = "import sys, dapr_state.runtime.sidecar; print(sorted(name for name in sys.modules if 'admin' in name))"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True)

    assert done.stdout.strip() == "[]"
