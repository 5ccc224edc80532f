"""What becomes of each component file, as metadata and metrics tell it, beside daprd."""

from __future__ import annotations

import json
import re
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.api.metadata import CAPABILITIES
from dapr_state.stores import registry
from tests.support.components import component, write_components
from tests.support.configured import samples, write_configurations
from tests.support.http import ask
from tests.support.sidecar import Daprd, Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.components import Component

FAILED = "dapr_runtime_component_init_fail_total"
COUNTED = ("dapr_runtime_component_init_total", "dapr_runtime_component_loaded")


DENIED = re.compile(r"component '.*' cannot be loaded because .* are not allowed")
TOLD = re.compile(
    r'level=(\w+) msg="(Failed to init component bad [^ ]*: |Error processing component, daprd will exit gracefully: '
    r"process component bad |Ignoring error processing component: process component bad |Fatal error from runtime: )"
)


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
    """In the order of their names, without the queries that every store can answer here."""
    found = ask(sidecar.http_port, "GET", "/v1.0/metadata").json["components"]
    for each in found:
        if "QUERY_API" in each.get("capabilities", ()):
            each["capabilities"].remove("QUERY_API")
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


@pytest.mark.oracle
def test_what_is_denied_is_not_loaded(tmp_path: Path, daprd_binary: Path) -> None:
    """`spec.components.deny` holds for secret stores too; without a version nothing is loaded."""
    flags = write_configurations(tmp_path, ["spec: {components: {deny: [secretstores.local.file/v1, state.sqlite]}}"])
    bare = component("bare", "state.in-memory")
    del bare["spec"]["version"]
    lite = component("lite", "state.sqlite", connectionString=str(tmp_path / "x.db"))
    components = [component("plain", "state.in-memory"), bare, lite, secrets(tmp_path, "flat"), encrypted("e", "good")]
    with (
        Sidecar(tmp_path, components, flags=flags) as ours,
        Daprd(daprd_binary, tmp_path, components, flags=flags) as theirs,
    ):
        listed = [registered(each) for each in (ours, theirs)]
        said = [DENIED.findall(each.log()) for each in (ours, theirs)]

    assert [each["name"] for each in listed[0]] == ["plain"]
    assert listed[0] == listed[1]
    assert said[0] == said[1]


def test_a_denied_component_is_not_loaded_later(tmp_path: Path) -> None:
    """Hot reload asks the same list."""
    flags = write_configurations(tmp_path, ["spec: {components: {deny: [state.sqlite]}}"])
    with Sidecar(tmp_path, [component("plain", "state.in-memory")], flags=flags) as sidecar:
        lite = component("lite", "state.sqlite", connectionString=str(tmp_path / "x.db"))
        write_components(sidecar.resources, [lite, component("more", "state.in-memory")])
        until(lambda: len(registered(sidecar)) == 2)

        assert [each["name"] for each in registered(sidecar)] == ["more", "plain"]


@pytest.mark.oracle
@pytest.mark.parametrize("ignored", [True, False])
def test_a_failure_is_told_in_daprds_lines(*, ignored: bool, tmp_path: Path, daprd_binary: Path) -> None:
    """Whoever searches the log for them finds as many, about the same component."""
    bad = component("bad", "state.sqlite", connectionString="/nonexistent/folder/x.db")
    bad["spec"]["ignoreErrors"] = ignored
    said = []
    for sidecar in (Sidecar(tmp_path, [bad]), Daprd(daprd_binary, tmp_path, [bad])):
        with closing(sidecar.launch()):
            until(lambda each=sidecar: each.is_ready() if ignored else each.exit_code is not None)  # type: ignore[misc]
            said.append(TOLD.findall(sidecar.log()))

    assert len(said[0]) == (2 if ignored else 3)
    assert said[0] == said[1]


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


def test_metadata_knows_the_capabilities_of_every_store() -> None:
    """A store that is built in has its line in the table of daprd's words."""
    assert sorted(CAPABILITIES) == sorted(registry.known_types())
