"""The resource folders: what is in them is loaded at start, and again whenever a file in them has changed.

A file that is wrong leaves the running components as they are, and the log says why; daprd ends its process there.
"""

from __future__ import annotations

import asyncio
import logging
import os
import threading
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Final

from msgspec import structs

from dapr_state.resources import loader, secrets
from dapr_state.resources.loader import LoadError, Resources
from dapr_state.runtime.changes import Changes, traits
from dapr_state.runtime.components import ComponentError
from dapr_state.runtime.resiliency import tell_faults

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from dapr_state.resources.component import Component
    from dapr_state.resources.loader import File
    from dapr_state.resources.manifest import Manifest
    from dapr_state.resources.resiliency import Reading
    from dapr_state.resources.resolve import Environment
    from dapr_state.runtime.components import Components
    from dapr_state.runtime.resiliency import Resiliency

# A change is acted on after two looks, and a look costs 0.1 ms in a thread of its own. Looking needs no dependency,
# and sees what notifications of the kernel miss: network and container mounts, folders that are links (Kubernetes).
PERIOD: Final = 0.25
# Looks, 10 s of them, at a folder in which something changes all the time: one program that writes one file without end
# would else keep all others from being read. What is read by half then is mended by the next look.
LOOKS_AT_MOST: Final = 40

ACTOR_STORE: Final = "actorstatestore"

log = logging.getLogger("dapr.runtime.hotreload.reconciler")
watch_log = logging.getLogger("dapr.runtime.hotreload.loader.disk")


