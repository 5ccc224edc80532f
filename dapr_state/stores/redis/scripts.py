"""The Lua scripts of the store, and the name under which a server remembers each."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib import resources
from typing import Any, Final

import hiredis


@dataclass(frozen=True, slots=True)
class Script:
    source: bytes
    sha: bytes

    def remembered(self, keys: list[bytes], *arguments: Any) -> bytes:
        """The call for a server that has run the script before; another answers NOSCRIPT, and does nothing."""
        packed: bytes = hiredis.pack_command((b"EVALSHA", self.sha, b"%d" % len(keys), *keys, *arguments))
        return packed

    def whole(self, keys: list[bytes], *arguments: Any) -> bytes:
        """The call that brings the script along; the server remembers it from then on."""
        packed: bytes = hiredis.pack_command((b"EVAL", self.source, b"%d" % len(keys), *keys, *arguments))
        return packed


def _load(name: str) -> Script:
    source = resources.files(__package__).joinpath(name).read_bytes()
    return Script(source, hashlib.sha1(source, usedforsecurity=False).hexdigest().encode())


APPLY: Final = _load("apply.lua")
LOOK: Final = _load("look.lua")
