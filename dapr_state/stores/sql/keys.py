"""Which keys a column of text can hold."""

from __future__ import annotations

from dapr_state.stores.base import StoreError, Unfit


def refusal(key: str) -> StoreError | None:
    """Why there can be no row with this key. A key that came as bytes may hold some that are no text."""
    if key.isascii():
        return None
    try:
        key.encode()
    except UnicodeEncodeError:
        return Unfit(f"the key is not valid UTF-8: {key!a}")
    return None
