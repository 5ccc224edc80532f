"""What proves to others who this sidecar is: a certificate, renewed in time, and the connections secured with it.

Rules that a change must keep:
1. A connection that stands is not touched by a renewal: the next one has the new certificate.
2. Nobody is spoken to whose certificate is not of the trust anchors, or has another name than the one that is meant.
3. The key is never in a file that could be read without the password, which is nowhere but here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from msgspec import Struct

from dapr_state.clock import WAITING
from dapr_state.security import spiffe
from dapr_state.security.sentry import Sentry, SentryError
from dapr_state.security.spiffe import SpiffeId
from dapr_state.serving.tls import ALPN, UntrustedError

if TYPE_CHECKING:
    from dapr_state.security.sentry import Certificate
    from dapr_state.serving.tls import Tls

SENTRY: Final = "dapr-sentry"  # what it calls itself; the others are dapr-placement and dapr-scheduler

AGAIN: Final = 3.0  # seconds until sentry is asked again, as daprd
AGAIN_AT_MOST: Final = 60.0  # where the certificate that there is holds for a while
TOLD_AGAIN: Final = 10.0  # seconds until a failure at the start is told again
LOOK: Final = 60.0  # seconds between two looks at the clock: it stands still while the machine sleeps

log = logging.getLogger("dapr.runtime.security")


class AnchorsError(Exception):
    """The trust anchors are none; the text is daprd's."""


class Names(Struct, frozen=True):
    """Who this is, and what the control plane is called."""

    app_id: str
    namespace: str
    control_plane_namespace: str
    control_plane_trust_domain: str

    def service(self, name: str) -> SpiffeId:
        return SpiffeId.of(self.control_plane_namespace, name, self.control_plane_trust_domain)


class Credentials:
    """`begin` it, use `server`, `service` and `peer` for connections, `close` it."""

    def __init__(self, names: Names, anchors: str, sentry_address: str, token_file: Path | None = None) -> None:
        """`anchors` are PEM. Raises AnchorsError."""
        self._names = names
        self._client = _context(ssl.PROTOCOL_TLS_CLIENT, anchors)
        self._server = _context(ssl.PROTOCOL_TLS_SERVER, anchors)
        # sentry is asked before there is a certificate to show
        asking = _Peer(_context(ssl.PROTOCOL_TLS_CLIENT, anchors), names.service(SENTRY))
        self._sentry = Sentry(sentry_address, asking, names.app_id, names.namespace, token_file)
        self._renewing: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Credentials {SpiffeId.of(self._names.namespace, self._names.app_id)}>"

    async def begin(self) -> None:
        """Return when there is a certificate: sentry may start later than this sidecar."""
        log.info("Fetching initial identity")
        told = -TOLD_AGAIN
        while True:
            try:
                certificate = await self._renew()
                break
            except SentryError as error:
                if WAITING.monotonic() - told >= TOLD_AGAIN:
                    told = WAITING.monotonic()
                    log.error("Failed to retrieve the initial identity: %s. Retrying...", error)  # noqa: TRY400
            await WAITING.sleep(random.uniform(0.5, 1) * AGAIN)  # noqa: S311 - not for secrets
        log.info("Security is initialized successfully")
        self._renewing = asyncio.ensure_future(self._keep(certificate))

    async def close(self) -> None:
        if self._renewing:
            self._renewing.cancel()
            await asyncio.wait([self._renewing])

    # Connections

    def server(self) -> Tls:
        """Of the internal port: only sidecars of this namespace come in."""
        return _Neighbours(self._server, self._names.namespace)

    def service(self, name: str) -> Tls:
        """To a service of the control plane."""
        return _Peer(self._client, self._names.service(name))

    def peer(self, app_id: str) -> Tls:
        """To another sidecar of this namespace."""
        return _Peer(self._client, SpiffeId.of(self._names.namespace, app_id))

    # The certificate

    async def _renew(self) -> Certificate:
        """Raises SentryError."""
        certificate = await self._sentry.sign()
        try:
            await asyncio.to_thread(_load, certificate, self._client, self._server)
        except OSError as error:  # of the disk, or of the library, which finds fault with it
            raise SentryError(f"the certificate cannot be loaded: {error}") from None
        return certificate

    async def _keep(self, certificate: Certificate) -> None:
        while True:
            at = (certificate.begins + certificate.ends) / 2
            log.info("Workload certificate expires on: %s, renewal at: %s", _shown(certificate.ends), _shown(at))
            if at <= WAITING.wall():  # one of the clocks is wrong: sentry is not to be stormed
                await WAITING.sleep(random.uniform(0.5, 1) * AGAIN)  # noqa: S311 - not for secrets
            while (left := at - WAITING.wall()) > 0:
                await WAITING.sleep(min(left, LOOK))
            certificate = await self._next(certificate)

    async def _next(self, old: Certificate) -> Certificate:
        pause = AGAIN
        while True:
            try:
                return await self._renew()
            except SentryError as error:
                left = old.ends - WAITING.wall()
                state = f"the old one expires in {left:.0f} s" if left > 0 else "the old one has expired"
                log.error("Failed to renew the workload certificate, %s: %s", state, error)  # noqa: TRY400
            await WAITING.sleep(random.uniform(0.5, 1) * min(pause, max(AGAIN, (old.ends - WAITING.wall()) / 10)))  # noqa: S311
            pause = min(pause * 2, AGAIN_AT_MOST)


class _Peer:
    """The way out to one that has this name."""

    def __init__(self, context: ssl.SSLContext, meant: SpiffeId) -> None:
        self._context = context
        self._meant = meant

    def context(self) -> ssl.SSLContext:
        return self._context

    def check(self, connection: ssl.SSLObject) -> None:
        found = spiffe.peer(connection)
        if not self._meant.is_met_by(found):
            raise UntrustedError(f'unexpected SPIFFE ID: "{found}"')


class _Neighbours:
    """Who comes to the internal port."""

    def __init__(self, context: ssl.SSLContext, namespace: str) -> None:
        self._context = context
        self._path = SpiffeId.of(namespace, "").path

    def context(self) -> ssl.SSLContext:
        return self._context

    def check(self, connection: ssl.SSLObject) -> None:
        found = spiffe.peer(connection)
        if not found.path.startswith(self._path):
            raise UntrustedError(f'unexpected SPIFFE ID: "{found}"')


def _context(side: int, anchors: str) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.check_hostname = False  # the names are those of SPIFFE
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    try:
        found = x509.load_pem_x509_certificates(anchors.encode())
        context.load_verify_locations(cadata="".join(each.public_bytes(Encoding.PEM).decode() for each in found))
    except (ValueError, ssl.SSLError):
        raise AnchorsError("failed to decode trust anchors: no certificates found") from None
    return context


def _load(certificate: Certificate, *contexts: ssl.SSLContext) -> None:
    """The library takes files only."""
    password = secrets.token_hex(32)
    key = certificate.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(password.encode()))
    number, name = tempfile.mkstemp(prefix="dapr-identity-")  # for this user only
    path = Path(name)
    try:
        with os.fdopen(number, "wb") as file:
            file.write(certificate.chain + key)
        for context in contexts:
            context.load_cert_chain(path, password=password)
    finally:
        path.unlink()


def _shown(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S +0000 UTC}"
