"""What the sidecar tells about itself: who it is, its components, and what its application has noted."""

from __future__ import annotations

from enum import IntEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from msgspec import Struct, field

from dapr_state import DAPR_VERSION
from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state.stores.base import StateStore

# by component type, in daprd's words and order
_QUERY: Final = "QUERY_API"
_USUAL: Final = ("ETAG", "TRANSACTIONAL", "TTL", "KEYS_LIKE")
CAPABILITIES: Final = {
    "state.in-memory": ("ETAG", "TRANSACTIONAL", "TTL", "DELETE_WITH_PREFIX", "KEYS_LIKE"),
    "state.redis": _USUAL,
    "state.sqlite": _USUAL,
    "state.sqlite3": _USUAL,
    "state.postgresql": (*_USUAL, _QUERY),
    "state.postgres": (*_USUAL, _QUERY),
    "state.cockroachdb": _USUAL,
    "state.yugabytedb": _USUAL,
    "state.yugabyte": _USUAL,
}
TEST_MODE: Final = {"testMode": "true"}
_SECOND: Final = "v2"  # version of a store, which daprd does not query
VERSION_KEY = "daprRuntimeVersion"  # among what is noted; nobody can overwrite it


class RuntimeStatus(IntEnum):
    """How far the actor runtime is; names and numbers as in the protocol."""

    INITIALIZING = 0
    DISABLED = 1
    RUNNING = 2


class RegisteredComponent(Struct, frozen=True):
    """One component, as its file names it."""

    name: str
    type: str
    version: str
    capabilities: Sequence[str] = ()


class AppConnectionHealthProperties(Struct, frozen=True):
    path: str = ""  # HTTP only
    interval: str = ""  # durations as Go writes them
    timeout: str = ""
    threshold: int = 0


class AppConnectionProperties(Struct, frozen=True):
    """How the application is reached. Zeros and empty texts are not told."""

    port: int = 0
    protocol: str = "http"
    address: str = "127.0.0.1"
    max_concurrency: int = 0
    health: AppConnectionHealthProperties | None = None


class ActorRuntimeMetadata(Struct, frozen=True):
    status: RuntimeStatus = RuntimeStatus.DISABLED
    active: Mapping[str, int] = field(default_factory=dict)  # actors by type
    is_host_ready: bool = False
    placement: str = "placement: disconnected"


_NO_APP: Final = AppConnectionProperties()


class Metadata:
    """All is asked for each time, because components come and go and actors move."""

    def __init__(
        self,
        app_id: str,
        components: Callable[[], Sequence[RegisteredComponent]],
        *,
        app: AppConnectionProperties = _NO_APP,
        features: Sequence[str] = (),
        actors: Callable[[], ActorRuntimeMetadata] = ActorRuntimeMetadata,
        schedulers: Callable[[], Sequence[str]] = tuple,
        resiliencies: Callable[[], Sequence[str]] = tuple,
        own_notes: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        """`own_notes` are told beside what the application notes, which cannot change them."""
        self.app_id = app_id
        self.version = DAPR_VERSION
        self.app = app
        self.features = features
        self.components = components
        self.actors = actors
        self.schedulers = schedulers  # their addresses
        self.resiliencies = resiliencies  # names of the resources
        self._own_notes = {**own_notes, VERSION_KEY: self.version}
        self._noted: dict[str, str] = {}

    def __repr__(self) -> str:
        return f"<Metadata of {self.app_id}, {len(self._noted)} notes>"

    def extended(self) -> dict[str, str]:
        """All that was noted, and our version, by name."""
        return dict(sorted({**self._noted, **self._own_notes}.items()))

    def note(self, key: str, value: str) -> None:
        """Keep a word of the application until the sidecar ends."""
        self._noted[key] = value

    def forget(self) -> None:
        """Keep no word of the application any more."""
        self._noted.clear()


def capabilities(component_type: str, version: str, store: StateStore) -> tuple[str, ...]:
    """What daprd says that a store of this type can do, and queries; one that actors can use says so."""
    names = store.told or (_USUAL if version.lower() == _SECOND else CAPABILITIES[component_type.lower()])
    if Feature.QUERY in store.features and _QUERY not in names:  # of daprd's, few can
        names = (*names, _QUERY)
    fit_for_actors = {Feature.ETAG, Feature.TRANSACTIONAL} <= set(store.features)
    return (*names, "ACTOR") if fit_for_actors else names
