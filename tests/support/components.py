"""Component files as tests write them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

Component = dict[str, Any]


def component(name: str, kind: str, **metadata: str) -> Component:
    """Make one document: component("statestore", "state.redis", redisHost="127.0.0.1:6379"), or "state.x/v2"."""
    kind, _, version = kind.partition("/")
    return {
        "apiVersion": "dapr.io/v1alpha1",
        "kind": "Component",
        "metadata": {"name": name},
        "spec": {
            "type": kind,
            "version": version or "v1",
            "metadata": [{"name": field, "value": value} for field, value in metadata.items()],
        },
    }


def write_components(folder: Path, components: Iterable[Component]) -> Path:
    """Write one file for each, and return the folder, for --resources-path."""
    folder.mkdir(parents=True, exist_ok=True)
    for document in components:
        path = folder / f"{document['metadata']['name']}.yaml"
        path.write_text(yaml.safe_dump(document, sort_keys=False))
    return folder
