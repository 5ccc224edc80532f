"""How a value's expiry is told to callers: `ttlExpireTime`, RFC 3339 in UTC, whole seconds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.stores.model import StoredValue

KEY = "ttlExpireTime"

_LAST: Final = 253_402_300_799  # the end of the year 9999: others may have stored a later expiry
_NONE: Mapping[str, str] = {}


def metadata(row: StoredValue) -> Mapping[str, str]:
    """The response metadata of a row: its expiry, if it has one."""
    if row.expires_at is None:
        return _NONE
    return {KEY: time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(min(row.expires_at, _LAST)))}
