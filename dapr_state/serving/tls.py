"""What a connection needs to be secured: whoever knows certificates says it, and who may be at the other end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import ssl

ALPN = "h2"  # what HTTP/2 over TLS is called while it is agreed on


class UntrustedError(Exception):
    """Whoever is at the other end is not the one that was meant; the text says who it is."""


class Tls(Protocol):
    """One side of connections to a kind of peer. Asked for each, for certificates are renewed."""

    def context(self) -> ssl.SSLContext: ...

    def check(self, connection: ssl.SSLObject) -> None:
        """Raise UntrustedError unless the peer is the one that is meant; his certificate is verified already."""
