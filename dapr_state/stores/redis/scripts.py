"""The Lua scripts of the store, and the name under which a server remembers each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any, Final

import hiredis

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Script:
    source: bytes
    sha: bytes

    def remembered(self, keys: Sequence[bytes], arguments: Sequence[bytes] = ()) -> bytes:
        """The call for a server that has run the script before; another answers NOSCRIPT, and does nothing."""
        return packed(b"EVALSHA", self.sha, b"%d" % len(keys), *keys, *arguments)

    def whole(self, keys: Sequence[bytes], arguments: Sequence[bytes] = ()) -> bytes:
        """The call that brings the script along; the server remembers it from then on."""
        return packed(b"EVAL", self.source, b"%d" % len(keys), *keys, *arguments)


def words(*some: bytes) -> bytes:
    """Words as they stand in a packed command, whatever comes before and behind."""
    return packed(*some).partition(b"\r\n")[2]


def packed(*words: Any) -> bytes:
    """A command."""
    packed: bytes = hiredis.pack_command(words)
    return packed


def _load(name: str) -> Script:
    source = resources.files(__package__).joinpath(name).read_bytes()
    return Script(source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())


APPLY: Final = _load("apply.lua")
READ_ANY: Final = _load("read_any.lua")
