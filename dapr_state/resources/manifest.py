"""A component resource as it is written: fields checked, values not yet resolved."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dapr_state.golang import yaml
from dapr_state.golang.duration import parse_duration
from dapr_state.golang.marshal import json_text
from dapr_state.resources.component import DEFAULT_INIT_TIMEOUT, SecretKeyRef, Source, display

if TYPE_CHECKING:
    from collections.abc import Mapping

API_VERSION: Final = "dapr.io/v1alpha1"
KIND: Final = "Component"
RESILIENCY: Final = "Resiliency"


class ManifestError(ValueError):
    """One field is wrong: which one, what is wrong with it, and what to write instead."""

    def __init__(self, path: str, problem: str, fix: str) -> None:
        super().__init__(f"{path}: {problem}; {fix}")
        self.path = path


class Item(Struct, frozen=True):
    """One entry of `spec.metadata`; `value` is None where there is none."""

    name: str
    value: str | None = None
    env_ref: str = ""
    secret_ref: SecretKeyRef | None = None

    def __repr__(self) -> str:
        return f"Item(name={self.name!r})"  # the value may be a secret

    @property
    def from_environment(self) -> bool:
        # a value wins over a variable, a variable over a secret, and a secret over a value
        return self.value is None and bool(self.env_ref)


class Manifest(Struct, frozen=True):
    """One document of `kind: Component`."""

    name: str
    type: str
    source: Source
    version: str = ""
    items: tuple[Item, ...] = ()
    secret_store: str = ""
    ignore_errors: bool = False
    init_timeout: float = DEFAULT_INIT_TIMEOUT
    scopes: tuple[str, ...] = ()
    namespace: str = ""

    @property
    def display(self) -> str:
        return display(self.name, self.type, self.version)

    @property
    def needs_secrets(self) -> bool:
        return any(item.secret_ref and not item.from_environment for item in self.items)

    def applies_to(self, app_id: str, namespace: str) -> bool:
        """Whether this sidecar is meant; an empty namespace on either side means every one."""
        elsewhere = bool(namespace and self.namespace) and namespace != self.namespace
        return not elsewhere and (not self.scopes or app_id in self.scopes)


def read(document: Any, source: Source) -> Manifest | None:
    """The component in a parsed document; None for a document of another kind, and for one without a name."""
    if document is None:
        return None
    resource = Map(document, "")
    if resource.text("apiVersion") != API_VERSION or resource.text("kind") != KIND:
        return None

    metadata, spec = resource.map("metadata"), resource.map("spec")
    name = metadata.text("name")
    if not name:
        return None
    _check_name(name)
    return Manifest(
        name=name,
        type=spec.text("type"),
        source=source,
        version=spec.text("version"),
        items=tuple(_item(item) for item in spec.maps("metadata")),
        secret_store=resource.map("auth").text("secretStore"),
        ignore_errors=spec.bool("ignoreErrors"),
        init_timeout=_init_timeout(spec.text("initTimeout")),
        scopes=resource.texts("scopes"),
        namespace=metadata.text("namespace"),
    )


def kind_of(document: Any) -> str:
    """Which kind of resource a parsed document is; "" where it does not say."""
    kind = Map(document, "").get("kind") if isinstance(document, dict) else ""
    return kind if isinstance(kind, str) else ""


class Map:
    """A mapping of a document; field names match in any case, as in daprd."""

    def __init__(self, value: Any, path: str) -> None:
        self._path = path
        if value is not None and not isinstance(value, dict):
            raise ManifestError(
                path or "document", f"{_kind(value)} stands where fields belong", 'write "field: value"'
            )
        fields: Mapping[str, Any] = value or {}
        self._fields = {name.lower(): each for name, each in fields.items()}
        self._exact = fields

    def get(self, name: str) -> Any:
        return self._exact[name] if name in self._exact else self._fields.get(name.lower())

    def has(self, name: str) -> bool:
        return name in self._exact or name.lower() in self._fields

    def names(self) -> list[str]:
        return list(self._exact)

    def at(self, name: str) -> str:
        """The path of a field."""
        return self._at(name) if name else self._path

    def map(self, name: str) -> Map:
        return Map(self.get(name), self._at(name))

    def text(self, name: str) -> str:
        text = yaml.scalar_text(self.get(name))
        if text is None:
            raise ManifestError(
                self._at(name), f"{_kind(self.get(name))} stands where a text belongs", "write one text"
            )
        return text

    def bool(self, name: str) -> bool:
        value = self.get(name)
        if value is None or isinstance(value, bool):
            return bool(value)
        raise ManifestError(self._at(name), f"{_kind(value)} stands where true or false belongs", "leave out quotes")

    def texts(self, name: str) -> tuple[str, ...]:
        texts = [yaml.scalar_text(each) for each in self._list(name)]
        if None in texts:
            raise ManifestError(self._at(name), "only texts belong in this list", 'write "- text" for each')
        return tuple(text for text in texts if text is not None)

    def maps(self, name: str) -> list[Map]:
        return [Map(each, f"{self._at(name)}[{index}]") for index, each in enumerate(self._list(name))]

    def error(self, name: str, problem: str, fix: str) -> ManifestError:
        return ManifestError(self._at(name), problem, fix)

    def _list(self, name: str) -> list[Any]:
        value = self.get(name)
        if value is None or isinstance(value, list):
            return value or []
        raise ManifestError(
            self._at(name), f"{_kind(value)} stands where a list belongs", 'write a "-" before each entry'
        )

    def _at(self, name: str) -> str:
        return f"{self._path}.{name}" if self._path else name


def _item(entry: Map) -> Item:
    secret = entry.map("secretKeyRef")
    secret_name = secret.text("name")
    return Item(
        name=entry.text("name"),
        value=_value(entry),
        env_ref=entry.text("envRef"),
        secret_ref=SecretKeyRef(secret_name, secret.text("key") or secret_name) if secret_name else None,
    )


def _value(entry: Map) -> str | None:
    value = entry.get("value")
    if value is None:
        return None
    if isinstance(value, str):
        return value
    try:
        return json_text(value)
    except ValueError as error:
        raise entry.error("value", str(error), "put it in quotes") from None
    except RecursionError:
        raise entry.error("value", "the value contains itself", "write it without an alias") from None


def _check_name(name: str) -> None:
    # names are part of the API's paths
    if name in {".", ".."}:
        raise ManifestError("metadata.name", f"invalid name {name!r}, may not be {name!r}", "give it another name")
    for char in "/%":
        if char in name:
            raise ManifestError("metadata.name", f"invalid name {name!r}, may not contain {char!r}", "leave that out")


def _init_timeout(text: str) -> float:
    try:
        return parse_duration(text)
    except ValueError:
        return DEFAULT_INIT_TIMEOUT


def _kind(value: Any) -> str:
    match value:
        case dict():
            return "a mapping"
        case list():
            return "a list"
        case str():
            return "a text"
        case bool():
            return "true or false"
        case int() | float():
            return "a number"
    return "something else"
