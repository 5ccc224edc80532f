"""How the store proves who it is and whom it speaks to: passwords, ACL users, databases, TLS."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

from dapr_state.resources.properties import PropertiesError
from dapr_state.stores.base import StoreError
from dapr_state.stores.model import Delete, StoredValue, Upsert
from tests.stores.redis.conftest import create, opened
from tests.support.processes import free_port
from tests.support.redis import RedisServer
from tests.support.redis_groups import MASTER, ClusterServers, Sentinel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

WRONG = "WRONGPASS invalid username-password pair or user is disabled."

LOGIN = {"redisUsername": "app", "redisPassword": "pw"}


def allow(server: RedisServer, *rights: str) -> None:
    """Make the user of LOGIN."""
    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "app", "on", ">pw", *rights)


async def refusal(address: str, **properties: str) -> str:
    store = create(address, redisMaxRetries="-1", dialTimeout="2s", **properties)
    with pytest.raises(StoreError) as refused:
        await store.open()
    return str(refused.value).removeprefix(f"redis store: error connecting to redis at {address}: ")


async def works(address: str, **properties: str) -> bool:
    async with opened(address, **properties) as store:
        assert await store.write([Upsert("app||k", b"v")]) == [None]
        return await store.get(["app||k"]) == [StoredValue(b"v", "1")] and await store.write([Delete("app||k")]) == [
            None
        ]


async def test_a_password(tmp_path: Path) -> None:
    """The right one opens; none and a wrong one are told apart, at once."""
    with RedisServer(tmp_path, requirepass="pw") as server:
        assert await works(server.address, redisPassword="pw")
        assert await refusal(server.address) == "NOAUTH Authentication required."
        assert await refusal(server.address, redisPassword="no") == WRONG
        assert await refusal(server.address, redisUsername="bob", redisPassword="pw") == WRONG


async def test_a_password_for_a_server_without_one(redis_server: RedisServer) -> None:
    """It connects, as daprd does."""
    assert await works(redis_server.address, redisPassword="needless", redisDB="6")


async def test_the_database(redis_server: RedisServer) -> None:
    """The number chooses it; one that is not there is an error, and a negative one is the first."""
    async with opened(redis_server.address, redisDB="4") as store:
        await store.write([Upsert("where", b"v")])
    with redis_server.client(db=4) as client:
        found = client.hget("where", "data")

    assert found == b"v"
    assert await refusal(redis_server.address, redisDB="99") == "ERR DB index is out of range"
    assert await works(redis_server.address, redisDB="-1")


async def test_a_user_with_rights_to_its_own_keys(tmp_path: Path) -> None:
    """Its keys are served; a foreign one is refused by name of the right, alone among reads."""
    with RedisServer(tmp_path) as server:
        allow(server, "~app||*", "+@all", "-@dangerous")
        assert await works(server.address, **LOGIN)
        async with opened(server.address, **LOGIN) as store:
            await store.write([Upsert("app||k", b"v", ttl=100)])
            own, foreign = await store.get(["app||k", "other||k"])
            with pytest.raises(StoreError, match="NOPERM"):
                await store.write([Upsert("other||k", b"v")])
            with pytest.raises(StoreError, match="NOPERM"):
                await store.transact([Upsert("app||k", b"w"), Upsert("other||k", b"w")])
            (kept,) = await store.get(["app||k"])

    assert isinstance(own, StoredValue)
    assert "NOPERM" in str(foreign)
    assert kept == own


@pytest.mark.parametrize(
    ("forbidden", "refused"),
    [
        ("del", [Upsert("k", b"w"), Delete("k")]),
        ("expire", [Upsert("k", b"w"), Upsert("l", b"w", ttl=9)]),
        ("persist", [Upsert("k", b"w", ttl=9), Upsert("l", b"w")]),
        ("hset", [Delete("k"), Upsert("l", b"w")]),
    ],
)
async def test_a_right_that_is_missing_leaves_no_half_transaction(
    tmp_path: Path, forbidden: str, refused: list[Upsert | Delete]
) -> None:
    """Every right is looked at before the first write."""
    with RedisServer(tmp_path) as server:
        allow(server, "~*", "+@all", f"-{forbidden}")
        with server.client() as client:
            client.hset("k", mapping={"data": "v", "version": "1"})
        async with opened(server.address, **LOGIN) as store:
            with pytest.raises(StoreError, match="NOPERM"):
                await store.transact(refused)

            assert await store.get(["k", "l"]) == [StoredValue(b"v", "1"), None]


# TLS


@dataclass(frozen=True)
class Certificates:
    folder: Path

    def text(self, name: str) -> str:
        return (self.folder / name).read_text()

    def options(self, name: str) -> dict[str, str]:
        """Of a server that has this one."""
        files = {"tls_cert_file": f"{name}.crt", "tls_key_file": f"{name}.key", "tls_ca_cert_file": "ca.crt"}
        return {"tls_auth_clients": "no", **{option: str(self.folder / file) for option, file in files.items()}}


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """An authority, and what it signed for a server (localhost), for a client, and for one of many servers."""
    if shutil.which("openssl") is None:
        pytest.skip("openssl is missing: apt-get install openssl")
    folder = tmp_path_factory.mktemp("tls")

    def openssl(*words: str) -> None:
        subprocess.run(["openssl", *words], cwd=folder, check=True, capture_output=True)

    key = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
    openssl("req", "-x509", *key, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca")
    names = {"server": "DNS:localhost", "client": "DNS:localhost", "node": "IP:127.0.0.1"}
    for name, of in names.items():
        openssl("req", *key, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}")
        (folder / "names").write_text(f"subjectAltName={of}\n")
        signed = ("-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-days", "2", "-extfile", "names")
        openssl("x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", *signed)
    return Certificates(folder)


@contextmanager
def tls_server(folder: Path, certificates: Certificates, **options: str) -> Iterator[str]:
    """A server with TLS: its address."""
    port = str(free_port())
    with RedisServer(folder, tls_port=port, **{**certificates.options("server"), **options}):
        yield f"localhost:{port}"


async def test_tls_checks_whom_it_speaks_to(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An authority that the system does not know is refused, unless the component says not to look."""
    with tls_server(tmp_path, certificates) as address:
        unknown = await refusal(address, enableTLS="true")
        unchecked = await works(address, enableTLS="true", insecureSkipTLSVerify="true")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.folder / "ca.crt"))
        checked = await works(address, enableTLS="true")
        by_number = await refusal(address.replace("localhost", "127.0.0.1"), enableTLS="true")

    assert re.search("tls: .*certificate verify failed", unknown)
    assert unchecked
    assert checked
    assert re.search("tls: .*IP address mismatch", by_number)


