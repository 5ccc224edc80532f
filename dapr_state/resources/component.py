"""What a component resource says, once its values are known."""

from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from dapr_state.resources.properties import Properties

DEFAULT_INIT_TIMEOUT: Final = 5.0
# The reasons that a failure is counted for, as daprd's metrics name them: what was not made was not opened either
INIT: Final = ("init",)
CREATION: Final = ("creation", *INIT)


class Source(Struct, frozen=True):
    """Where a resource is written: a file, and which of its documents, counted from 1."""

    path: str
    document: int = 1

    def __str__(self) -> str:
        return f"{self.path}, document {self.document}"


class SecretKeyRef(Struct, frozen=True):
    """A value that is kept in a secret store: the secret's name, and which of its keys."""

    name: str
    key: str


class Component(Struct, frozen=True):
    """One component; its properties hold secrets, its `repr` does not."""

    name: str
    type: str
    version: str = ""
    properties: Properties = field(default_factory=Properties)
    # by lower-case property name: encryption at rest stores the secret's name beside each value
    secret_keys: Mapping[str, SecretKeyRef] = field(default_factory=dict)
    secret_store: str = ""
    ignore_errors: bool = False
    init_timeout: float = DEFAULT_INIT_TIMEOUT
    scopes: tuple[str, ...] = ()
    namespace: str = ""
    source: Source | None = None

    @property
    def display(self) -> str:
        """`name (type/version)`, as daprd's log lines show a component."""
        return display(self.name, self.type, self.version)

    def init_failure(self, reason: object) -> str:
        """Say, as daprd does, that the component cannot be started."""
        return init_failure(self.display, reason)

    def creation_failure(self, reason: object) -> str:
        """The same, where it is not even made."""
        return self.init_failure(creation_failure(self.display, reason))


def display(name: str, kind: str, version: str) -> str:
    return f"{name} ({kind}/{version})" if version else f"{name} ({kind})"


def creation_failure(shown: str, reason: object) -> str:
    """Say, as daprd does, that the component is not even made: its type is unknown, or its keys are of no use."""
    return f"[CREATE_COMPONENT_FAILURE]: initialization error occurred for {shown}: {reason}"


def init_failure(shown: str, reason: object) -> str:
    return f"[INIT_COMPONENT_FAILURE]: initialization error occurred for {shown}: {reason}"
