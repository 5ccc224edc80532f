"""A process of its own that outlives `run` by a moment: it ends what `run`, killed, would leave behind.

It reads the numbers of process groups from its standard input, `+7` when one begins and `-7` when it has ended. At the
end of that pipe, which only `run` holds, it asks those that are left to end, and after a while makes them. Between `?`
and `!` one is being started, whose number nobody has told yet: it is found by the variable that all of a `run` have,
which is this program's argument.

It is small and there at once: what it needs at the end it imports then.
"""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress

GRACE = 5.0  # seconds, then they are made to end
CHECK_INTERVAL = 0.05  # seconds between two looks whether they have ended
BORN = 1.0  # seconds in which one that was being started has its variables


def main() -> None:
    groups: set[int] = set()
    starting = 0
    for line in sys.stdin:
        if line[0] in "?!":
            starting += 1 if line[0] == "?" else -1
        else:
            (groups.add if line[0] == "+" else groups.discard)(int(line[1:]))
    from dapr_state.clock import WAITING  # noqa: PLC0415

    end = WAITING.monotonic() + BORN
    while starting and not (found := born(sys.argv[1].encode()) - groups) and WAITING.monotonic() < end:
        WAITING.block(CHECK_INTERVAL)
    if starting:
        groups |= found
    for number in (signal.SIGTERM, signal.SIGCONT):  # one that is stopped hears nothing else
        send(groups, number)
    end = WAITING.monotonic() + GRACE
    while groups and WAITING.monotonic() < end:
        groups = {group for group in groups if exists(group)}
        WAITING.block(CHECK_INTERVAL)
    send(groups, signal.SIGKILL)


def born(variable: bytes) -> set[int]:
    """The groups whose first process has this variable; on a system without /proc none are found."""
    found: set[int] = set()
    for name in os.listdir("/proc") if os.path.isdir("/proc") else ():  # noqa: PTH112, PTH208 - pathlib takes as long to import as all else
        with suppress(OSError, ValueError):
            number = int(name)
            with open(f"/proc/{name}/environ", "rb") as variables:  # noqa: PTH123
                if variable in variables.read().split(b"\0") and os.getpgid(number) == number:
                    found.add(number)
    return found


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
