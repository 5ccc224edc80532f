"""Sidecars that prove who they are, with certificates of the real sentry: to its placement, scheduler and daprd."""

from __future__ import annotations

import base64
import datetime as dt
import json
import socket
import ssl
import sys
from contextlib import ExitStack
from functools import cached_property
from typing import TYPE_CHECKING, Self

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from dapr_state_proto.internals.v1.service_invocation_pb2 import InternalInvokeRequest
from dapr_state_proto.internals.v1.service_invocation_pb2_grpc import ServiceInvocationStub

from dapr_state.actors.placement.ring import Ring
from dapr_state.clock import WAITING
from dapr_state.security.credentials import Credentials, Names
from dapr_state.serving.grpc.channel import Channel
from tests.support import oracle
from tests.support.cluster import Member, wait_connected
from tests.support.components import component
from tests.support.control_plane import OwnPlacement, Placement, Placements, Scheduler, Schedulers, Sentry
from tests.support.processes import Process
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.oracle

IDS = [str(number) for number in range(40)]
FETCHED = "Workload certificate expires on"  # once for each certificate


class Secured:
    """A sentry, and a placement service whose certificate it has signed."""

    def __init__(self, folder: Path, **sentry: str) -> None:
        self.folder = folder
        self.sentry = Sentry(folder, **sentry)

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self.sentry)
            self.placement = Placement(oracle.program("placement"), self.folder, *self.sentry.flags)
            stack.enter_context(self.placement)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    @cached_property
    def host(self) -> Member:
        """One that is there as long as this."""
        one = self._stack.enter_context(self.member())
        wait_connected(one)
        return one

    def member(self, *flags: str, daprd: Path | None = None, namespace: str = "default") -> Member:
        return Member(
            self.folder,
            self.placement.address,
            environment=self.sentry.environment | {"NAMESPACE": namespace},
            flags=(*self.sentry.sidecar_flags, *flags),
            daprd=daprd,
        )

    def credentials(self, namespace: str) -> Credentials:
        """Of a sidecar that the test plays itself."""
        names = Names("another", namespace, "default", "localhost")
        return Credentials(names, self.sentry.environment["DAPR_TRUST_ANCHORS"], self.sentry.address)


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    with Secured(tmp_path_factory.mktemp("secured")) as secured:
        yield secured


def there(one: Member, other: Member) -> list[str]:
    """The actors that live on the other one."""
    ring = Ring((one.name, other.name), 100)
    return [each for each in IDS if ring.owner(each) == other.name]


@pytest.mark.parametrize("kind", ["ours", "daprd"])
def test_calls_go_both_ways(secured: Secured, kind: str) -> None:
    """Each sidecar finds placement and its peers under their names, and lets them in."""
    daprd = oracle.program("daprd") if kind == "daprd" else None
    with secured.member() as one, secured.member(daprd=daprd) as two:
        wait_connected(one, two)
        answers = {asked.call(each, body=b'"x"').code for asked in (one, two) for each in IDS}

        assert answers == {200}
        assert [{*one.ran()}, {*two.ran()}] == [{*there(two, one)}, {*there(one, two)}]
        assert "mTLS is disabled" not in one.sidecar.log()


def test_a_reminder_of_a_scheduler_that_is_secured(secured: Secured) -> None:
    """It is registered and fires over connections to the one that is called dapr-scheduler."""
    scheduler = Scheduler(oracle.program("scheduler"), secured.folder, *secured.sentry.flags)
    with scheduler, secured.member("--scheduler-host-address", scheduler.address) as one:
        wait_connected(one)
        made = one.remind("1", "r", {"dueTime": "0s", "data": 1})
        until(lambda: one.app.seen("/remind/r"), what="it fires")

        assert made.code == 204


def test_reminders_of_the_store_are_moved(secured: Secured, tmp_path: Path) -> None:
    """The command shows a certificate, too, and finds the scheduler under its name."""
    store = component("statestore", "state.sqlite", connectionString=str(tmp_path / "a.db"), actorStateStore="true")
    with Member(tmp_path, "", store=store) as before:
        for each in IDS:
            before.remind(each, "r", {"dueTime": "1h"})
        flags = ["--resources-path", str(before.sidecar.resources), "--app-id", before.sidecar.app_id]
    with Scheduler(oracle.program("scheduler"), tmp_path, *secured.sentry.flags) as scheduler:
        flags += ["--scheduler-host-address", scheduler.address]
        command = [sys.executable, "-m", "dapr_state", "reminders", "migrate", *flags, *secured.sentry.sidecar_flags]
        moving = Process(command, tmp_path / "moving.log", secured.sentry.environment).launch()
        code = moving.wait()

    assert code == 0
    assert f"{len(IDS)} of {len(IDS)} reminders moved" in moving.log()


