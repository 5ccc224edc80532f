"""Which class serves which component type."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, Protocol

from dapr_state.resources import loader
from dapr_state.stores.pluggable import sockets

if TYPE_CHECKING:
    from dapr_state.resources.component import Component
    from dapr_state.stores.base import StateStore

Versions = dict[tuple[str, ...], str]

CATEGORY: Final = loader.STATE

# type → versions → module and class; a module is imported, with its driver, when a component asks for it.
# The first version of a type is also meant by "", "v0" and "v1", as in daprd.
_FIRST: Final = ("", "v0", "v1")
_SECOND: Final = ("v2",)
_POSTGRESQL: Final[Versions] = {_FIRST: "postgresql:PostgresV1", _SECOND: "postgresql:PostgresV2"}
_STORES: Final[dict[str, Versions]] = {
    "in-memory": {_FIRST: "memory:MemoryStore"},
    "redis": {_FIRST: "redis.store:RedisStore"},
    "sqlite": {_FIRST: "sqlite:SqliteStore"},
    "sqlite3": {_FIRST: "sqlite:SqliteStore"},
    "postgresql": _POSTGRESQL,
    "postgres": _POSTGRESQL,
    "cockroachdb": {_SECOND: "postgresql:PostgresV2"},
    "yugabytedb": {_SECOND: "postgresql:PostgresV2"},
    "yugabyte": {_SECOND: "postgresql:PostgresV2"},
}


# names that a pluggable component may take the place of, as in daprd: what has several versions stays
_REPLACEABLE: Final = frozenset(name for name, versions in _STORES.items() if set(versions) == {_FIRST})


class StoreType(Protocol):
    """What serves a component type: the store's class."""

    def from_component(self, component: Component) -> StateStore:
        """The store that a component describes, not yet open. Raises PropertiesError for a field it cannot use."""


class UnknownStoreError(LookupError):
    """No store of this type and version is built in."""


def create(component: Component) -> StateStore:
    """The store for a component of type `state.*`, not yet open. Raises what its `from_component` raises."""
    name = component.type.removeprefix(CATEGORY).lower()
    versions = _STORES.get(name, {})
    if component.version.lower() in _FIRST and (not versions or name in _REPLACEABLE):
        path = sockets.find(name)
        if path:
            from dapr_state.stores.pluggable.store import PluggableStore  # noqa: PLC0415 - grpc's C core takes 100 ms

            return PluggableStore(component, path)
    for names, place in versions.items():
        if component.version.lower() in names:
            module, class_name = place.split(":")
            store_type: StoreType = getattr(importlib.import_module(f"dapr_state.stores.{module}"), class_name)
            return store_type.from_component(component)
    raise UnknownStoreError(f"couldn't find state store {component.type}/{component.version}".rstrip("/"))


def known_types() -> list[str]:
    return [CATEGORY + name for name in _STORES]
