"""A process of its own that outlives `run` by a moment: it ends what `run`, killed, would leave behind.

It reads the numbers of process groups from its standard input, `+7` when one begins and `-7` when it has ended. At the
end of that pipe, which only `run` holds, it asks those that are left to end, and after a while makes them.

It is small and there at once: what it needs at the end it imports then.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

GRACE = 5.0  # seconds, then they are made to end
CHECK_INTERVAL = 0.05  # seconds between two looks whether they have ended


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin:
        (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    from dapr_state.clock import WAITING  # noqa: PLC0415

    for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped hears nothing else
        send(groups, number)
    end = WAITING.monotonic() + GRACE
    while groups and WAITING.monotonic() < end:
        groups = {group for group in groups if exists(group)}
        WAITING.block(CHECK_INTERVAL)
    send(groups, signal.SIGKILL)


def send(groups: set[int], number: signal.Signals) -> None:
    for group in groups:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(group, number)


def exists(group: int) -> bool:
    try:
        os.killpg(group, 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
