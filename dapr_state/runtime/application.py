"""The wait for the application's port: the sidecar serves meanwhile, and is ready afterwards."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from dapr_state.clock import SYSTEM

if TYPE_CHECKING:
    from dapr_state.runtime.options import Options

PERIOD: Final = 0.1  # between two attempts; these three are daprd's
ATTEMPT: Final = 0.5
REMINDER: Final = 10.0

log = logging.getLogger("dapr.runtime")
channel_log = logging.getLogger("dapr.runtime.channels")


def announce(options: Options) -> None:
    """Say so where there is no application to call."""
    if not options.app_port:
        channel_log.warning("App channel is not initialized. Did you configure an app-port?")


async def until_listening(options: Options) -> None:
    """Return when the application accepts connections; at once where no port of it is given."""
    port = options.app_port
    if not port:
        return
    log.info(
        "application protocol: %s. waiting on port %d.  This will block until the app is listening on that port.",
        options.app_protocol,
        port,
    )
    reminder = SYSTEM.monotonic() + REMINDER
    while not await _accepts(options.app_channel_address, port):
        if SYSTEM.monotonic() >= reminder:
            log.info("waiting for application to listen on port %d", port)
            reminder += REMINDER
        await asyncio.sleep(PERIOD)
    log.info("application discovered on port %d", port)


async def _accepts(host: str, port: int) -> bool:
    try:
        async with asyncio.timeout(ATTEMPT):
            _, writer = await asyncio.open_connection(host, port)
    except OSError:  # a timeout is one
        return False
    writer.close()
    return True
