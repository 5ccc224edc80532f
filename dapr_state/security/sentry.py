"""Dapr's certificate authority, sentry: a key made here, and its certificate with this sidecar's name."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from dapr_state_proto.sentry.v1.sentry_pb2 import SignCertificateRequest
from dapr_state_proto.sentry.v1.sentry_pb2_grpc import CAStub
from msgspec import Struct

from dapr_state.serving.grpc.channel import Channel, Reach

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state.serving.tls import Tls

ANSWER: Final = 10.0  # seconds


class SentryError(Exception):
    """There is no certificate; the text says why."""


class Certificate(Struct, frozen=True):
    """A certificate with those of its issuers, PEM, its key, and when it begins and ends, in seconds since 1970."""

    chain: bytes
    key: ec.EllipticCurvePrivateKey
    begins: float
    ends: float


class Sentry:
    """`sign` asks for a certificate."""

    def __init__(self, address: str, tls: Tls, app_id: str, namespace: str, token_file: Path | None) -> None:
        """`token_file` holds what proves to sentry who this is; without one it believes what it is told."""
        self._address = address
        self._tls = tls
        self._app_id = app_id
        self._namespace = namespace
        self._token_file = token_file

    def __repr__(self) -> str:
        return f"<Sentry {self._address}>"

    async def sign(self) -> Certificate:
        """A new key's certificate. Raises SentryError."""
        key = ec.generate_private_key(ec.SECP256R1())
        asked = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, hashes.SHA256())
        validator = SignCertificateRequest.JWKS if self._token_file else SignCertificateRequest.INSECURE
        request = SignCertificateRequest(
            id=self._app_id,
            namespace=self._namespace,
            token=await self._token(),
            token_validator=validator,
            certificate_signing_request=asked.public_bytes(Encoding.PEM),
        )
        async with Channel(self._address, self._tls, Reach(connect=ANSWER)) as channel:
            try:
                answer = await CAStub(channel).SignCertificate(request, timeout=ANSWER)
            except grpc.aio.AioRpcError as error:
                raise SentryError(error.details()) from None
        try:
            leaf = x509.load_pem_x509_certificates(answer.workload_certificate)[0]
        except ValueError as error:
            raise SentryError(f"sentry's certificate cannot be read: {error}") from None
        if leaf.public_key() != key.public_key():
            raise SentryError("sentry's certificate is for another key")
        begins, ends = leaf.not_valid_before_utc.timestamp(), leaf.not_valid_after_utc.timestamp()
        return Certificate(answer.workload_certificate, key, begins, ends)

    async def _token(self) -> str:
        if self._token_file is None:
            return ""
        try:
            return (await asyncio.to_thread(self._token_file.read_text, "utf-8")).strip()
        except (OSError, UnicodeError) as error:
            raise SentryError(f"the token cannot be read: {error}") from None
