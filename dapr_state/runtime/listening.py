"""How a server gets its ports: every address that was asked for, with patience for one that is still busy."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Protocol

from dapr_state.clock import SYSTEM

if TYPE_CHECKING:
    from collections.abc import Sequence

log = logging.getLogger("dapr.runtime")

PATIENCE = 10.0  # seconds, as daprd: a sidecar that restarts may meet its predecessor's port
FIRST_WAIT, LONGEST_WAIT = 0.1, 0.5


class ListeningError(Exception):
    """A server has no address to listen on."""


class Server(Protocol):
    """What both transports offer to the sidecar."""

    def listen(self, address: str) -> int: ...
    async def start(self) -> None: ...
    async def stop(self, grace: float | None) -> None: ...


async def listen(server: Server, name: str, addresses: Sequence[str]) -> None:
    """Bind all addresses at once; those that stay busy are left out as long as one works."""
    bound = await asyncio.gather(*(_bind(server, name, address) for address in addresses))
    if not any(bound):
        raise ListeningError(
            f"failed to start {name} server: could not listen on any endpoint: "
            f"{', '.join(addresses)} (is another sidecar running? choose another port with --dapr-{name.lower()}-port)"
        )


async def _bind(server: Server, name: str, address: str) -> bool:
    deadline, wait = SYSTEM.monotonic() + PATIENCE, FIRST_WAIT
    while True:
        try:
            server.listen(address)
        except OSError as error:
            log.error("Failed to listen for %s server on TCP address %s with error: %s", name, address, error)  # noqa: TRY400  the reason is all that helps
        else:
            log.info("%s server listening on TCP address: %s", name, address)
            return True
        if SYSTEM.monotonic() >= deadline:
            return False
        await asyncio.sleep(wait)
        wait = min(wait * 2, LONGEST_WAIT)
