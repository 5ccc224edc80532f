"""What proves to others who this sidecar is: a certificate, renewed in time, and the connections secured with it.

Rules that a change must keep:
1. A connection that stands is not touched by a renewal, nor by other trust anchors: the next one has the new ones.
2. Nobody is spoken to whose certificate is not of the trust anchors, or has another name than the one that is meant.
3. A context that connections may be made with is never changed: one with half of a certificate fails a handshake.
4. The key is never in a file that could be read without the password, which is nowhere but here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import random
import secrets
import ssl
import tempfile
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, PrivateFormat
from msgspec import Struct

from dapr_state.clock import WAITING
from dapr_state.security import spiffe
from dapr_state.security.sentry import Sentry, SentryError
from dapr_state.security.spiffe import SpiffeId
from dapr_state.serving.tls import ALPN, UntrustedError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from dapr_state.security.sentry import Certificate
    from dapr_state.serving.tls import Tls

SENTRY: Final = "dapr-sentry"  # what it calls itself; the others are dapr-placement and dapr-scheduler

AGAIN: Final = 3.0  # seconds until sentry is asked again, as daprd
AGAIN_AT_MOST: Final = 60.0  # where the certificate that there is holds for a while
TOLD_AGAIN: Final = 10.0  # seconds until a failure at the start is told again
LOOK: Final = 60.0  # seconds between two looks at the clock: it stands still while the machine sleeps
LOOK_AT_ANCHORS: Final = 2.0  # seconds between two looks at their file
ISSUERS: Final = 16  # of earlier certificates that are still trusted: sentry has another one with another root

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


class _Contexts:
    """What connections are made with under some trust anchors; sentry is asked without a certificate to show.

    All roots of sentry have the same name, and what they sign does not say by which of them: OpenSSL takes the first.
    So the youngest comes first, and issuers that have signed for this sidecar are trusted by themselves.
    """

    def __init__(
        self, anchors: str, certificate: Certificate | None = None, issuers: Iterable[x509.Certificate] = ()
    ) -> None:
        """`issuers` are those of earlier certificates, which others may still show. Raises AnchorsError or OSError."""
        roots = _roots(anchors)
        chain = x509.load_pem_x509_certificates(certificate.chain)[1:] if certificate else []
        known = [each for each in dict.fromkeys((*issuers, *chain)) if _is_of(each, roots)]
        self.anchors = anchors
        self.certificate = certificate
        self.issuers = known[-ISSUERS:]
        trusted = (*roots, *self.issuers)
        self.client = _context(ssl.PROTOCOL_TLS_CLIENT, trusted)
        self.server = _context(ssl.PROTOCOL_TLS_SERVER, trusted)
        self.asking = _context(ssl.PROTOCOL_TLS_CLIENT, trusted)
        if certificate:
            _load(certificate, self.client, self.server)


class Credentials:
    """`begin` it, use `server`, `service` and `peer` for connections, `close` it."""

    def __init__(self, names: Names, anchors: str | Path, sentry_address: str, token_file: Path | None = None) -> None:
        """`anchors` are PEM, or a file of it, which is read again when it has changed. Raises AnchorsError."""
        self._names = names
        self._file = anchors if isinstance(anchors, Path) else None
        self._contexts = _Contexts(_read(anchors) if isinstance(anchors, Path) else anchors)
        self._changing = asyncio.Lock()
        # a server keeps the context that it began with: each connection leaves it for the one of the moment
        self._door = _context(ssl.PROTOCOL_TLS_SERVER, ())
        self._door.sni_callback = self._enter
        asking = _Peer(lambda: self._contexts.asking, names.service(SENTRY))
        self._sentry = Sentry(sentry_address, asking, names.app_id, names.namespace, token_file)
        self._are_anchors_new = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []

    def __repr__(self) -> str:
        return f"<Credentials {SpiffeId.of(self._names.namespace, self._names.app_id)}>"

    async def begin(self) -> None:
        """Return when there is a certificate: sentry may start later than this sidecar."""
        if self._file:  # from now on: sentry may have come with another root
            self._tasks.append(asyncio.ensure_future(self._watch(self._file)))
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
        self._tasks.append(asyncio.ensure_future(self._keep(certificate)))

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    # Connections

    def server(self) -> Tls:
        """Of the internal port: only sidecars of this namespace come in."""
        return _Neighbours(self._door, self._names.namespace)

    def _enter(self, connection: ssl.SSLObject, *_: object) -> None:
        connection.context = self._contexts.server

    def service(self, name: str) -> Tls:
        """To a service of the control plane."""
        return _Peer(lambda: self._contexts.client, self._names.service(name))

    def peer(self, app_id: str) -> Tls:
        """To another sidecar of this namespace."""
        return _Peer(lambda: self._contexts.client, SpiffeId.of(self._names.namespace, app_id))

    # The certificate

    async def _renew(self) -> Certificate:
        """Raises SentryError."""
        self._are_anchors_new.clear()
        certificate = await self._sentry.sign()
        try:
            await self._change(certificate=certificate)
        except OSError as error:  # of the disk, or of the library, which finds fault with it
            raise SentryError(f"the certificate cannot be loaded: {error}") from None
        return certificate

    async def _change(self, *, anchors: str | None = None, certificate: Certificate | None = None) -> None:
        """Make connections with these from now on. Raises AnchorsError, or OSError: all stays as it is then."""
        async with self._changing:  # or one change would take back another
            old = self._contexts
            self._contexts = await asyncio.to_thread(
                _Contexts, old.anchors if anchors is None else anchors, certificate or old.certificate, old.issuers
            )

    async def _watch(self, file: Path) -> None:
        """Who is trusted changes with the file; what is no list of certificates changes nothing."""
        failed = ""
        while True:
            await WAITING.sleep(LOOK_AT_ANCHORS)
            try:
                anchors = await asyncio.to_thread(_read, file)
                if anchors != self._contexts.anchors:
                    await self._trust(anchors)
                failed = ""
            except (AnchorsError, OSError) as error:
                if failed != str(error):  # once
                    failed = str(error)
                    log.error("The trust anchors in %s cannot be used, the old ones stay: %s", file, error)  # noqa: TRY400

    async def _trust(self, anchors: str) -> None:
        """Raises AnchorsError, or OSError."""
        await self._change(anchors=anchors)
        log.info("The trust anchors have changed")
        self._are_anchors_new.set()  # others may trust only what sentry signs from now on

    async def _keep(self, certificate: Certificate) -> None:
        while True:
            at = (certificate.begins + certificate.ends) / 2
            log.info("Workload certificate expires on: %s, renewal at: %s", _shown(certificate.ends), _shown(at))
            if at <= WAITING.wall():  # one of the clocks is wrong: sentry is not to be stormed
                await WAITING.sleep(random.uniform(0.5, 1) * AGAIN)  # noqa: S311 - not for secrets
            while (left := at - WAITING.wall()) > 0 and not self._are_anchors_new.is_set():
                with suppress(TimeoutError):
                    async with WAITING.timeout(min(left, LOOK)):
                        await self._are_anchors_new.wait()
                        await WAITING.sleep(random.uniform(0, 1) * AGAIN)  # noqa: S311 - all others ask, too
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

    def __init__(self, context: Callable[[], ssl.SSLContext], meant: SpiffeId) -> None:
        self._context = context
        self._meant = meant

    def context(self) -> ssl.SSLContext:
        return self._context()

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


def _read(file: Path) -> str:
    """Raises AnchorsError."""
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise AnchorsError(f"failed to read the trust anchors: {error}") from None


def _roots(anchors: str) -> list[x509.Certificate]:
    """The youngest first. Raises AnchorsError."""
    try:
        found = x509.load_pem_x509_certificates(anchors.encode())
    except ValueError:
        raise AnchorsError("failed to decode trust anchors: no certificates found") from None
    return sorted(found, key=lambda each: each.not_valid_before_utc, reverse=True)


def _is_of(issuer: x509.Certificate, roots: Iterable[x509.Certificate]) -> bool:
    return any(_is_signed_by(issuer, root) for root in roots)


def _is_signed_by(one: x509.Certificate, other: x509.Certificate) -> bool:
    try:
        one.verify_directly_issued_by(other)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _context(side: int, trusted: Iterable[x509.Certificate]) -> ssl.SSLContext:
    context = ssl.SSLContext(side)
    context.check_hostname = False  # the names are those of SPIFFE
    context.verify_mode = ssl.CERT_REQUIRED
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols([ALPN])
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for each in trusted:
        context.load_verify_locations(cadata=each.public_bytes(Encoding.DER))
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
