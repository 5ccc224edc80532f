"""The components of one sidecar: state stores are opened one after another, and closed in reverse."""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING

from dapr_state.api import keys
from dapr_state.api.state import BoundStore
from dapr_state.clock import WAITING
from dapr_state.resources.component import CREATION, INIT
from dapr_state.resources.loader import start_failure
from dapr_state.resources.properties import PropertiesError, is_truthy
from dapr_state.stores import encryption, registry
from dapr_state.stores.base import StateStore, StoreError
from dapr_state.stores.build import build, under, unwatched, watched
from dapr_state.stores.model import Feature

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence

    from dapr_state.resiliency.guard import Guard
    from dapr_state.resources.component import Component
    from dapr_state.resources.loader import OpenSecrets, Resources
    from dapr_state.resources.manifest import Manifest
    from dapr_state.stores.model import Operation

    PutOn = Callable[[str, str, StateStore], StateStore]  # a component's name, its prefix, and its store
    Watch = Callable[[str, Sequence[Operation], str], None]  # the store, what was written, the transaction or ""
    Count = Callable[[Component | Manifest, Sequence[str]], None]  # the reasons that it failed for; none: it is loaded

ACTOR_STORE = "actorStateStore"  # the component's metadata name
NEEDED = (Feature.ETAG, Feature.TRANSACTIONAL)

log = logging.getLogger("dapr.runtime.processor")
runtime_log = logging.getLogger("dapr.runtime")
reload_log = logging.getLogger("dapr.runtime.hotreload.reconciler")


class ComponentError(Exception):
    """A component cannot be used, and does not say `ignoreErrors`: the sidecar does not start."""

    def __init__(self, text: str, reasons: Sequence[str] = INIT) -> None:
        """`reasons` are what the failure is counted for."""
        super().__init__(text)
        self.reasons = reasons


