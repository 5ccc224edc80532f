"""The renewal of a certificate: whatever goes wrong, it goes on, and sentry is not stormed."""

from __future__ import annotations

import asyncio
import ssl
import tempfile
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from dapr_state.clock import WAITING
from dapr_state.security import credentials
from dapr_state.security.credentials import AnchorsError, Credentials
from dapr_state.security.sentry import Certificate
from tests.security.test_spiffe import NAMES, Authority, met
from tests.support.unhurried import Unhurried
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

ASKED = 5  # times, and the test has seen enough
RENEWED = 30  # times: handshakes meet one of them


class Signer:
    """A sentry whose certificates are over already, as those of one whose clock is behind."""

    def __init__(self, authority: Authority, enough: int = ASKED) -> None:
        self._authority = authority
        self._enough = enough
        self.asked = 0
        self.enough = asyncio.Event()

    async def sign(self) -> Certificate:
        self.asked += 1
        if self.asked == self._enough:
            self.enough.set()
        if self.asked > self._enough:
            await asyncio.Event().wait()
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self._authority._sign("leaf", key, ["spiffe://public/ns/default/me"])
        return Certificate(leaf.public_bytes(Encoding.PEM), key, 0.0, 1.0)


class Steady(Signer):
    """Its certificates hold for an hour; each with a key and issuer of the moment."""

    def __init__(self, authority: Authority) -> None:
        super().__init__(authority)
        self.authority = authority

    async def sign(self) -> Certificate:
        self.asked += 1
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self.authority._sign("leaf", key, ["spiffe://public/ns/default/me"])
        now = WAITING.wall()
        return Certificate(leaf.public_bytes(Encoding.PEM), key, now - 3600, now + 7200)


def trusts(one: Credentials, folder: Path, other: Authority) -> bool:
    """Whether one with a certificate of the other may come in."""
    context = other.context(folder, ssl.PROTOCOL_TLS_CLIENT, "spiffe://public/ns/default/other")
    context.verify_mode = ssl.CERT_NONE
    try:
        met(one.server().context(), context)
    except ssl.SSLError:
        return False
    return True


async def test_trust_anchors_change_with_their_file(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next connection goes by them, and a certificate is asked for; what is none changes nothing, and is told."""
    caplog.set_level("INFO")
    old, new = Authority(), Authority()
    file = tmp_path / "ca.crt"
    file.write_text(old.anchors)
    monkeypatch.setattr(credentials, "LOOK_AT_ANCHORS", 0.01)
    monkeypatch.setattr(credentials, "AGAIN", 0.01)
    made = Credentials(NAMES, file, "127.0.0.1:1")
    signer: Any = Steady(old)
    made._sentry = signer
    await made.begin()
    peer = made.server()
    before = trusts(made, tmp_path, old), trusts(made, tmp_path, new)
    file.write_text("nothing")
    await eventually(lambda: "the old ones stay" in caplog.text)
    kept = trusts(made, tmp_path, old)
    file.write_text(old.anchors + new.anchors)
    await eventually(lambda: signer.asked > 1)
    await eventually(lambda: trusts(made, tmp_path, old) and trusts(made, tmp_path, new))
    signer.authority = new
    file.write_text(new.anchors)
    await eventually(lambda: signer.asked > 2)
    await eventually(lambda: not trusts(made, tmp_path, old))
    await eventually(lambda: trusts(made, tmp_path, new))
    context = peer.context()
    await made.close()

    assert (before, kept) == ((True, False), True)
    assert context is made.server().context()


async def test_connections_are_made_while_certificates_are_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each shows a certificate that is whole, and its key: no handshake fails."""
    authority = Authority()
    monkeypatch.setattr(credentials, "AGAIN", 0.0)
    made = Credentials(NAMES, authority.anchors, "127.0.0.1:1")
    signer: Any = Signer(authority, enough=RENEWED)
    made._sentry = signer
    await made.begin()
    seen = set()
    async with WAITING.timeout(60):
        while not signer.enough.is_set():
            _, end = met(made.server().context(), made.peer("me").context())
            seen.add(end.getpeercert(binary_form=True))
            await asyncio.sleep(0)
    await made.close()

    assert len(seen) > 1


async def test_a_file_of_trust_anchors_that_is_not_there(tmp_path: Path) -> None:
    """Is refused at the start."""
    with pytest.raises(AnchorsError, match="failed to read the trust anchors"):
        Credentials(NAMES, tmp_path / "none", "127.0.0.1:1")


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
