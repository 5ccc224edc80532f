"""The watched program with a store that does what no store may: a get blocks the loop, or burns it.

Keys that begin with "sleep" wait in a call, those that begin with "burn" use the processor, for HELD seconds.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from dapr_state.stores.memory import MemoryStore
from tests.support import watched_program

HELD = 0.2  # seconds

get = MemoryStore.get


async def blocking_get(self: MemoryStore, keys: Any) -> Any:
    name = keys[0].rpartition("||")[2]
    if name.startswith("sleep"):
        time.sleep(HELD)  # noqa: ASYNC251 - what the watchdog is for
    elif name.startswith("burn"):
        end = time.thread_time() + HELD
        while time.thread_time() < end:
            pass
    return await get(self, keys)


if __name__ == "__main__":
    MemoryStore.get = blocking_get  # type: ignore[method-assign] # on purpose
    sys.exit(watched_program.main())
