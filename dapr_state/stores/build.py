"""How a component's store is put together: the one that its type names, in the wrappers that its fields ask for."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dapr_state.stores import encryption, registry
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable

    from dapr_state.resiliency.guard import Guard
    from dapr_state.resources.component import Component
    from dapr_state.stores.base import StateStore
    from dapr_state.stores.watched import Tell

log = logging.getLogger("dapr.runtime.processor.state")


def build(component: Component, put_on: Callable[[StateStore], StateStore] | None = None) -> StateStore:
    """The store, not yet open. Raises UnknownStoreError, UnusableKeyError, and what the store's fields raise.

    `put_on` puts on the store itself what a test wants of it.
    """
    keys = encryption.keys(component)
    store = registry.create(component)
    if put_on:
        store = put_on(store)
    return _encrypted(component, store, keys) if keys else _unencrypted(component, store)


def under(store: StateStore, guard: Guard | None) -> StateStore:
    """The same store with its calls under these policies, or under none; encryption stands before them."""
    if isinstance(store, Wrapper) and store.stays and not store.is_ground:
        return store.over(under(store.inner, guard))
    if guard is None and (not isinstance(store, Wrapper) or store.stays):
        return store
    # as above: most stores are under none
    from dapr_state.stores.resilient import ResilientStore  # noqa: PLC0415

    if isinstance(store, ResilientStore):
        return store.under(guard)
    return ResilientStore(store, guard) if guard else store


def watched(store: StateStore, tell: Tell) -> StateStore:
    """The same store; what is written to it is told."""
    from dapr_state.stores.watched import WatchedStore  # noqa: PLC0415  nobody watches most stores

    return WatchedStore(store, tell)


def unwatched(store: StateStore) -> StateStore:
    """The same with nobody who is told: that one stands before all others."""
    from dapr_state.stores.watched import WatchedStore  # noqa: PLC0415  as above

    return store.inner if isinstance(store, WatchedStore) else store


def _encrypted(component: Component, store: StateStore, keys: tuple[encryption.Key, ...]) -> StateStore:
    # 50 ms of start time, which only encrypted components shall cost
    from dapr_state.stores.encrypted import EncryptedStore  # noqa: PLC0415

    log.info("Automatic encryption enabled for state store %s", component.name)
    if not keys[0].name:
        log.warning(
            "The encryption key of %s stands in the component file: daprd cannot read the values written with it;"
            " name it with secretKeyRef",
            component.display,
        )
    return EncryptedStore(store, component.name, keys)


def _unencrypted(component: Component, store: StateStore) -> StateStore:
    if reason := encryption.why_not(component):
        log.warning("Values of %s are stored WITHOUT encryption: %s", component.display, reason)
    return store
