"""Component files, as a test gives them: a path, a text, or a Component."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


@dataclass(frozen=True)
class Component:
    """One component file."""

    name: str
    type: str
    metadata: Mapping[str, str] = field(default_factory=dict)
    version: str = "v1"

    @property
    def text(self) -> str:
        items = [{"name": name, "value": value} for name, value in self.metadata.items()]
        spec = {"type": self.type, "version": self.version, "metadata": items}
        kind = {"apiVersion": "dapr.io/v1alpha1", "kind": "Component"}
        return json.dumps({**kind, "metadata": {"name": self.name}, "spec": spec})  # which is YAML, too


DEFAULT = Component("statestore", "state.in-memory", {"actorStateStore": "true"})


def write(components: Iterable[Component | Path | str], folder: Path) -> list[Path]:
    """The folders to give to the sidecar: one with what was given as text, and those of paths."""
    folder.mkdir(parents=True, exist_ok=True)
    folders = [folder]
    for number, each in enumerate(components):
        text = each.text if isinstance(each, Component) else str(each)
        if isinstance(each, Path) or (isinstance(each, str) and "\n" not in text and Path(text).exists()):
            path = Path(text)
            if path.is_dir():
                folders.append(path)
                continue
            text = path.read_text()
        (folder / f"{number}.yaml").write_text(text)
    return folders
