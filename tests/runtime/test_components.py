"""What becomes of each component file, as metadata and metrics tell it, beside daprd."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.support.components import component
from tests.support.configured import samples
from tests.support.http import ask
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Component

FAILED = "dapr_runtime_component_init_fail_total"
COUNTED = ("dapr_runtime_component_init_total", "dapr_runtime_component_loaded")


def optional(made: Component, **more: Any) -> Component:
    made["spec"] |= {"ignoreErrors": True, **more}
    return made


def encrypted(name: str, secret: str) -> Component:
    made = component(name, "state.in-memory") | {"auth": {"secretStore": "flat"}}
    made["spec"]["metadata"] = [{"name": "primaryEncryptionKey", "secretKeyRef": {"name": secret}}]
    return made


def secrets(folder: Path, name: str, **more: str) -> Component:
    file = folder / "secrets.json"
    file.write_text(json.dumps({"good": "00" * 16, "bad": "xyz"}))
    return component(name, "secretstores.local.file", secretsFile=str(file), **more)


def of_all_kinds(folder: Path) -> list[Component]:
    """Good ones, and each way to fail."""
    return [
        component("plain", "state.in-memory"),
        component("environment", "secretstores.local.env"),
        secrets(folder, "flat"),
        secrets(folder, "multi", multiValued="true"),
        encrypted("encrypted", "good"),
        optional(encrypted("key", "bad")),
        optional(component("kind", "state.nosuch")),
        optional(component("version", "state.in-memory"), version="v9"),
        optional(component("path", "state.sqlite", connectionString="/nonexistent/folder/x.db")),
        optional(component("property", "state.sqlite", connectionString=str(folder / "x.db"), timeout="soon")),
        optional(component("template", "state.in-memory", field="{podName}")),
        optional(component("block", "foo.bar")),
        optional(component("secretkind", "secretstores.nosuch")),
        optional(component("secretfile", "secretstores.local.file", secretsFile="/nonexistent.json")),
    ]


def registered(sidecar: Sidecar) -> list[Any]:
    found = ask(sidecar.http_port, "GET", "/v1.0/metadata").json["components"]
    return sorted(found, key=lambda each: str(each["name"]))


@pytest.mark.oracle
def test_components_are_listed_and_counted_as_by_daprd(tmp_path: Path, daprd_binary: Path) -> None:
    """Secret stores too, with what they can do; a failure is counted under daprd's reasons."""
    components = of_all_kinds(tmp_path)
    with Sidecar(tmp_path, components) as ours, Daprd(daprd_binary, tmp_path, components) as theirs:
        counted = [{name: samples(each, name) for name in COUNTED} for each in (ours, theirs)]
        failed = [samples(each, FAILED) for each in (ours, theirs)]
        listed = [registered(each) for each in (ours, theirs)]

    assert [each["name"] for each in listed[0]] == ["encrypted", "environment", "flat", "multi", "plain"]
    assert listed[0] == listed[1]
    assert counted[0] == counted[1]
    # daprd's own name resolution may fail as well, and most of its failures count twice for `init`
    assert failed[0] == {series: 1 for series in failed[1] if series[0] != "nameResolution"}


def test_secret_stores_are_listed_over_both_transports(tmp_path: Path, grpc_server: str) -> None:
    """They stand before the state stores, which may need them."""
    components = [component("plain", "state.in-memory"), secrets(tmp_path, "multi", multiValued="true")]
    with Sidecar(tmp_path, components, grpc_server=grpc_server) as sidecar, sidecar.client() as client:
        over_grpc = client.metadata().response["registered_components"]
        over_http = ask(sidecar.http_port, "GET", "/v1.0/metadata").json["components"]

    assert over_grpc == over_http
    assert [(each["name"], each["capabilities"][0]) for each in over_http] == [
        ("multi", "MULTIPLE_KEY_VALUES_PER_SECRET"),
        ("plain", "ETAG"),
    ]


def test_a_secret_store_whose_file_is_gone_is_not_listed(tmp_path: Path) -> None:
    """What hot reload takes away, metadata forgets."""
    with Sidecar(tmp_path, [component("plain", "state.in-memory"), secrets(tmp_path, "flat")]) as sidecar:
        before = [each["name"] for each in registered(sidecar)]
        (sidecar.resources / "flat.yaml").unlink()
        until(lambda: [each["name"] for each in registered(sidecar)] == ["plain"])

    assert before == ["flat", "plain"]
