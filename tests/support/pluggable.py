"""A pluggable component in its own process, found by the name of its socket."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from tests.support.processes import Process

if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = Path(__file__).with_name("pluggable_program.py")
HOSTILE = Path(__file__).with_name("hostile_component.py")


class PluggableComponent(Process):
    """`state.<name>` for sidecars that are given its `environment`."""

    def __init__(self, folder: Path, name: str = "plugged", program: Path = PROGRAM) -> None:
        self.folder = folder
        self.socket = folder / f"{name}.sock"
        super().__init__([sys.executable, program, self.socket], folder / f"{name}.log")

    @property
    def environment(self) -> Mapping[str, str]:
        return {"DAPR_COMPONENTS_SOCKETS_FOLDER": str(self.folder)}

    def is_ready(self) -> bool:
        return "ready" in self.log()
