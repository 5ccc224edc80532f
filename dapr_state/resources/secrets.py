"""Secret stores that need no service: a JSON file, and the environment."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from dapr_state.resources.properties import LenientFields

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from dapr_state.resources.component import Component

CATEGORY: Final = "secretstores."
_VERSIONS: Final = frozenset({"", "v0", "v1"})
_OWN_TOKENS: Final = frozenset({"APP_API_TOKEN"})
_OWN_PREFIX: Final = "DAPR_"


class SecretStoreError(Exception):
    """The secret store cannot be used, or has no such secret."""


class UnknownSecretStoreError(SecretStoreError):
    """No secret store of this type and version is built in."""


class SecretStore(ABC):
    """Secrets by name; each is one or several keys with their texts."""

    capabilities: tuple[str, ...] = ()  # as daprd's metadata names them

    @abstractmethod
    def get(self, name: str) -> Mapping[str, str]:
        """Raise SecretStoreError when there is no such secret."""

    def __repr__(self) -> str:
        return f"<{type(self).__name__}>"


class FileSecrets(SecretStore):
    def __init__(self, secrets: Mapping[str, Mapping[str, str]], *, multi_valued: bool = False) -> None:
        self._secrets = secrets
        if multi_valued:
            self.capabilities = ("MULTIPLE_KEY_VALUES_PER_SECRET",)

    def get(self, name: str) -> Mapping[str, str]:
        if name not in self._secrets:
            raise SecretStoreError(f"secret {name} not found")
        return self._secrets[name]


class EnvironmentSecrets(SecretStore):
    """An unset variable is an empty secret; the sidecar's own variables are nobody's secrets."""

    def __init__(self, prefix: str, environ: Mapping[str, str]) -> None:
        self._prefix = prefix
        self._environ = environ

    def get(self, name: str) -> Mapping[str, str]:
        variable = self._prefix + name
        return {name: "" if is_own_variable(variable) else self._environ.get(variable, "")}


def is_own_variable(name: str) -> bool:
    """Whether a variable of the environment is the sidecar's: tokens, addresses of the control plane."""
    return name.upper() in _OWN_TOKENS or name.upper().startswith(_OWN_PREFIX)


def create(component: Component, environ: Mapping[str, str]) -> SecretStore:
    """Build the secret store of a component of type `secretstores.*`."""
    opener = _OPENERS.get(component.type.removeprefix(CATEGORY).lower())
    if opener is None or component.version.lower() not in _VERSIONS:
        raise UnknownSecretStoreError(f"couldn't find secret store {component.type}/{component.version}".rstrip("/"))
    return opener(component, environ)


def parse_secrets(text: str, *, separator: str = ":", multi_valued: bool = False) -> dict[str, dict[str, str]]:
    """Secrets of a JSON object: flattened to one key each, or, when multi-valued, one level of keys each."""
    tree = json.loads(text)
    if not isinstance(tree, dict):
        raise ValueError('a JSON object is expected: {"secret name": "value"}')  # noqa: TRY004 - the text is wrong
    if not multi_valued:
        return {name: {name: value} for name, value in _flatten(tree, "", separator)}
    return {
        name: dict(_flatten(value, "", separator)) if isinstance(value, (dict, list)) else {name: _leaf(value)}
        for name, value in tree.items()
    }


def _open_file(component: Component, _environ: Mapping[str, str]) -> SecretStore:
    fields = LenientFields(component.properties)
    path = fields.text("secretsFile", default="")
    separator = fields.text("nestedSeparator", default=":")
    multi_valued = fields.bool("multiValued")
    fields.check()
    if not path:
        raise SecretStoreError("missing local secrets file in metadata")
    try:
        text = Path(path).read_text(encoding="utf-8")
        secrets = parse_secrets(text, separator=separator, multi_valued=multi_valued)
    except OSError as error:
        raise SecretStoreError(f"open {path}: {str(error.strerror).lower()}") from None
    except ValueError as error:
        raise SecretStoreError(f"{path} is no JSON file of secrets: {error}") from None
    return FileSecrets(secrets, multi_valued=multi_valued)


def _open_environment(component: Component, environ: Mapping[str, str]) -> SecretStore:
    return EnvironmentSecrets(LenientFields(component.properties).text("prefix", default=""), environ)


_OPENERS: Final[dict[str, Callable[[Component, Mapping[str, str]], SecretStore]]] = {
    "local.file": _open_file,
    "local.env": _open_environment,
}


def _flatten(tree: Any, prefix: str, separator: str) -> Iterator[tuple[str, str]]:
    branches = tree.items() if isinstance(tree, dict) else enumerate(tree)
    for name, value in branches:
        path = f"{prefix}{separator}{name}" if prefix else str(name)
        if isinstance(value, (dict, list)):
            yield from _flatten(value, path, separator)
        else:
            yield path, _leaf(value)


def _leaf(value: Any) -> str:
    # daprd prints Go's "%!s(float64=5)" for whatever is no text
    return value if isinstance(value, str) else json.dumps(value)
