"""`--reload`: the files that an application is made of, and a look at them every half second."""

from __future__ import annotations

import asyncio
import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING
from dapr_state.runtime.changes import Changes, traits

if TYPE_CHECKING:
    from collections.abc import Sequence

PERIOD: Final = 0.5  # seconds between two looks: one at 5,000 files takes 16 ms
SUFFIXES: Final = (".py", ".toml", ".yaml", ".yml", ".json")
LEFT_OUT: Final = frozenset({"venv", "node_modules", "__pycache__", "dist", "build"})  # and what begins with a dot


class Sources:
    """What lies below some folders."""

    def __init__(self, folders: Sequence[Path]) -> None:
        self._changes = Changes(partial(snapshot, folders))

    async def changed(self) -> str:
        """Return the name of what has changed, once that has settled."""
        while not await asyncio.to_thread(self._changes.settled):
            await WAITING.sleep(PERIOD)
        names = [Path(path).name for path in self._changes.paths]
        return names[0] if len(set(names)) == 1 else f"{names[0]} and more"


def snapshot(folders: Sequence[Path]) -> dict[str, tuple[int, ...]]:
    seen: dict[str, tuple[int, ...]] = {}
    for folder in folders:
        for place, below, names in os.walk(folder):
            below[:] = [name for name in below if name not in LEFT_OUT and not name.startswith(".")]
            for name in names:
                if name.endswith(SUFFIXES):
                    path = os.path.join(place, name)  # noqa: PTH118  a Path costs more than the look
                    seen[path] = traits(path)
    return seen
