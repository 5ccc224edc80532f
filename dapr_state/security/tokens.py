"""The API token: what a caller must show, and what is wrong with what was shown."""

from __future__ import annotations

from typing import Final

HEADER: Final = "dapr-api-token"  # of HTTP and of gRPC metadata alike

MISSING: Final = "missing api token in request metadata"
MISMATCH: Final = "authentication error: api token mismatch"


class ApiToken:
    """The token that every call must carry; its `repr` does not show it."""

    def __init__(self, token: str) -> None:
        from hmac import compare_digest  # noqa: PLC0415 - 2 ms of the start, where there is no token

        self._expected = _bytes(token)
        self._is_same = compare_digest

    def __repr__(self) -> str:
        return "<ApiToken>"

    def problem(self, given: str | bytes | None) -> str | None:
        """Why the call is refused, or None. How long this takes says nothing about the token."""
        if given is None:
            return MISSING
        return None if self._is_same(_bytes(given), self._expected) else MISMATCH


def _bytes(text: str | bytes) -> bytes:
    # headers that are not UTF-8 come with surrogates
    return text if isinstance(text, bytes) else text.encode("utf-8", "surrogateescape")
