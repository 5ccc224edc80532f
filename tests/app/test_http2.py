"""Calls of an application over HTTP/2."""

from __future__ import annotations

import asyncio
import socket
import sys
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dapr_state.app.callbacks import Caller
from dapr_state.app.health import UnwellError, probe_grpc, probe_http
from dapr_state.app.http import HttpChannel
from dapr_state.app.http2 import Http2Client
from dapr_state.app.model import ActorCall, ActorId, AppError
from tests.support import h2app_server
from tests.support.certificates import certificate
from tests.support.processes import Process, free_port

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator, Mapping

PROGRAM = Path(h2app_server.__file__)
CART = ActorId("cart", "1")


class H2App(Process):
    def __init__(self, folder: Path, *arguments: Path, environment: Mapping[str, str] | None = None) -> None:
        self.port = free_port()
        command: list[str | Path] = [sys.executable, PROGRAM, str(self.port), *arguments]
        super().__init__(command, folder / f"h2app-{self.port}.log", environment)

    def is_ready(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[H2App]:
    with H2App(tmp_path_factory.mktemp("h2app")) as app:
        yield app


@asynccontextmanager
async def client_of(app: H2App, *, tls: bool = False, max_concurrency: int = 0) -> AsyncIterator[Http2Client]:
    client = Http2Client("127.0.0.1", app.port, tls=tls, max_concurrency=max_concurrency)
    try:
        yield client
    finally:
        await client.close()


def channel(client: Http2Client) -> HttpChannel:
    return HttpChannel(client, Caller("shop", "default"))


async def failure(client: Http2Client, method: str) -> str:
    with pytest.raises(AppError) as raised:
        await channel(client).invoke(ActorCall(CART, method))
    return str(raised.value).removeprefix(f'Put "http://127.0.0.1:{client.port}/actors/cart/1/method/{method}": ')


async def test_what_the_application_is_sent(app: H2App) -> None:
    """The same as over HTTP/1.1, with names in lower case."""
    async with client_of(app) as client:
        answer = await channel(client).invoke(ActorCall(CART, "add", b"body", (("X-A", "1"),), "q=1"))
        config = await channel(client).fetch_config()
        await channel(client).deactivate(CART)

    assert answer.body == b"body"
    assert {name: value for name, value in answer.headers if name.startswith("X-Told")} == {
        "X-Told-Method": "PUT",
        "X-Told-Scheme": "http",
        "X-Told-Authority": f"127.0.0.1:{app.port}",
        "X-Told-Path": "/actors/cart/1/method/add?q=1",
        "X-Told-X-A": "1",
        "X-Told-Traceparent": f"00-{'0' * 32}-{'0' * 16}-00",
        "X-Told-Dapr-Api-Call": "true",
        "X-Told-Dapr-Caller-App-Id": "shop",
        "X-Told-Dapr-Caller-Namespace": "default",
        "X-Told-Content-Length": "4",
    }
    assert config == b'{"entities":["cart"]}'


async def test_many_requests_at_once(app: H2App) -> None:
    """Bodies larger than every window, more of them than the application takes at once, on one connection."""
    bodies = [bytes([number]) * 300_000 for number in range(20)]
    async with client_of(app) as client:
        answers = await asyncio.gather(*(channel(client).invoke(ActorCall(CART, "add", body)) for body in bodies))

    assert [answer.body for answer in answers] == bodies


async def test_an_answer_without_measure(app: H2App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up; one that is as long as may be is an answer."""
    monkeypatch.setattr("dapr_state.app.answers.MAX_BODY", 100_000)
    async with client_of(app) as client:
        answer = await channel(client).invoke(ActorCall(CART, "add", b"y" * 100_000))
        with pytest.raises(AppError, match="the answer is longer than"):
            await channel(client).invoke(ActorCall(CART, "add", b"x" * 1_000_000))

    assert answer.body == b"y" * 100_000


async def test_an_answer_for_which_others_leave_no_room(app: H2App, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is heard once they are whole, and given up while they come; a small one needs no room."""
    monkeypatch.setattr("dapr_state.app.answers.MAX_OCTETS", 100_000)
    async with client_of(app) as client:
        client._answers.hold(app, 90_000)
        client._answers.drop(app)
        large = await channel(client).invoke(ActorCall(CART, "add", b"x" * 300_000))
        client._answers.hold(app, 90_000)
        small = await channel(client).invoke(ActorCall(CART, "add", b"y" * 10_000))
        with pytest.raises(AppError, match="too many large answers come at one time"):
            await channel(client).invoke(ActorCall(CART, "add", b"x" * 300_000))

    assert (small.body, large.body) == (b"y" * 10_000, b"x" * 300_000)


# what the system says of a process that died depends on how much of what was sent to it had arrived
LOST = {"EOF", "connection reset by peer", "broken pipe"}


@pytest.mark.parametrize(
    ("method", "text"),
    [
        ("reset", "stream error: stream ID 1; error code 2"),
        ("goaway", "http2: server sent GOAWAY and closed the connection"),
        ("drop", "EOF"),
        ("nonsense", "EOF"),
    ],
)
async def test_what_is_no_answer_is_an_error(app: H2App, method: str, text: str) -> None:
    """The caller learns it at once, and the next call works."""
    async with client_of(app) as client:
        found = await failure(client, method)
        answer = await channel(client).invoke(ActorCall(CART, "add", b"x"))

    assert found.startswith(text)
    assert answer.body == b"x"


async def test_a_connection_that_is_lost_fails_what_is_under_way(tmp_path: Path) -> None:
    """All of it, and what waits for its turn; after a restart of the application calls work."""
    app = H2App(tmp_path)
    with app:
        async with client_of(app) as client:
            held = [asyncio.create_task(failure(client, "hold")) for _ in range(3)]
            died = await failure(client, "die")
            others = await asyncio.gather(*held)
            app.wait()
            refused = await failure(client, "add")
            app.start()
            answer = await channel(client).invoke(ActorCall(CART, "add", b"x"))

    assert died in LOST
    assert set(others) == {died}
    assert refused == f"dial tcp 127.0.0.1:{app.port}: connect: connection refused"
    assert answer.body == b"x"


async def test_a_cancelled_call_gives_its_stream_up(app: H2App) -> None:
    """More such calls than the application takes at once do not keep the next from it."""
    async with client_of(app, max_concurrency=1) as client:
        for _ in range(h2app_server.AT_ONCE + 1):
            task = asyncio.create_task(channel(client).invoke(ActorCall(CART, "hold")))
            await asyncio.wait([task], timeout=0.05)
            task.cancel()
            await asyncio.wait([task])
        answer = await channel(client).invoke(ActorCall(CART, "add", b"x"))

    assert answer.body == b"x"


async def test_health_of_grpc_applications(tmp_path: Path) -> None:
    """The status in the trailers decides."""
    with H2App(tmp_path) as app, H2App(tmp_path, environment={"HEALTH": "14"}) as ill:
        async with client_of(app) as client:
            await probe_grpc(client)
            await probe_http(client, "/healthz")
        async with client_of(ill) as client:
            with pytest.raises(UnwellError) as raised:
                await probe_grpc(client)

    assert str(raised.value) == "rpc error: code = 14 desc = ill"


async def test_tls_without_verification(tmp_path: Path) -> None:
    """As gRPC applications with TLS want it."""
    with H2App(tmp_path, *certificate(tmp_path)) as app:
        async with client_of(app, tls=True) as client:
            await probe_grpc(client)
            answer = await channel(client).invoke(ActorCall(CART, "add", b"x"))

    assert answer.body == b"x"
