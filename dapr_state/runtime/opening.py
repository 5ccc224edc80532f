"""Which components a sidecar has: those of its folders, or the default store; opened for it, or for a command."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from dapr_state.resources.default import default_store
from dapr_state.resources.loader import LoadError
from dapr_state.resources.resolve import Environment
from dapr_state.runtime import middleware
from dapr_state.runtime.reload import ResourceFolders

if TYPE_CHECKING:
    from dapr_state.resources.component import Component
    from dapr_state.resources.configuration import Configuration
    from dapr_state.resources.manifest import Manifest
    from dapr_state.runtime.components import Components
    from dapr_state.runtime.options import Options
    from dapr_state.runtime.resiliency import Resiliency

log = logging.getLogger("dapr.runtime")


async def open_components(
    options: Options, components: Components, settings: Configuration, policies: Resiliency | None = None
) -> ResourceFolders | None:
    """The folders in which they were found, if any are given. Raises ComponentError or LoadError.

    `policies` is given those of the folders.
    """

    def allows(component: Component | Manifest) -> bool:
        return middleware.allows(settings, component)

    log.info("Loading components…")
    folders = None
    if options.resources_paths:
        environment = Environment(options.app_id, options.environment)
        folders = ResourceFolders(options.resources_paths, environment, components, allows, policies)
        await folders.load()
    else:
        await components.open(filter(allows, [_default_store(options)]))
    log.info("All outstanding components processed")
    return folders


def _default_store(options: Options) -> Component:
    try:
        return default_store(options.app_id, options.environment)
    except OSError as error:
        raise LoadError(f"the default store has no place: {error}; give a component with --resources-path") from error
