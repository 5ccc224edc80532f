"""`dependsOn`: what each application of a run has reached, and who waits for it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

STARTED: Final = "started"
READY: Final = "ready"  # its port is open
COMPLETED: Final = "completed"  # it has ended with 0
STAGES: Final = (STARTED, READY, COMPLETED)


class Stages:
    """Of the applications with these ids."""

    def __init__(self, ids: Iterable[str]) -> None:
        self._reached = {(app_id, stage): asyncio.Event() for app_id in ids for stage in STAGES}
        self._failed: set[str] = set()

    def __repr__(self) -> str:
        reached = [f"{app_id} {stage}" for (app_id, stage), event in self._reached.items() if event.is_set()]
        return f"<Stages {', '.join(reached)}>"

    def reach(self, app_id: str, stage: str) -> None:
        self._reached[app_id, stage].set()

    def end(self, app_id: str, *, is_failed: bool) -> None:
        """Nobody waits for it any longer."""
        if is_failed:
            self._failed.add(app_id)
        for stage in STAGES:
            self.reach(app_id, stage)

    async def wait(self, for_whom: Mapping[str, str]) -> str | None:
        """Return when all have reached what is said of them; the id of one that never will, if there is one."""
        for app_id, stage in for_whom.items():
            await self._reached[app_id, stage].wait()
            if app_id in self._failed:
                return app_id
        return None


def cycle(depends: Mapping[str, Iterable[str]]) -> list[str]:
    """The ids on the way from one back to itself; empty where there is no such way."""
    over: set[str] = set()

    def walk(app_id: str, way: list[str]) -> list[str]:
        if app_id in way:
            return [*way[way.index(app_id) :], app_id]
        if app_id in over:
            return []
        found = next((found for each in depends.get(app_id, ()) if (found := walk(each, [*way, app_id]))), [])
        over.add(app_id)
        return found

    return next((found for app_id in depends if (found := walk(app_id, []))), [])
