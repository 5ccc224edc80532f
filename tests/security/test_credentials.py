"""The renewal of a certificate: whatever goes wrong, it goes on, and sentry is not stormed."""

from __future__ import annotations

import asyncio
import tempfile
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dapr_state.clock import WAITING, WaitingClock
from dapr_state.security import credentials
from dapr_state.security.credentials import Credentials
from dapr_state.security.sentry import Certificate
from tests.security.test_spiffe import NAMES, Authority

ASKED = 5  # times, and the test has seen enough


class Signer:
    """A sentry whose certificates are over already, as those of one whose clock is behind."""

    def __init__(self, authority: Authority) -> None:
        self._authority = authority
        self.asked = 0
        self.enough = asyncio.Event()

    async def sign(self) -> Certificate:
        self.asked += 1
        if self.asked == ASKED:
            self.enough.set()
        if self.asked > ASKED:
            await asyncio.Event().wait()
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._authority._sign("leaf", key, ["spiffe://public/ns/default/me"])
        return Certificate(leaf.public_bytes(Encoding.PEM), key, 0.0, 1.0)


class Unhurried(WaitingClock):
    """Nobody waits for a pause, but each is noted."""

    def __init__(self) -> None:
        self.pauses: list[float] = []

    async def sleep(self, seconds: float) -> None:  # type: ignore[override]  # that one is asyncio's
        self.pauses.append(seconds)
        await asyncio.sleep(0)


@pytest.mark.parametrize("failures", [0, 2])
async def test_a_certificate_is_renewed_after_a_pause(monkeypatch: pytest.MonkeyPatch, failures: int) -> None:
    """Also where it is over as soon as it comes, and where the disk has no room for it for a while."""
    authority, clock = Authority(), Unhurried()
    monkeypatch.setattr(credentials, "WAITING", clock)
    made = Credentials(NAMES, authority.anchors, "127.0.0.1:1")
    signer: Any = Signer(authority)
    made._sentry = signer
    await made.begin()
    really, left = tempfile.mkstemp, [OSError("No space left on device")] * failures

    def mkstemp(**options: Any) -> tuple[int, str]:
        if left:
            raise left.pop()
        return really(**options)

    monkeypatch.setattr(tempfile, "mkstemp", mkstemp)
    async with WAITING.timeout(10):
        await signer.enough.wait()
    await made.close()

    assert not left
    assert len(clock.pauses) >= ASKED - 1
    assert min(clock.pauses) >= credentials.AGAIN / 2
