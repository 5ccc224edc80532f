"""The two local secret stores."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.resources import secrets
from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties

if TYPE_CHECKING:
    from pathlib import Path

NESTED = '{"plain": "p", "redis": {"user": "u", "hosts": ["h0", {"name": "h1"}]}, "n": 5, "b": true, "z": null}'


def _store(kind: str, version: str = "v1", **properties: str) -> Component:
    return Component(name="vault", type=kind, version=version, properties=Properties(properties))


def _file(folder: Path, text: str = NESTED, **properties: str) -> secrets.SecretStore:
    path = folder / "secrets.json"
    path.write_text(text)
    return secrets.create(_store("secretstores.local.file", secretsFile=str(path), **properties), {})


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("plain", {"plain": "p"}),
        ("redis:user", {"redis:user": "u"}),
        ("redis:hosts:0", {"redis:hosts:0": "h0"}),
        ("redis:hosts:1:name", {"redis:hosts:1:name": "h1"}),
        ("n", {"n": "5"}),
        ("b", {"b": "true"}),
    ],
)
def test_a_file_is_flattened(tmp_path: Path, name: str, secret: dict[str, str]) -> None:
    """Each leaf is a secret of its own, named by its path; what is no text keeps its JSON form."""
    assert _file(tmp_path).get(name) == secret


def test_the_separator_may_be_chosen(tmp_path: Path) -> None:
    """Paths are joined with the separator that the component gives."""
    store = _file(tmp_path, nestedSeparator=".")

    assert store.get("redis.user") == {"redis.user": "u"}


def test_a_multi_valued_file_keeps_one_level(tmp_path: Path) -> None:
    """A multi-valued secret has a key for each leaf below it."""
    store = _file(tmp_path, multiValued="true")

    assert store.get("redis") == {"user": "u", "hosts:0": "h0", "hosts:1:name": "h1"}
    assert store.get("plain") == {"plain": "p"}


def test_a_missing_secret_is_an_error(tmp_path: Path) -> None:
    """A file without the secret says so by its name."""
    with pytest.raises(secrets.SecretStoreError, match=r"^secret nope not found$"):
        _file(tmp_path).get("nope")


def test_the_environment_is_a_store() -> None:
    """A secret is a variable, with the prefix that the component gives; an unset one is empty."""
    store = secrets.create(_store("secretstores.Local.ENV", "", prefix="APP_"), {"APP_KEY": "k"})

    assert (store.get("KEY"), store.get("OTHER")) == ({"KEY": "k"}, {"OTHER": ""})


@pytest.mark.parametrize("name", ["DAPR_API_TOKEN", "dapr_x", "APP_API_TOKEN"])
def test_the_sidecars_own_variables_are_no_secrets(name: str) -> None:
    """Tokens of the sidecar are not handed to components."""
    store = secrets.create(_store("secretstores.local.env"), {name: "token"})

    assert store.get(name) == {name: ""}


@pytest.mark.parametrize("kind", ["secretstores.vault", "secretstores."])
def test_an_unknown_type_is_refused(kind: str) -> None:
    """Secret stores that need a service are not built in."""
    with pytest.raises(secrets.UnknownSecretStoreError, match=rf"^couldn't find secret store {kind}/v1$"):
        secrets.create(_store(kind), {})


def test_an_unknown_version_is_refused() -> None:
    """Only the first version exists."""
    with pytest.raises(
        secrets.UnknownSecretStoreError, match=r"^couldn't find secret store secretstores.local.env/v2$"
    ):
        secrets.create(_store("secretstores.local.env", "v2"), {})


def test_the_file_must_be_named() -> None:
    """A file store without a file is refused."""
    with pytest.raises(secrets.SecretStoreError, match=r"^missing local secrets file in metadata$"):
        secrets.create(_store("secretstores.local.file"), {})


def test_the_file_must_exist(tmp_path: Path) -> None:
    """A file that is not there is named."""
    path = tmp_path / "nope.json"

    with pytest.raises(secrets.SecretStoreError) as raised:
        secrets.create(_store("secretstores.local.file", secretsFile=str(path)), {})

    assert str(raised.value) == f"open {path}: no such file or directory"


@pytest.mark.parametrize("text", ["", "password=hunter2", '["hunter2"]'])
def test_the_file_must_be_a_json_object(tmp_path: Path, text: str) -> None:
    """A file of another form is refused, and its content is not shown."""
    with pytest.raises(secrets.SecretStoreError, match=r"secrets.json is no JSON file of secrets: ") as raised:
        _file(tmp_path, text)

    assert "hunter2" not in str(raised.value)


def test_the_repr_hides_secrets(tmp_path: Path) -> None:
    """A log line with a secret store shows no secret."""
    assert repr(_file(tmp_path)) == "<FileSecrets>"