def test_three_of_each_service(tmp_path: Path) -> None:
    """Whichever leads: calls are answered when that one is killed, and what is due fires, also at a host that joins."""
    with ExitStack() as stack:
        sentry = stack.enter_context(Sentry(tmp_path))
        placements = stack.enter_context(Placements(oracle.program("placement"), tmp_path, *sentry.flags))
        schedulers = stack.enter_context(Schedulers(oracle.program("scheduler"), tmp_path, *sentry.flags))
        flags = (*sentry.sidecar_flags, "--scheduler-host-address", schedulers.address)
        one, two, late = (
            Member(tmp_path, placements.address, environment=sentry.environment, flags=flags) for _ in range(3)
        )
        stack.enter_context(one)
        stack.enter_context(two)
        wait_connected(one, two)
        placements.leader(one.sidecar.log()).kill()
        codes = {asked.call(each).code for asked in (one, two) for each in IDS}
        stack.enter_context(late)
        wait_connected(one, two, late)
        codes |= {asked.call(each).code for asked in (one, two, late) for each in IDS}
        codes |= {one.remind(each, "due", {"dueTime": "0s"}).code for each in IDS}
        ring = Ring([member.name for member in (one, two, late)], 100)

        def fired(member: Member) -> set[str]:
            return {each.target.split("/")[3] for each in member.app.seen("/remind/due")}

        until(lambda: fired(one) | fired(two) | fired(late) == {*IDS}, 60, what="all have fired")

        assert codes == {200, 204}
        for member in (one, two, late):
            assert fired(member) == {each for each in IDS if ring.owner(each) == member.name}


async def _ask(member: Member, credentials: Credentials) -> str:
    """What the internal port answers to one with these credentials: a code and a text."""
    await credentials.begin()
    async with Channel(member.name, credentials.peer("app")) as channel:
        try:
            await ServiceInvocationStub(channel).CallActor(InternalInvokeRequest(), timeout=5)
        except grpc.aio.AioRpcError as error:
            return f"{error.code().name} {error.details()}"
        finally:
            await credentials.close()
    return "OK"


async def test_only_neighbours_come_to_the_internal_port(secured: Secured) -> None:
    """Any sidecar of the namespace may; none of another, none without a certificate, and nobody in plain text."""
    with secured.member() as one:
        wait_connected(one)
        neighbour = await _ask(one, secured.credentials("default"))
        stranger = await _ask(one, secured.credentials("elsewhere"))
        nobody = _greeting(one, ssl.create_default_context(cadata=secured.sentry.environment["DAPR_TRUST_ANCHORS"]))
        plain = _greeting(one, None)

        assert neighbour == "UNIMPLEMENTED Unsupported spec version: 0"
        assert stranger.startswith("UNAVAILABLE")
        assert "spiffe://public/ns/elsewhere/another" in one.sidecar.log()
        assert nobody == plain == b""
        assert one.call("1").code == 200


class Issuer:
    """Signs what the sentry would not, with its key."""

    def __init__(self, folder: Path) -> None:
        """`folder` has the sentry's own credentials."""
        self._chain = (folder / "issuer.crt").read_bytes()
        self._issuer = x509.load_pem_x509_certificate(self._chain)
        key = load_pem_private_key((folder / "issuer.key").read_bytes(), None)
        assert isinstance(key, Ed25519PrivateKey | EllipticCurvePrivateKey)
        self._key = key

    def context(self, folder: Path, uri: str, age: float) -> ssl.SSLContext:
        """Of a client with this name, whose certificate was made for an hour, so many hours ago."""
        key = ec.generate_private_key(ec.SECP256R1())
        begins = dt.datetime.fromtimestamp(WAITING.wall(), dt.UTC) - dt.timedelta(hours=age, minutes=1)
        builder = x509.CertificateBuilder(
            self._issuer.subject, x509.Name([]), key.public_key(), x509.random_serial_number()
        )
        builder = builder.not_valid_before(begins).not_valid_after(begins + dt.timedelta(hours=1))
        names = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(uri)])
        algorithm = None if isinstance(self._key, Ed25519PrivateKey) else hashes.SHA256()
        leaf = builder.add_extension(names, critical=True).sign(self._key, algorithm)
        file = folder / "client.pem"
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        file.write_bytes(leaf.public_bytes(Encoding.PEM) + self._chain + private)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        context.load_cert_chain(file)
        return context


