"""What goes into a store and what comes out of it."""

from __future__ import annotations

from enum import StrEnum
from types import MappingProxyType
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec

if TYPE_CHECKING:
    from collections.abc import Mapping


class Feature(StrEnum):
    """What a store can be asked for: a call that belongs to a feature is refused by the stores that lack it."""

    ETAG = "ETAG"
    TRANSACTIONAL = "TRANSACTIONAL"
    TTL = "TTL"
    LIST = "LIST"
    ORDER = "ORDER"  # lists come in the order of keys, forwards and backwards
    TOUCH = "TOUCH"  # a row can be given another time to live, and stays as it is
    QUERY = "QUERY"  # what lists can be queried too, unless it cannot look into its values


# msgspec.Struct costs a third of a slotted dataclass to make, and a bulk request makes a hundred. What holds no
# containers can be in no cycle: the collector need not know of it.


class Hints(msgspec.Struct, frozen=True):
    """What a caller said beside what he asks for, word for word: a store that passes it on tells its component."""

    metadata: Mapping[str, str] = MappingProxyType({})
    concurrency: str = ""
    consistency: str = ""
    content_type: str = ""
    of_all: Mapping[str, str] = MappingProxyType({})  # metadata of the transaction, in its first operation


class HintedKey(str):  # noqa: SLOT000 - a str has none
    """A key that is read, with the hints for it: whatever stands between hands it on as the key that it is."""

    hints: Hints

    def __new__(cls, key: str, hints: Hints) -> Self:
        made = super().__new__(cls, key)
        made.hints = hints
        return made


class Upsert(msgspec.Struct, frozen=True, gc=False):
    """Write `value` under `key`, whole: a TTL that the key had is gone unless `ttl` gives a new one."""

    key: str
    value: bytes
    etag: str = ""  # "" = none given; else the write happens only on exactly this version
    first_write: bool = False  # without an etag: only where the key does not exist
    strong: bool = False  # wait for the replicas that the store has
    ttl: int | None = None  # seconds from now, > 0; None = never expires
    is_json: bool = False  # the value is JSON text (stores that keep text and bytes apart ask)
    hints: Hints | None = None  # only for a store that passes them on


class Delete(msgspec.Struct, frozen=True, gc=False):
    """Remove `key`. A missing key is a success, unless an etag is given."""

    key: str
    etag: str = ""
    first_write: bool = False  # means nothing more than the etag: deleting what must not exist is a no-op
    strong: bool = False
    hints: Hints | None = None
    value: ClassVar[bytes] = b""  # so that both kinds are weighed alike


Operation = Upsert | Delete


class StoredValue(msgspec.Struct, frozen=True, gc=False, array_like=True):  # a tuple converts into one
    """A value as it is stored. An empty value is a value; a missing key has none."""

    value: bytes
    etag: str = ""  # "" = the store has none for this row (a foreign writer's)
    expires_at: float | None = None  # unix seconds
