"""How many octets the answers of an application hold until they are whole: one account for all of its connections."""

from __future__ import annotations

from typing import Final

# Of an answer that costs no account, as of requests
SMALL: Final = 16 * 1024
MAX_BODY: Final = 64 << 20  # of an answer: sixteen times what a request may hold
TOO_LONG: Final = f"the answer is longer than {MAX_BODY} bytes"
# Of all that are not whole: 32 of daprd's largest requests, or two of the longest answers
MAX_OCTETS: Final = 128 << 20
CROWDED: Final = f"too many large answers come at one time: more than {MAX_OCTETS} bytes"


class Answers:
    """Whoever would be one too many is given up, with what came of it; one alone is always let in."""

    def __init__(self) -> None:
        self._held: dict[object, int] = {}
        self._octets = 0

    def __repr__(self) -> str:
        return f"<Answers {self._octets} octets of {len(self._held)}>"

    def hold(self, holder: object, octets: int) -> str:
        """So many octets of a holder's answer are here. Why they cannot be kept, or ""; then he is to `drop` them."""
        if octets > MAX_BODY:
            return TOO_LONG
        others = self._octets - self._held.get(holder, 0)
        if others and others + octets > MAX_OCTETS:
            return CROWDED
        self._held[holder] = octets
        self._octets = others + octets
        return ""

    def drop(self, holder: object) -> None:
        """The holder's answer is whole, or given up."""
        self._octets -= self._held.pop(holder, 0)