@pytest.mark.parametrize(
    ("uri", "age", "is_let_in"),
    [
        ("spiffe://public/ns/default/other", 0, True),
        ("spiffe://elsewhere/ns/default/other", 0, True),  # an application's trust domain is its Configuration's
        ("spiffe://public/ns/elsewhere/other", 0, False),
        ("spiffe://localhost/ns/dapr-system/dapr-sentry", 0, False),
        ("https://public/ns/default/other", 0, False),
        ("spiffe://public/ns/default/other", 2, False),
        ("spiffe://public/ns/default/other", -2, False),
    ],
)
def test_whose_certificate_opens_the_internal_port(
    secured: Secured, tmp_path: Path, uri: str, age: float, *, is_let_in: bool
) -> None:
    """One of the namespace that holds now, and no other that the same authority has signed."""
    context = Issuer(secured.sentry.credentials).context(tmp_path, uri, age)

    assert bool(_greeting(secured.host, context)) is is_let_in


def test_a_certificate_of_another_authority_opens_nothing(secured: Secured, tmp_path: Path) -> None:
    """Whatever name is in it."""
    with Sentry(tmp_path) as other:
        context = Issuer(other.credentials).context(tmp_path, "spiffe://public/ns/default/other", 0)

    assert _greeting(secured.host, context) == b""


def test_a_sentry_that_wants_a_token(tmp_path: Path) -> None:
    """It is read anew for each certificate: what is in the file by then counts."""
    key = ec.generate_private_key(ec.SECP256R1())
    with Sentry(tmp_path, jwks=_jwks(key)) as sentry, OwnPlacement(tmp_path) as placement:
        token = tmp_path / "token"
        token.write_text(_token(key, "spiffe://public/ns/default/another"))
        environment = {**sentry.environment, "DAPR_SENTRY_TOKEN_FILE": str(token)}
        one = Member(tmp_path, placement.address, environment=environment, flags=sentry.sidecar_flags)
        with one.app:
            one.sidecar.launch()
            until(lambda: "Failed to retrieve the initial identity" in one.sidecar.log(), what="it is refused")
            token.write_text(_token(key, "spiffe://public/ns/default/app") + "\n")
            one.sidecar.wait_ready()
            until(lambda: "Security is initialized" in one.sidecar.log(), what="it is let in")
            one.sidecar.close()


def _jwks(key: EllipticCurvePrivateKey) -> str:
    numbers = key.public_key().public_numbers()
    point = {name: _base64(value.to_bytes(32)) for name, value in (("x", numbers.x), ("y", numbers.y))}
    return json.dumps({"keys": [{"kty": "EC", "crv": "P-256", "kid": "k", "alg": "ES256", "use": "sig", **point}]})


def _token(key: EllipticCurvePrivateKey, subject: str) -> str:
    claims = {"sub": subject, "aud": ["spiffe://localhost/ns/default/dapr-sentry"], "exp": WAITING.wall() + 3600}
    parts = [{"alg": "ES256", "typ": "JWT", "kid": "k"}, claims]
    text = ".".join(_base64(json.dumps(each).encode()) for each in parts)
    r, s = decode_dss_signature(key.sign(text.encode(), ec.ECDSA(hashes.SHA256())))
    return f"{text}.{_base64(r.to_bytes(32) + s.to_bytes(32))}"


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def _greeting(member: Member, context: ssl.SSLContext | None) -> bytes:
    """What a client of HTTP/2 gets from the internal port; nothing if the connection is closed."""
    host, _, port = member.name.rpartition(":")
    with socket.create_connection((host, int(port)), 5) as connection:
        connection.settimeout(5)
        try:
            if context:
                context.check_hostname = False
                context.set_alpn_protocols(["h2"])
                with context.wrap_socket(connection) as secured:
                    return _greeted(secured)
            return _greeted(connection)
        except (ssl.SSLError, ConnectionError):
            return b""


