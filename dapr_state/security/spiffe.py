"""SPIFFE: the name that a certificate gives its owner, `spiffe://domain/ns/namespace/id`, and whose it must be."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct

from dapr_state.serving.tls import ALPN, UntrustedError

if TYPE_CHECKING:
    import ssl

_SCHEME: Final = "spiffe://"


class SpiffeId(Struct, frozen=True):
    """A name; without a trust domain it stands for those of any."""

    path: str
    trust_domain: str = ""

    @classmethod
    def of(cls, namespace: str, app_id: str, trust_domain: str = "") -> SpiffeId:
        return cls(f"/ns/{namespace}/{app_id}", trust_domain)

    def __str__(self) -> str:
        return f"{_SCHEME}{self.trust_domain}{self.path}"

    def is_met_by(self, other: SpiffeId) -> bool:
        return self.path == other.path and self.trust_domain in {"", other.trust_domain}


def peer(connection: ssl.SSLObject) -> SpiffeId:
    """Who is at the other end, whose certificate is verified already. Raises UntrustedError if he has no such name."""
    if connection.selected_alpn_protocol() != ALPN:
        raise UntrustedError("cannot check peer: missing selected ALPN property")  # grpc-go's words
    certificate = connection.getpeercert() or {}
    alternatives: Any = certificate.get("subjectAltName", ())
    names = [str(value) for kind, value in alternatives if kind == "URI"]
    if len(names) != 1 or not names[0].startswith(_SCHEME):  # the standard allows one only
        raise UntrustedError("the certificate has no SPIFFE ID")
    trust_domain, slash, path = names[0].removeprefix(_SCHEME).partition("/")
    return SpiffeId(slash + path, trust_domain)
