"""How long a value lives: the `ttlInSeconds` of a request, as each store reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec import Struct

from dapr_state.golang import strconv

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEY: Final = "ttlInSeconds"
LONGEST: Final = 250_000_000_000  # seconds, which end before the year 9999: longer ones could not be told in RFC 3339
LARGEST: Final = 2**31 - 1  # what the SQL stores of daprd accept


class TtlRule(Struct, frozen=True):
    """The texts of errors and the accepted range, which differ from store to store (state-stores.md 0.3)."""

    parse_int: Callable[[str], int] = strconv.parse_int
    error: str = "error parsing TTL: incorrect value for metadata 'ttlInSeconds': {}"
    ranged: bool = True  # below -1 and above LARGEST is an error
    default: int | None = None  # of the component, for requests without a TTL

    def read(self, metadata: Mapping[str, str]) -> int | None:
        """Seconds until expiry, or None for a value that stays. ValueError says what is wrong with the text."""
        text = metadata.get(KEY)
        if not text:
            return self.default
        try:
            seconds = self.parse_int(text)
        except ValueError as error:
            raise ValueError(self.error.format(error)) from None
        if self.ranged and not -1 <= seconds <= LARGEST:
            raise ValueError(self.error.format("must be -1 or greater"))
        return lifetime(seconds)


def lifetime(seconds: int) -> int | None:
    """So many seconds, or None for a value that stays: daprd loses it, at once or some day, where it cannot count."""
    return seconds if 0 < seconds <= LONGEST else None