def _greeted(connection: socket.socket) -> bytes:
    connection.sendall(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
    return connection.recv(100)


def test_a_call_outlives_certificates(tmp_path: Path) -> None:
    """While they are renewed again and again calls go on; what began under one that has expired is answered."""
    with Secured(tmp_path, lifetime="5s") as secured, secured.member() as one, secured.member() as two:
        wait_connected(one, two)
        far = there(one, two)
        two.app.obey({"match": "/method/held", "hold": True})
        codes = set()
        with one.calling(far[0], "held", b"1") as held:
            two.app.holding()
            fetched = [each.sidecar.log().count(FETCHED) for each in (one, two)]

            def is_renewed() -> bool:
                codes.add(one.call(far[1]).code)
                now = [each.sidecar.log().count(FETCHED) for each in (one, two)]
                return all(after >= before + 3 for before, after in zip(fetched, now, strict=True))

            until(is_renewed, what="three certificates each")
            two.app.release()
        with secured.member() as late:  # it must be dialled anew
            wait_connected(one, two, late)
            codes |= {asked.call(each).code for asked in (one, two, late) for each in IDS}

        assert codes == {200}
        assert held.result().code == 200


def test_another_root(tmp_path: Path) -> None:
    """In the order of docs/several-machines.md, while calls go on, and somebody starts while both are trusted."""
    folders = [tmp_path / name for name in ("old", "new")]
    for folder in folders:
        folder.mkdir()
    old = Sentry(folders[0], lifetime="6s")
    new = Sentry(folders[1], lifetime="6s", port=old.port)
    file = tmp_path / "roots.pem"
    environment = {"DAPR_TRUST_ANCHORS_FILE": str(file)}
    flags = ("--tls-enabled", "--sentry-address", old.address, "--trust-anchors-file", str(file))
    codes = set()

    def changed(number: int) -> bool:
        codes.add(one.call(IDS[0]).code)
        codes.add(one.call(far).code)
        told = {one: number, two: number} | ({late: number - 1} if number > 1 else {})
        logs = {each: each.sidecar.log().split("The trust anchors have changed") for each in told}
        return all(len(parts) > told[each] and FETCHED in parts[-1] for each, parts in logs.items())

    with ExitStack() as stack:
        stack.callback(old.close)
        new.start()  # once, to make its root, which is the older one: where somebody goes back
        new.close()
        second = int(WAITING.wall())
        until(lambda: int(WAITING.wall()) > second, what="the other one is younger")
        old.start()
        roots = [(each.credentials / "ca.crt").read_bytes() for each in (old, new)]
        issuers = [(each.credentials / "issuer.crt").read_bytes() for each in (old, new)]
        file.write_bytes(roots[0])
        placement = stack.enter_context(Placement(oracle.program("placement"), tmp_path, *flags))
        one, two, late = (
            Member(tmp_path, placement.address, environment=environment, flags=old.sidecar_flags) for _ in range(3)
        )
        stack.enter_context(one)
        stack.enter_context(two)
        wait_connected(one, two)
        far = there(one, two)[0]
        file.write_bytes(b"".join(roots + issuers))
        until(lambda: changed(1), 60, what="both are trusted")
        stack.enter_context(late)  # who knows nobody yet cannot tell by which root others are signed
        wait_connected(late)
        old.close()
        stack.enter_context(new)
        file.write_bytes(b"".join(issuers + roots))
        until(lambda: changed(2), 60, what="the new one has signed")
        file.write_bytes(roots[1])
        until(lambda: changed(3), 60, what="the new one alone is trusted")
        wait_connected(one, two, late)
        codes |= {asked.call(each).code for asked in (one, two, late) for each in IDS}
        name = "spiffe://public/ns/default/other"
        let_in = [
            bool(_greeting(each, Issuer(sentry.credentials).context(tmp_path, name, 0)))
            for each in (one, two)
            for sentry in (old, new)
        ]

        assert codes == {200}
        assert let_in == [False, True] * 2


def test_a_sentry_that_is_away(tmp_path: Path) -> None:
    """At the start it is waited for; later the certificate that there is stays in use, until it is back."""
    with Secured(tmp_path, lifetime="8s") as secured, ExitStack() as stack:
        secured.sentry.close()
        one = secured.member()
        stack.enter_context(one.app)
        one.sidecar.launch()
        stack.callback(one.sidecar.close)
        until(lambda: "Failed to retrieve the initial identity" in one.sidecar.log(), what="it is told")
        secured.sentry.start()
        one.sidecar.wait_ready()
        wait_connected(one)
        secured.sentry.close()
        until(lambda: "Failed to renew the workload certificate" in one.sidecar.log(), what="a renewal has failed")
        during = one.call("1").code
        fetched = one.sidecar.log().count(FETCHED)
        secured.sentry.start()
        until(lambda: one.sidecar.log().count(FETCHED) > fetched, what="it is renewed")

        assert (during, one.call("1").code) == (200, 200)


def test_what_is_open_is_told(tmp_path: Path) -> None:
    """In one line, without mTLS."""
    with OwnPlacement(tmp_path) as placement, Member(tmp_path, placement.address) as one:
        (line,) = [line for line in one.sidecar.log().splitlines() if "mTLS" in line]

        assert f"whoever reaches {one.name} may call actors" in line