async def test_tls_shows_the_certificate_of_the_client(tmp_path: Path, certificates: Certificates) -> None:
    """A server that asks for one gets it; without it the store cannot connect."""
    checks = {"enableTLS": "true", "insecureSkipTLSVerify": "true"}
    pair = {"clientCert": certificates.text("client.crt"), "clientKey": certificates.text("client.key")}
    with tls_server(tmp_path, certificates, tls_auth_clients="yes") as address:
        shown = await works(address, **checks, **pair)
        hidden = await refusal(address, **checks)

    assert shown
    assert hidden


async def test_tls_to_all_nodes_of_a_cluster(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those that the first one names are asked, and checked, as it is; a slot that moves is followed."""
    options = {**certificates.options("node"), "tls_cluster": "yes", "tls_replication": "yes"}
    tls = {"redisType": "cluster", "enableTLS": "true"}
    keys = [f"key{number}" for number in range(9)]
    with ClusterServers(tmp_path, replicas=0, **options) as servers:
        unknown = await refusal(servers.tls_addresses[0], **tls)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.folder / "ca.crt"))
        async with opened(servers.tls_addresses[0], **tls) as store:
            outcomes = await store.write([Upsert(key, b"v") for key in keys])
            owner = servers.owner(keys[0])
            target = next(each for each in servers.servers if each is not owner)
            await asyncio.to_thread(servers.begin_to_move, servers.slot(keys[0]), owner, target)
            await asyncio.to_thread(servers.end_move, servers.slot(keys[0]), target)
            moved = await store.write([Upsert(keys[0], b"w")])

    assert re.search("tls: .*certificate verify failed", unknown)
    assert (outcomes, moved) == ([None] * len(keys), [None])


async def test_tls_to_sentinels_and_to_their_master(
    tmp_path: Path, certificates: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The sentinels are checked as the master is, and name the port at which it speaks TLS."""
    options, port, asked = certificates.options("node"), free_port(), free_port()
    tls = {"failover": "true", "sentinelMasterName": MASTER, "enableTLS": "true"}
    master = RedisServer(tmp_path, tls_port=str(port), **options)
    sentinel = Sentinel(tmp_path, port, tls_port=str(asked), tls_replication="yes", **options)
    address = f"127.0.0.1:{asked}"
    with master, sentinel:
        unknown = await refusal(address, **tls)
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates.folder / "ca.crt"))
        served = await works(address, **tls)
        plain = await refusal(sentinel.address, **tls)

    assert unknown.endswith("redis: all sentinels specified in configuration are unreachable")
    assert served
    assert plain == f"dial tcp {sentinel.address}: i/o timeout"


def test_a_key_that_does_not_fit_its_certificate_is_refused(certificates: Certificates) -> None:
    """At the start, not at the first connection."""
    pair = {"clientCert": certificates.text("client.crt"), "clientKey": certificates.text("server.key")}
    with pytest.raises(PropertiesError, match="redis client configuration error: tls: "):
        create("h", enableTLS="true", **pair)


async def test_tls_with_a_server_that_has_none(redis_server: RedisServer) -> None:
    """It ends within the dial timeout, with a reason."""
    assert await refusal(redis_server.address, enableTLS="true", insecureSkipTLSVerify="true")