class ResourceFolders:
    """`load` once, then let `watch` run until `stop`."""

    def __init__(
        self,
        folders: Sequence[str],
        environment: Environment,
        components: Components,
        allows: Callable[[Manifest], bool],
        resiliency: Resiliency | None = None,
    ) -> None:
        """`allows` says of each component whether it may be loaded."""
        self._folders = folders
        self._environment = environment
        self._allows = allows
        self._components = components
        self._resiliency = resiliency
        # taken before anything is read: no change can fall in between
        self._changes = Changes(partial(snapshot, folders), LOOKS_AT_MOST)
        self._good: dict[str, File] = {}  # each file as it was last read without a problem
        self._running: dict[str, Manifest] = {}  # the state stores that are served, as they were written
        self._changed = asyncio.Event()
        self._is_over = threading.Event()

    async def load(self) -> None:
        """Open all components. Raises LoadError or ComponentError for what keeps the sidecar from starting."""
        files = loader.read(self._folders)
        # at start there is nothing older to keep: a file that is wrong in part counts with the rest of it
        self._good = {file.path: file for file in files}
        if self._resiliency:
            self._resiliency.load(_policies(files))
        wanted = self._taken(files)
        resources = loader.start(wanted, self._environment)
        self._components.note(resources)
        await self._components.open(resources.components)
        self._running = {each.name: each for each in wanted if each.name in self._components.stores}

    async def watch(self) -> None:
        """Reload after each change, until `stop`."""
        watch_log.info("Watching directories: [%s]", " ".join(self._folders))
        # a daemon: a network mount that hangs must hold neither the calls nor the end of the process
        threading.Thread(target=self._check, args=(asyncio.get_running_loop(),), name="hot reload", daemon=True).start()
        while True:
            await self._changed.wait()
            self._changed.clear()
            if self._is_over.is_set():
                return
            try:
                await self._reload()
            except Exception:  # what nobody foresaw shall not be the end of the watch
                log.exception("Components are not reloaded, all stay as they are")

    def stop(self) -> None:
        """End the watch, after the reload that is under way: no component is left half replaced."""
        self._is_over.set()
        self._changed.set()

    def _check(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._is_over.wait(PERIOD):
            if self._changes.settled():
                with suppress(RuntimeError):  # the loop has just ended
                    loop.call_soon_threadsafe(self._changed.set)

    async def _reload(self) -> None:
        try:
            files = await asyncio.to_thread(self._read)
            if self._resiliency:
                self._resiliency.take(await asyncio.to_thread(self._resiliency.prepared, _policies(files)))
            wanted = {each.name: each for each in self._taken(files)}
            changed, gone = self._differences(wanted)
            resources = await asyncio.to_thread(self._resolve, wanted, changed)
        except LoadError as error:
            log.error("Components are not reloaded, all stay as they are: %s", error)  # noqa: TRY400  no traceback needed
            return
        self._components.note(resources)
        self._components.keep_secret_stores(wanted)
        for component in resources.components:
            await self._put(component, changed[component.name])
        for each in gone:
            log.info("Closing removed Component: %s", each.display)
            del self._running[each.name]
            await self._components.remove(each.name)

    def _read(self) -> list[File]:
        """All files; of one that is wrong, what it said when it was right."""
        files = []
        for file in loader.read(self._folders):
            if file.is_good or file.path not in self._good:
                files.append(file)
                continue
            for policies in file.resiliencies:
                tell_faults(policies)
            log.error("%s is not reloaded: what it holds stays as it is until it is mended", file.path)
            files.append(self._good[file.path])
        self._good = {file.path: file for file in files}
        return files

    def _taken(self, files: Sequence[File]) -> list[Manifest]:
        return [each for each in loader.taken(files, self._environment) if self._allows(each)]

    def _differences(self, wanted: Mapping[str, Manifest]) -> tuple[dict[str, Manifest], list[Manifest]]:
        """What is new or changed, by name, and what is gone. Stores that actors use are left alone, as by daprd."""
        stores = {name: each for name, each in wanted.items() if not _is_secret_store(each)}
        changed = {
            name: each
            for name, each in stores.items()
            if not loader.is_elsewhere(each)
            and not _same(each, self._running.get(name))
            and not _refused(each, self._running.get(name))
        }
        gone = [
            each
            for name, each in self._running.items()
            if (name not in stores or loader.is_elsewhere(stores[name])) and not _refused(each)
        ]
        return changed, gone

    def _resolve(self, wanted: Mapping[str, Manifest], changed: Mapping[str, Manifest]) -> Resources:
        if not changed:
            return Resources()
        # secrets are read anew, so that a component may refer to one that was added with it
        needed = [each for each in wanted.values() if _is_secret_store(each)]
        if not any(each.secret_store for each in changed.values()):
            needed = []
        return loader.start([*needed, *changed.values()], self._environment)

    async def _put(self, component: Component, manifest: Manifest) -> None:
        log.info("Adding Component for processing: %s", component.display)
        before = self._running.get(component.name)
        try:
            await self._components.replace(component)
        except ComponentError as error:
            log.error("Failed to init component %s: %s", component.display, error)  # noqa: TRY400  the reason says it all
            if before:
                log.error("Component %s stays as it was", before.display)  # noqa: TRY400  as above
            return
        self._running[component.name] = manifest
        log.info("Component updated: %s", component.display)


def _policies(files: Sequence[File]) -> list[Reading]:
    return [each for file in files for each in file.resiliencies]


def snapshot(folders: Sequence[str]) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    for folder in folders:
        with suppress(OSError):  # it is gone: the reading will say so
            for name in os.listdir(folder):  # noqa: PTH208  names are joined to the folder anyway
                path = os.path.join(folder, name)  # noqa: PTH118  a Path costs more than the look
                seen[path] = traits(path)
    return seen


def _same(new: Manifest, old: Manifest | None) -> bool:
    return old is not None and structs.replace(new, source=old.source) == old


def _is_secret_store(each: Manifest) -> bool:
    return each.type.startswith(secrets.CATEGORY)


def _refused(*versions: Manifest | None) -> bool:
    """Whether a component must not change while the sidecar runs, which is then told."""
    for each in versions:
        if each and any(item.name.lower() == ACTOR_STORE for item in each.items):
            log.error(
                "Aborting to hot-reload a state store component that is used as an actor state store: %s"
                " (restart the sidecar, or send it SIGHUP, to apply the change)",
                each.display,
            )
            return True
    return False