class Components:
    """`stores` is what the API serves from: by component name, in the order of opening."""

    def __init__(
        self,
        app_id: str,
        namespace: str,
        *,
        count: Count | None = None,
        guard: Callable[[str], Guard | None] = lambda _: None,
        put_on: PutOn | None = None,
    ) -> None:
        """`count` is told what became of each component; `guard` gives the policies of a store by its name.

        `put_on` puts what a test wants on the store itself, below encryption and policies.
        """
        self._app_id = app_id
        self._namespace = namespace
        self._count = count
        self._guard = guard
        self._put_on = put_on
        self.stores: dict[str, BoundStore] = {}
        self.secret_stores: dict[str, OpenSecrets] = {}
        self._components: dict[str, Component] = {}
        self._actor_store = ""  # its name
        self._watch: Watch | None = None

    def __repr__(self) -> str:
        return f"<Components {', '.join(component.display for component in self.loaded) or 'none'}>"

    @property
    def loaded(self) -> list[Component]:
        return list(self._components.values())

    @property
    def actor_store_name(self) -> str:
        return self._actor_store

    @property
    def actor_store(self) -> StateStore | None:
        """The store that actors keep their state in, without encryption: they have none in daprd either."""
        bound = self.stores.get(self._actor_store)
        return bound.store.unencrypted if bound else None

    @property
    def reminder_store(self) -> StateStore | None:
        """The same without policies: a breaker that is open must not stop reminders."""
        bound = self.stores.get(self._actor_store)
        return bound.store.bare if bound else None

    def apply_policies(self) -> None:
        """Put the stores that are open under the policies that there are now; calls under way keep theirs."""
        for name, bound in self.stores.items():
            self.stores[name] = BoundStore(name, bound.prefix, under(bound.store, self._guard(name)))

    def watch(self, tell: Watch | None) -> None:
        """Have all that is written told from now on, with the name of the store; None: no more."""
        self._watch = tell
        for name, bound in self.stores.items():
            self.stores[name] = BoundStore(name, bound.prefix, self._seen(name, unwatched(bound.store)))

    def _seen(self, name: str, store: StateStore) -> StateStore:
        tell = self._watch
        return watched(store, partial(tell, name)) if tell else store

    def note(self, resources: Resources) -> None:
        """Take note of the secret stores, which are open already, and of what could not even be resolved."""
        for manifest, reasons in resources.failed:
            self._tell(manifest, reasons)
        for name, opened in resources.secret_stores.items():
            before = self.secret_stores.get(name)
            if before is None or before.component != opened.component:
                self._tell(opened.component, ())
        self.secret_stores |= resources.secret_stores

    def keep_secret_stores(self, names: Collection[str]) -> None:
        """Forget those of other names."""
        self.secret_stores = {name: opened for name, opened in self.secret_stores.items() if name in names}

    async def open(self, components: Iterable[Component]) -> None:
        """Open all, in order. Raises ComponentError for the first that fails, unless it says `ignoreErrors`."""
        for component in components:
            try:
                await self.replace(component)
            except ComponentError as error:
                failure = start_failure(component, str(error))
                log.error("Failed to init component %s: %s", component.display, error)  # noqa: TRY400  the reason says it all
                if not component.ignore_errors:
                    log.warning("Error processing component, daprd will exit gracefully: %s", failure)
                    raise ComponentError(failure) from error
                log.error("Ignoring error processing component: %s", failure)  # noqa: TRY400  as above

    async def replace(self, component: Component) -> None:
        """Open the component and serve from it; the one that had its name ends its calls under way and is closed.

        Raises ComponentError, and leaves all as it was.
        """
        try:
            prefix, store = self.make(component)
            await in_time(store.open, store, component)
        except ComponentError as error:
            self._tell(component, error.reasons)
            raise
        self._tell(component, ())
        before, old = self._components.get(component.name), self.stores.get(component.name)
        served = self._seen(component.name, under(store, self._guard(component.name)))
        self.stores[component.name] = BoundStore(component.name, prefix, served)
        self._components[component.name] = component
        self.note_actor_store(component, store)
        log.info("Component loaded: %s", component.display)
        if before and old:
            reload_log.info("Closing existing Component to reload: %s", before.display)
            # no call can come upon it any more: a call looks for its store and enters it without a pause
            await _close(old, before)

    def make(self, component: Component) -> tuple[str, StateStore]:
        """The prefix of its keys, and its store, not yet open. Raises ComponentError."""
        prefix = self._prefix(component)
        self._check_actor_store(component)
        return prefix, self._create(component, prefix)

    async def remove(self, name: str) -> None:
        """Serve this component no longer."""
        await _close(self.stores.pop(name), self._components.pop(name))

    async def close(self) -> None:
        """Close all, the last one first; one that fails is logged and the others still close."""
        for component in reversed(self.loaded):
            runtime_log.info("Shutting down component %s", component.display)
            await self.remove(component.name)

    def _check_actor_store(self, component: Component) -> None:
        other = self._actor_store
        if _is_for_actors(component) and other and other != component.name:
            raise ComponentError(
                component.init_failure(f"detected duplicate actor state store: {other} and {component.name}")
            )

    def note_actor_store(self, component: Component, store: StateStore) -> None:
        """Let actors keep their state in it, if its component says so and it can."""
        if not _is_for_actors(component):
            return
        if not set(NEEDED) <= set(store.features):
            features = ", ".join(NEEDED)
            log.warning("Actor state store %s does not support required features: %s", component.name, features)
            return
        if not self._actor_store:
            log.info("Using '%s' as actor state store", component.name)
        self._actor_store = component.name

    def _tell(self, component: Component | Manifest, reasons: Sequence[str]) -> None:
        if self._count:
            self._count(component, reasons)

    def _create(self, component: Component, prefix: str) -> StateStore:
        try:
            return build(component, partial(self._put_on, component.name, prefix) if self._put_on else None)
        except registry.UnknownStoreError as error:
            text = f"{error}; known types: {', '.join(registry.known_types())}"
            raise ComponentError(component.creation_failure(text), CREATION) from error
        except encryption.UnusableKeyError as error:
            raise ComponentError(component.creation_failure(error), CREATION) from error
        except (PropertiesError, StoreError) as error:
            raise ComponentError(component.init_failure(error)) from error

    def _prefix(self, component: Component) -> str:
        try:
            return keys.prefix(component.name, component.properties, self._app_id, self._namespace)
        except keys.IllegalPrefixError as error:
            if not component.ignore_errors:
                raise ComponentError(component.init_failure(error)) from error
            log.error("Ignoring error processing component: %s", error)  # noqa: TRY400  as daprd: the default prefix
            return keys.prefix(component.name, {}, self._app_id, self._namespace)


def _is_for_actors(component: Component) -> bool:
    return is_truthy(component.properties.get(ACTOR_STORE, ""))


async def _close(bound: BoundStore, component: Component) -> None:
    try:
        await bound.store.close()
    except StoreError as error:
        log.warning("Error closing component %s: %s", component.display, error)


async def in_time(ask: Callable[[], Awaitable[None]], store: StateStore, component: Component) -> None:
    """What the store is asked first, within the component's time. Raises ComponentError, and the store is closed."""
    try:
        async with WAITING.timeout(component.init_timeout):
            await ask()
    except (TimeoutError, PropertiesError, StoreError) as error:
        with suppress(StoreError):
            await store.close()  # of what it had opened so far
        raise ComponentError(component.init_failure(_reason(error, component))) from error
    except asyncio.CancelledError:  # the sidecar is to end before it has started
        with suppress(StoreError):
            await store.close()
        raise


def _reason(error: Exception, component: Component) -> str:
    if isinstance(error, TimeoutError):
        return f"context deadline exceeded\ninit timeout for component {component.display}"
    return str(error)
