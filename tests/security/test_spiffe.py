"""Names of SPIFFE: whose connection is let through, and whose is not."""

from __future__ import annotations

import datetime as dt
import ssl
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from dapr_state.clock import WAITING
from dapr_state.security import spiffe
from dapr_state.security.credentials import AnchorsError, Credentials, Names
from dapr_state.security.spiffe import SpiffeId
from dapr_state.serving.tls import UntrustedError

if TYPE_CHECKING:
    from pathlib import Path

NAMES = Names("me", "default", "control", "localhost")


class Authority:
    """A root, and what it signs."""

    def __init__(self) -> None:
        self.age = 0.0  # seconds of what it signs: after an hour that has expired
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = f"root {self.key.public_key().public_numbers().x}"[:64]  # of two roots each has its own
        self.root = self._sign(self.name, self.key, [])

    def _sign(self, name: str, key: ec.EllipticCurvePrivateKey, uris: list[str]) -> x509.Certificate:
        now = dt.datetime.fromtimestamp(WAITING.wall() - self.age, dt.UTC)
        owner, root = (x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, each)]) for each in (name, self.name))
        builder = x509.CertificateBuilder(root, owner, key.public_key(), x509.random_serial_number())
        builder = builder.not_valid_before(now - dt.timedelta(hours=1))
        builder = builder.not_valid_after(now + dt.timedelta(hours=1))
        builder = builder.add_extension(x509.BasicConstraints(not uris, None), critical=True)
        if uris:
            names = [x509.UniformResourceIdentifier(each) for each in uris]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
        return builder.sign(self.key, hashes.SHA256())

    def context(self, folder: Path, side: int, *uris: str) -> ssl.SSLContext:
        """Of one who has these names."""
        key = ec.generate_private_key(ec.SECP256R1())
        own = folder / "own.pem"
        own.write_bytes(
            self._sign("leaf", key, list(uris) or ["https://x"]).public_bytes(Encoding.PEM)
            + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )
        context = ssl.SSLContext(side)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(cadata=self.anchors)
        context.load_cert_chain(own)
        context.set_alpn_protocols(["h2"])
        return context

    @property
    def anchors(self) -> str:
        return self.root.public_bytes(Encoding.PEM).decode()


def met(server: ssl.SSLContext, client: ssl.SSLContext) -> tuple[ssl.SSLObject, ssl.SSLObject]:
    """Both ends of a connection in memory, server first."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ends = (
        server.wrap_bio(to_server, to_client, server_side=True),
        client.wrap_bio(to_client, to_server),
    )
    waiting = {*ends}
    while waiting:
        for end in tuple(waiting):
            try:
                end.do_handshake()
                waiting.discard(end)
            except ssl.SSLWantReadError:
                continue
    return ends


@pytest.mark.parametrize(
    ("name", "goes_out", "comes_in"),
    [
        ("spiffe://public/ns/default/other", True, True),
        ("spiffe://elsewhere/ns/default/other", True, True),
        ("spiffe://public/ns/default/another", False, True),
        ("spiffe://public/ns/default2/other", False, False),
        ("spiffe://public/ns/default", False, False),
        ("spiffe://public", False, False),
        ("https://public/ns/default/other", False, False),
    ],
)
def test_who_a_sidecar_talks_to(tmp_path: Path, name: str, *, goes_out: bool, comes_in: bool) -> None:
    """To the one of that app id in its namespace, in any trust domain; and any of its namespace may come."""
    authority = Authority()
    ours = Credentials(NAMES, authority.anchors, "")
    them = authority.context(tmp_path, ssl.PROTOCOL_TLS_SERVER, name)
    us = authority.context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, "spiffe://public/ns/default/me")
    server_end, client_end = met(them, us)

    for tls, allowed in ((ours.peer("other"), goes_out), (ours.server(), comes_in)):
        if allowed:
            tls.check(client_end)
        else:
            with pytest.raises(UntrustedError):
                tls.check(client_end)
    assert spiffe.peer(server_end) == SpiffeId("/ns/default/me", "public")


@pytest.mark.parametrize(
    ("name", "is_it"),
    [
        ("spiffe://localhost/ns/control/dapr-placement", True),
        ("spiffe://public/ns/control/dapr-placement", False),
        ("spiffe://localhost/ns/default/dapr-placement", False),
        ("spiffe://localhost/ns/control/dapr-scheduler", False),
    ],
)
def test_a_service_of_the_control_plane(tmp_path: Path, name: str, *, is_it: bool) -> None:
    """Is known by name, namespace and trust domain: any sidecar may be called as it is, but not there."""
    authority = Authority()
    them = authority.context(tmp_path, ssl.PROTOCOL_TLS_SERVER, name)
    _, client_end = met(them, authority.context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, "spiffe://public/ns/default/me"))
    tls = Credentials(NAMES, authority.anchors, "").service("dapr-placement")

    if is_it:
        tls.check(client_end)
    else:
        with pytest.raises(UntrustedError) as raised:
            tls.check(client_end)
        assert str(raised.value) == f'unexpected SPIFFE ID: "{name}"'


@pytest.mark.parametrize("uris", [("spiffe://a/ns/default/x", "spiffe://a/ns/default/y"), ("urn:x",)])
def test_a_certificate_without_one_name(tmp_path: Path, uris: tuple[str, ...]) -> None:
    """Nobody can say whose it is: it is refused."""
    authority = Authority()
    them = authority.context(tmp_path, ssl.PROTOCOL_TLS_SERVER, *uris)
    _, client_end = met(them, authority.context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, "spiffe://public/ns/default/me"))

    with pytest.raises(UntrustedError, match="has no SPIFFE ID"):
        Credentials(NAMES, authority.anchors, "").server().check(client_end)


def test_who_has_not_agreed_on_http2_is_refused(tmp_path: Path) -> None:
    """In grpc-go's words, as its own would be by the others."""
    authority = Authority()
    them = authority.context(tmp_path, ssl.PROTOCOL_TLS_SERVER, "spiffe://public/ns/default/other")
    us = authority.context(tmp_path, ssl.PROTOCOL_TLS_CLIENT, "spiffe://public/ns/default/me")
    us.set_alpn_protocols(["http/1.1"])

    with pytest.raises(UntrustedError, match="missing selected ALPN property"):
        spiffe.peer(met(them, us)[1])


@pytest.mark.parametrize("anchors", ["", "nope", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_anchors_that_are_none(anchors: str) -> None:
    """Are refused at the start, in daprd's words."""
    with pytest.raises(AnchorsError, match=r"^failed to decode trust anchors: no certificates found$"):
        Credentials(NAMES, anchors, "")


def test_a_stranger_gets_no_further_than_the_handshake(tmp_path: Path) -> None:
    """A certificate of other anchors, with whatever name."""
    ours = Credentials(NAMES, Authority().anchors, "")
    stranger = Authority().context(tmp_path, ssl.PROTOCOL_TLS_SERVER, "spiffe://public/ns/default/other")

    with pytest.raises(ssl.SSLError):
        met(stranger, ours.peer("other").context())
