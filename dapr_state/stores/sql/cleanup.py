"""Removes expired rows, by turns with the other sidecars that use the database (state-stores.md 3.4)."""

from __future__ import annotations

import logging
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Final

from dapr_state.clock import WAITING
from dapr_state.stores.base import StoreError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

log = logging.getLogger("dapr.contrib")

TOLERANCE_MS: Final = 100  # as daprd: its ticker may be early by so much


class Cleanup(ABC):
    def __init__(self, interval: float) -> None:
        self.interval = interval  # seconds

    @abstractmethod
    async def claim(self) -> bool:
        """Note that a cleanup begins, unless somebody did so within the interval."""

    @abstractmethod
    def sweep(self) -> AsyncIterator[int]:
        """Remove what has expired, in steps that keep no writer waiting for long; tell how many rows each removed."""

    async def run_for_ever(self) -> None:
        while True:
            await WAITING.sleep(self.interval)
            try:
                await self.run()
            except StoreError as error:
                log.error("Error removing expired data: %s", error)  # noqa: TRY400 - the reason says it all

    async def run(self) -> None:
        """Remove what has expired, if it is this sidecar's turn."""
        if not await self.claim():
            return
        removed = 0
        async for rows in self.sweep():
            removed += rows
        log.info("Removed %d expired rows", removed)
