"""From an item of `spec.metadata` to the property's text."""

from __future__ import annotations

import re

import pytest

from dapr_state.resources.component import SecretKeyRef, Source
from dapr_state.resources.manifest import Item, Manifest
from dapr_state.resources.properties import PropertiesError
from dapr_state.resources.resolve import Environment, resolve
from dapr_state.resources.secrets import FileSecrets

SECRETS = FileSecrets({"s": {"s": "secret", "other": "o"}, "quoted": {"quoted": '"q"'}, "empty": {"empty": ""}})
ENVIRON = {"COLOUR": "red", "QUOTED": "'x'", "DAPR_API_TOKEN": "token", "APP_API_TOKEN": "token"}


def _resolve(item: Item, environ: dict[str, str] | None = None, secrets: FileSecrets | None = SECRETS) -> str:
    manifest = Manifest(name="c", type="state.redis", source=Source("a.yaml"), items=(item,), secret_store="vault")
    environment = Environment("app", ENVIRON if environ is None else environ)
    return resolve(manifest, environment, secrets).properties[item.name]


def _secret(name: str, key: str = "", value: str | None = None) -> Item:
    return Item("p", value, secret_ref=SecretKeyRef(name, key or name))


@pytest.mark.parametrize(
    ("item", "text"),
    [
        (Item("p", "v"), "v"),
        (Item("p", '"kept"'), '"kept"'),
        (Item("p"), ""),
        (Item("p", env_ref="COLOUR"), "red"),
        (Item("p", env_ref="UNSET"), ""),
        (Item("p", env_ref="QUOTED"), "x"),
        (Item("p", "v", env_ref="COLOUR"), "v"),
        (Item("p", "", env_ref="COLOUR"), ""),
        (_secret("s"), "secret"),
        (_secret("s", "other"), "o"),
        (_secret("s", value="v"), "secret"),
        (_secret("quoted"), "q"),
        (_secret("empty", value="v"), "v"),
        (Item("p", "v", "COLOUR", SecretKeyRef("s", "s")), "secret"),
        (Item("p", None, "COLOUR", SecretKeyRef("s", "s")), "red"),
    ],
)
def test_where_a_text_comes_from(item: Item, text: str) -> None:
    """A value wins over a variable, a variable over a secret, a secret over a value; foreign quotes are taken off."""
    assert _resolve(item) == text


@pytest.mark.parametrize("name", ["DAPR_API_TOKEN", "dapr_api_token", "APP_API_TOKEN", "A B"])
def test_some_variables_are_refused(name: str, caplog: pytest.LogCaptureFixture) -> None:
    """The sidecar's own variables stay its own; a warning says which was asked for, and where."""
    text = _resolve(Item("p", env_ref=name), {name: "token"})

    assert text == ""
    assert caplog.messages == [
        f"Component c references an env variable that isn't allowed: {name} (a.yaml, document 1)"
    ]


@pytest.mark.parametrize(("allowed", "text"), [("", "red"), ("SIZE colour", "red"), ("SIZE COLOURS", "")])
def test_variables_may_be_limited(allowed: str, text: str) -> None:
    """DAPR_ENV_KEYS, where it is set, lists the variables that components may read."""
    assert _resolve(Item("p", env_ref="COLOUR"), ENVIRON | {"DAPR_ENV_KEYS": allowed}) == text


def test_a_missing_secret_leaves_the_property_empty(caplog: pytest.LogCaptureFixture) -> None:
    """The component loads without it, and an error is logged."""
    text = _resolve(_secret("nope"))

    assert text == ""
    assert caplog.messages == ["Error getting secret: secret nope not found (Component c, a.yaml, document 1)"]


def test_without_a_secret_store_the_property_stays_empty(caplog: pytest.LogCaptureFixture) -> None:
    """A reference without a store is logged, and the value beside it is kept."""
    text = _resolve(_secret("s", value="v"), secrets=None)

    assert text == "v"
    assert caplog.messages == ["Component c references a secret store that isn't loaded: vault (a.yaml, document 1)"]


def test_secret_names_are_kept() -> None:
    """Encryption at rest finds the name of the secret behind a property, in any case."""
    item = Item("primaryEncryptionKey", secret_ref=SecretKeyRef("s", "other"))
    manifest = Manifest(name="c", type="state.redis", source=Source("a.yaml"), items=(item,))

    component = resolve(manifest, Environment("app"), SECRETS)

    assert component.secret_keys["primaryencryptionkey"] == SecretKeyRef("s", "other")


@pytest.mark.parametrize(
    ("template", "environ", "text"),
    [
        ("a-{appID}-{appID}", {}, "a-app-app"),
        ("{namespace}", {}, "default.app"),
        ("{namespace}", {"NAMESPACE": "prod"}, "prod.app"),
        ("{podName}", {"POD_NAME": "pod"}, "pod"),
        ("{other} {{appID}}", {}, "{other} {app}"),
    ],
)
def test_templates(template: str, environ: dict[str, str], text: str) -> None:
    """Templates are filled in wherever they stand in the text."""
    assert _resolve(Item("p", template), environ) == text


def test_every_uuid_is_new() -> None:
    """Each occurrence gets a random identifier of its own."""
    first, second = _resolve(Item("p", "{uuid} {uuid}")).split()

    assert first != second
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", first)


def test_a_template_without_a_value_is_an_error() -> None:
    """A component that needs the pod's name cannot start without one."""
    with pytest.raises(PropertiesError) as raised:
        _resolve(Item("p", "{podName}"))

    assert str(raised.value) == "failed to parse metadata: property p refers to {podName} but podName is not set"


def test_the_repr_hides_secrets() -> None:
    """A log line with a component shows the names of its properties only."""
    manifest = Manifest(name="c", type="state.redis", source=Source("a.yaml"), items=(_secret("s"),))

    component = resolve(manifest, Environment("app", {"PASSWORD": "secret"}), SECRETS)

    assert component.properties["p"] == "secret"
    assert "secret'" not in repr(component)
    assert "<Properties p>" in repr(component)
