"""`--restart`: whether an application that has ended starts again, and how soon."""

from __future__ import annotations

import re
from typing import Final

FIRST: Final = 1.0  # seconds; twice as many each time
LONGEST: Final = 30.0  # seconds; one that has run for so long begins again with the first
_POLICY: Final = re.compile(r"never|always|on-failure(?::([0-9]{1,6}))?")


class Restarts:
    """Those of one application. Raises ValueError for a policy that there is none of."""

    def __init__(self, policy: str) -> None:
        found = _POLICY.fullmatch(policy)
        if not found:
            raise ValueError(f"{policy!r} is not never, always, on-failure or on-failure:N")
        self._policy = policy.partition(":")[0]
        self._left = int(found[1]) if found[1] else None  # None: any number
        self._next = FIRST

    def __repr__(self) -> str:
        return f"<Restarts {self._policy}>"

    def pause(self, code: int, lived: float) -> float | None:
        """The seconds before the next start of one that has lived for so many; None if there is none."""
        if self._policy == "never" or (self._policy == "on-failure" and not code) or self._left == 0:
            return None
        if self._left is not None:
            self._left -= 1
        now = FIRST if lived >= LONGEST else self._next
        self._next = min(2 * now, LONGEST)
        return now
