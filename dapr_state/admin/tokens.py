"""Tokens that callers hand back: signed, and good for nothing but what they were given for.

A key is made of what this sidecar is started with, so that a token of a page outlives a restart.
"""

from __future__ import annotations

import binascii
import hmac
from hashlib import blake2b
from typing import Final

from dapr_state import errors

_SEAL: Final = 12  # octets: nobody guesses one in a lifetime, and what a forged token would show is shown anyway


TOKEN_AT_MOST: Final = 1 << 20  # characters of one that is handed back: looked at in 5 ms, and of a key that is as long


class Seals:
    def __init__(self, secret: str) -> None:
        self._key = blake2b(secret.encode("utf-8", "surrogateescape"), person=b"dapr-state admin").digest()

    def __repr__(self) -> str:
        return "<Seals>"

    def sealed(self, content: str, *purpose: object) -> str:
        octets = content.encode("utf-8", "surrogatepass")
        return binascii.b2a_base64(self._seal(octets, purpose) + octets, newline=False).decode()

    def opened(self, token: str, *purpose: object) -> str:
        """The content. Raises the error of a token that was not given for this."""
        try:
            told = binascii.a2b_base64(token[: TOKEN_AT_MOST + 1], strict_mode=True)  # one too many is no base64
            seal, octets = told[:_SEAL], told[_SEAL:]
            if hmac.compare_digest(seal, self._seal(octets, purpose)):
                return octets.decode("utf-8", "surrogatepass")
        except ValueError:
            pass
        raise errors.ADMIN_REQUEST(cause="the token was not given for this request: begin anew, without one")

    def _seal(self, octets: bytes, purpose: tuple[object, ...]) -> bytes:
        about = repr(purpose).encode("utf-8", "surrogatepass")
        return blake2b(b"%d:%b%b" % (len(about), about, octets), key=self._key, digest_size=_SEAL).digest()
