"""The fields of a component resource."""

from __future__ import annotations

from typing import Any

import pytest

from dapr_state.golang import yaml
from dapr_state.resources import manifest
from dapr_state.resources.component import SecretKeyRef, Source

SOURCE = Source("a.yaml", 2)


def _read(text: str) -> manifest.Manifest | None:
    return manifest.read(yaml.parse(text), SOURCE)


def _component(**changes: Any) -> dict[str, Any]:
    whole = {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": "s"},
        "spec": {"type": "state.in-memory"},
    }
    return whole | changes


def test_every_field_is_read() -> None:
    """All fields of the schema that concern state and secret stores arrive."""
    read = _read("""
apiVersion: dapr.io/v1alpha1
kind: Component
metadata: {name: store, namespace: prod, labels: {a: b}}
scopes: [app1, 2]
auth: {secretStore: vault}
spec:
  type: state.redis
  version: 1
  ignoreErrors: true
  initTimeout: 1m
  metadata:
  - {name: redisHost, value: "h:1"}
  - {name: redisDB, value: 3}
  - {name: redisPassword, secretKeyRef: {name: redis, key: password}}
  - {name: redisUsername, secretKeyRef: {name: user}}
  - {name: x, envRef: X}
""")

    assert read == manifest.Manifest(
        name="store",
        type="state.redis",
        source=SOURCE,
        version="1",
        items=(
            manifest.Item("redisHost", "h:1"),
            manifest.Item("redisDB", "3"),
            manifest.Item("redisPassword", secret_ref=SecretKeyRef("redis", "password")),
            manifest.Item("redisUsername", secret_ref=SecretKeyRef("user", "user")),
            manifest.Item("x", env_ref="X"),
        ),
        secret_store="vault",
        ignore_errors=True,
        init_timeout=60.0,
        scopes=("app1", "2"),
        namespace="prod",
    )


def test_field_names_match_in_any_case() -> None:
    """Field names are matched as Go's JSON does: in any case, the exact spelling first."""
    read = _read("""
APIVERSION: dapr.io/v1alpha1
Kind: Component
METADATA: {Name: wrong, name: right}
spec: {TYPE: state.in-memory}
""")

    assert read is not None
    assert (read.name, read.type) == ("right", "state.in-memory")


@pytest.mark.parametrize(
    "document",
    [
        None,
        {},
        _component(kind="Configuration"),
        _component(kind="component"),
        _component(apiVersion="dapr.io/v2alpha1"),
        _component(metadata={"name": ""}),
        _component(metadata=None),
    ],
)
def test_other_documents_are_passed_over(document: Any) -> None:
    """Other kinds, other versions and components without a name are skipped without a word."""
    assert manifest.read(document, SOURCE) is None


@pytest.mark.parametrize(
    ("document", "error"),
    [
        ("text", 'document: a text stands where fields belong; write "field: value"'),
        ([1], 'document: a list stands where fields belong; write "field: value"'),
        (_component(spec=3), 'spec: a number stands where fields belong; write "field: value"'),
        (
            _component(spec={"metadata": {"a": "b"}}),
            'spec.metadata: a mapping stands where a list belongs; write a "-" before each entry',
        ),
        (
            _component(spec={"metadata": ["a"]}),
            'spec.metadata[0]: a text stands where fields belong; write "field: value"',
        ),
        (
            _component(spec={"metadata": [{"name": "a"}, {"name": {"b": 1}}]}),
            "spec.metadata[1].name: a mapping stands where a text belongs; write one text",
        ),
        (
            _component(spec={"metadata": [{"name": "a", "value": float("nan")}]}),
            "spec.metadata[0].value: nan is no number that JSON knows; put it in quotes",
        ),
        (
            _component(spec={"ignoreErrors": "true"}),
            "spec.ignoreErrors: a text stands where true or false belongs; leave out quotes",
        ),
        (
            _component(spec={"version": float("nan")}),
            "spec.version: a number stands where a text belongs; write one text",
        ),
        (_component(scopes="app"), 'scopes: a text stands where a list belongs; write a "-" before each entry'),
        (_component(scopes=[["app"]]), 'scopes: only texts belong in this list; write "- text" for each'),
        (
            _component(metadata={"name": "a/b"}),
            "metadata.name: invalid name 'a/b', may not contain '/'; leave that out",
        ),
        (
            _component(metadata={"name": ".."}),
            "metadata.name: invalid name '..', may not be '..'; give it another name",
        ),
    ],
)
def test_a_wrong_field_is_named(document: Any, error: str) -> None:
    """The message says which field is wrong, how, and what to write instead."""
    with pytest.raises(manifest.ManifestError) as raised:
        manifest.read(document, SOURCE)

    assert str(raised.value) == error


def test_a_value_that_contains_itself_is_refused() -> None:
    """An alias to the value around it has no end."""
    document = yaml.parse("&whole {name: a, value: *whole}")

    with pytest.raises(manifest.ManifestError, match=r"^spec.metadata\[0\].value: the value contains itself; "):
        manifest.read(_component(spec={"metadata": [document]}), SOURCE)


@pytest.mark.parametrize("text", ["x", "5", ""])
def test_a_wrong_init_timeout_is_the_default(text: str) -> None:
    """What is no duration counts as five seconds."""
    read = manifest.read(_component(spec={"initTimeout": text}), SOURCE)

    assert read is not None
    assert read.init_timeout == 5.0


@pytest.mark.parametrize(
    ("scopes", "namespace", "applies"),
    [
        ([], "", True),
        (["app"], "", True),
        (["other"], "", False),
        ([], "prod", True),
        ([], "test", False),
        (["other", "app"], "prod", True),
    ],
)
def test_scopes_and_namespace(scopes: list[str], namespace: str, applies: bool) -> None:
    """A component is for the apps in its scopes, in its namespace; without either it is for all."""
    read = manifest.read(_component(scopes=scopes, metadata={"name": "s", "namespace": namespace}), SOURCE)

    assert read is not None
    assert read.applies_to("app", "prod") is applies


def test_without_a_namespace_of_its_own_a_sidecar_takes_every_namespace() -> None:
    """The namespace filters only where the sidecar has one."""
    read = manifest.read(_component(metadata={"name": "s", "namespace": "test"}), SOURCE)

    assert read is not None
    assert read.applies_to("app", "")


def test_the_repr_hides_values() -> None:
    """A log line with a manifest shows no password that stands in the file."""
    item = {"name": "redisPassword", "value": "hunter2"}
    read = manifest.read(_component(spec={"type": "state.redis", "metadata": [item]}), SOURCE)

    assert "hunter2" not in repr(read)
