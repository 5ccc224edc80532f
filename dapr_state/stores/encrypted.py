"""A store whose values are encrypted on their way into another store, in daprd's layout.

What is stored is base64(nonce + AES-GCM ciphertext + tag) + "||" + the name of the key's secret. Keys, etags and
expiry are the inner store's own. A value is encrypted as the bytes that it is, whichever transport it came by.
"""

from __future__ import annotations

import asyncio
import binascii
import os
from typing import TYPE_CHECKING, ClassVar, Final, TypeVar

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from dapr_state.stores.base import Count, Entry, Found, KeyPage, KeyRow, Outcomes, Page, StateStore, StoreError, Unfit
from dapr_state.stores.model import Feature, Operation, StoredValue, Upsert
from dapr_state.stores.slices import slices
from dapr_state.stores.wrapper import Wrapper

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from dapr_state.query.budget import QueryBudget
    from dapr_state.query.scan import Matches, Position
    from dapr_state.query.tree import Query
    from dapr_state.stores.encryption import Key

SEPARATOR: Final = b"||"
NONCE_SIZE: Final = 12
_OCTETS_AT_ONCE: Final = 1 << 18  # some milliseconds
_MEASURED_AT_ONCE: Final = 64  # values that are read for their length alone
_OCTETS_OF_ONE: Final = 500  # a value costs as much however small it is

T = TypeVar("T")
C = TypeVar("C")
R = TypeVar("R", bound="StoredValue | StoreError | None")


class EncryptedStore(Wrapper):
    """`keys`: the first writes; all of them read what carries their name."""

    is_encrypted = True
    keeps: ClassVar = frozenset(Feature) - {Feature.QUERY}  # none sees values

    def __init__(self, inner: StateStore, name: str, keys: Sequence[Key]) -> None:
        super().__init__(inner)
        self._name = name
        self._suffix = SEPARATOR + keys[0].name.encode()
        self._cipher = AESGCM(keys[0].secret)
        # two keys of one secret share its name
        self._ciphers: dict[bytes, list[AESGCM]] = {}
        for key in keys:
            self._ciphers.setdefault(key.name.encode(), []).append(AESGCM(key.secret))

    def __repr__(self) -> str:
        names = ", ".join(name.decode() or "unnamed key" for name in self._ciphers)
        return f"<EncryptedStore {names}: {self._inner!r}>"

    @property
    def unencrypted(self) -> StateStore:
        return self._inner

    async def get(self, keys: Sequence[str]) -> Found:
        return await _each(self._decrypted, await self._inner.get(keys))

    async def list(self, prefix: str, *, after: str = "", limit: int) -> Page:
        page = await self._inner.list(prefix, after=after, limit=limit)
        rows = await _each(self._decrypted, [entry.row for entry in page.entries])
        return Page([Entry(entry.key, row) for entry, row in zip(page.entries, rows, strict=True)], page.after)

    async def keys(
        self, prefix: str, *, after: str = "", limit: int, reverse: bool = False, sizes: bool = False
    ) -> KeyPage:
        page = await self._inner.keys(prefix, after=after, limit=limit, reverse=reverse, sizes=sizes)
        if not sizes:
            return page
        rows: list[KeyRow] = []
        for some in slices(page.rows, _MEASURED_AT_ONCE):  # only the key's name behind it tells how long a value was
            found = await self.get([row.key for row in some])
            rows += map(_measured, some, found)
        return KeyPage(rows, page.after)

    async def count(self, prefix: str, *, after: str = "", hidden: str = "", sizes: bool = False) -> Count:
        if sizes:
            return await StateStore.count(self, prefix, after=after, hidden=hidden, sizes=sizes)
        return await self._inner.count(prefix, after=after, hidden=hidden)

    async def query(self, prefix: str, query: Query, *, after: Position | None = None, budget: QueryBudget) -> Matches:  # noqa: ARG002
        raise Unfit("cannot query encrypted store")

    async def write(self, operations: Sequence[Operation]) -> Outcomes:
        return await self._inner.write(await _each(self._encrypted, operations))

    async def transact(self, operations: Sequence[Operation]) -> None:
        await self._inner.transact(await _each(self._encrypted, operations))

    def _encrypted(self, operation: Operation) -> Operation:
        if not isinstance(operation, Upsert):
            return operation
        nonce = os.urandom(NONCE_SIZE)
        sealed = nonce + self._cipher.encrypt(nonce, operation.value, None)
        value = binascii.b2a_base64(sealed, newline=False) + self._suffix
        return msgspec.structs.replace(operation, value=value, is_json=False)

    def _decrypted(self, row: R) -> R | StoredValue | StoreError:
        if not isinstance(row, StoredValue) or not row.value:  # as daprd: an empty value is nobody's ciphertext
            return row
        text, separator, name = row.value.rpartition(SEPARATOR)
        ciphers = self._ciphers.get(name)
        if not separator or ciphers is None:
            return StoreError(
                f"could not decrypt data for state store {self._name}: encryption key name not found on record"
            )
        try:
            sealed = binascii.a2b_base64(text, strict_mode=True)
        except binascii.Error:
            return StoreError("illegal base64 data")
        for cipher in ciphers:
            try:
                value = cipher.decrypt(sealed[:NONCE_SIZE], sealed[NONCE_SIZE:], None)
            except (InvalidTag, ValueError):  # ValueError: too short to hold a nonce
                continue
            return StoredValue(value, row.etag, row.expires_at)
        return StoreError("cipher: message authentication failed")


def _measured(row: KeyRow, found: StoredValue | StoreError | None) -> KeyRow:
    if isinstance(found, StoreError):
        return msgspec.structs.replace(row, size=None, error=str(found))
    return msgspec.structs.replace(row, size=len(found.value) if found else None)


async def _each(change: Callable[[T], C], items: Sequence[T]) -> list[C]:
    """Each item changed; others have their turn in between when the values are large or many."""
    changed: list[C] = []
    octets = 0
    for item in items:
        changed.append(change(item))
        octets += _OCTETS_OF_ONE + len(getattr(item, "value", b""))
        if octets > _OCTETS_AT_ONCE:
            octets = 0
            await asyncio.sleep(0)
    return changed
