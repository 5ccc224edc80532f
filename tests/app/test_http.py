"""Calls of an application over HTTP/1.1, which behaves, misbehaves, and dies."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.app.callbacks import Caller
from dapr_state.app.client import Http1Client
from dapr_state.app.http import HttpChannel
from dapr_state.app.model import ActorCall, ActorId, AppAnswer, AppError, Trigger
from tests.support.certificates import certificate
from tests.support.processes import free_port
from tests.support.rawapp import RawApp
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CART = ActorId("cart", "1")
CALL = ActorCall(CART, "add", b'{"n":1}', (("content-type", "application/json"),))
JSON = (("Content-Type", "application/json"),)


@asynccontextmanager
async def channel_to(port: int, host: str = "127.0.0.1", **options: Any) -> AsyncIterator[HttpChannel]:
    channel = HttpChannel(Http1Client(host, port, **options), Caller("shop", "default"))
    try:
        yield channel
    finally:
        await channel.close()


async def seen(app: RawApp, number: int = 1) -> None:
    """Wait until the application holds so many requests."""
    await asyncio.to_thread(app.holding, number)


async def failure(channel: HttpChannel, call: ActorCall = CALL) -> str:
    with pytest.raises(AppError) as raised:
        await channel.invoke(call)
    return str(raised.value).replace(channel_base(channel), "BASE")


def channel_base(channel: HttpChannel) -> str:
    return repr(channel).removeprefix("<HttpChannel ").removesuffix(">")


async def test_each_request_comes_as_daprd_sends_it(app: RawApp) -> None:
    """The method, the path and the body of every kind of request."""
    async with channel_to(app.port) as channel:
        answer = await channel.invoke(CALL)
        await channel.remind(Trigger(CART, "r", b"1"))
        await channel.timer(Trigger(CART, "t", b"2", "1s", "2s", "cb"))
        await channel.deactivate(CART)
        config = await channel.fetch_config()

    assert answer == AppAnswer(JSON, CALL.body)
    assert config == b'{"entities": ["cart"]}'
    assert [(each.method, each.target, each.body) for each in app.seen("/")] == [
        ("PUT", "/actors/cart/1/method/add", '{"n":1}'),
        ("PUT", "/actors/cart/1/method/remind/r", '{"data":1,"dueTime":"","period":""}'),
        ("PUT", "/actors/cart/1/method/timer/t", '{"data":2,"callback":"cb","dueTime":"1s","period":"2s"}'),
        ("DELETE", "/actors/cart/1", ""),
        ("GET", "/dapr/config", ""),
    ]
    assert [each.header("Content-Length") for each in app.seen("/")] == ["7", "35", "55", None, None]
    assert {each.header("Host") for each in app.seen("/")} == {f"127.0.0.1:{app.port}"}
    assert len({each.connection for each in app.seen("/")}) == 1


async def test_a_call_without_a_body_says_so(app: RawApp) -> None:
    """A PUT of nothing has the length 0, which some servers want to read."""
    async with channel_to(app.port) as channel:
        await channel.invoke(ActorCall(CART, "add"))

    assert app.seen("add")[0].header("Content-Length") == "0"


@pytest.mark.parametrize(
    ("rule", "text"),
    [
        ({"status": 500, "body": "boom"}, "error from actor service: (500) boom"),
        ({"status": 404, "body": "?"}, "actor method not found: actors/cart/1/method/add"),
        ({"status": 204}, "error from actor service: (204) "),
        ({"status": 201, "body": "new"}, "error from actor service: (201) new"),
        ({"status": 302, "headers": [["Location", "/x"]], "body": ""}, "error from actor service: (302) "),
        ({"status": 101}, "error from actor service: (101) "),
        ({"status": 500, "body": "\xff"}, "error from actor service: (500) \ufffd"),
        ({"headers": [["X-DaprReminderCancel", "yes"]]}, "reminder has been canceled"),
        ({"drop": True}, 'Put "BASE/actors/cart/1/method/add": EOF'),
        ({"reset": True}, 'Put "BASE/actors/cart/1/method/add": connection reset by peer'),
        ({"cut": 10}, 'Put "BASE/actors/cart/1/method/add": unexpected EOF'),
        ({"cut": 60, "size": 100}, 'Put "BASE/actors/cart/1/method/add": unexpected EOF'),
        ({"cut": 90, "size": 100, "chunked": True}, 'Put "BASE/actors/cart/1/method/add": unexpected EOF'),
    ],
    ids=str,
)
async def test_what_is_no_answer_is_an_error(app: RawApp, rule: dict[str, Any], text: str) -> None:
    """Whatever is not a whole 200 fails with daprd's words; a body that is cut off too, which daprd passes on."""
    app.obey({"match": "add", **rule})
    async with channel_to(app.port) as channel:
        found = await failure(channel)
        app.obey()
        answer = await channel.invoke(CALL)

    assert found == text
    assert answer.body == CALL.body


@pytest.mark.parametrize(
    "raw",
    [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\nX-Long: " + "x" * 70_000 + "\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\n" + "X-Many: x\r\n" * 12_000,
    ],
    ids=lambda raw: raw[:60],
)
async def test_what_is_no_http_is_an_error(app: RawApp, raw: str) -> None:
    """The caller learns it at once, and the next call has a connection of its own."""
    app.obey({"match": "add", "raw": raw})
    async with channel_to(app.port) as channel:
        found = await failure(channel)
        app.obey()
        await channel.invoke(CALL)

    first, second = app.seen("add")
    assert found.startswith('Put "BASE/actors/cart/1/method/add": net/http: ')
    assert first.connection != second.connection


@pytest.mark.parametrize(
    "rule",
    [
        {"chunked": True},
        {"until_close": True},
        {"version": "1.0", "until_close": True},
        {"version": "1.0"},
        {"close": True},
        {"interim": [100]},
        {"interim": [102, 103]},
        {"reason": ""},
    ],
    ids=str,
)
async def test_every_form_of_answer_is_read(app: RawApp, rule: dict[str, Any]) -> None:
    """Lengths, chunks, the end of the connection, interim answers; the next call works whatever the form."""
    app.obey({"match": "add", "body": "x" * 10_000, **rule})
    async with channel_to(app.port) as channel:
        answers = [await channel.invoke(CALL) for _ in range(3)]

    assert answers == [AppAnswer(JSON, b"x" * 10_000)] * 3


async def test_big_bodies(app: RawApp) -> None:
    """Some megabytes in both directions."""
    body = bytes(range(256)) * 16 * 1024
    async with channel_to(app.port) as channel:
        answer = await channel.invoke(ActorCall(CART, "add", body))

    assert answer.body == body


async def test_an_answer_without_measure(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up, and the next call works."""
    monkeypatch.setattr("dapr_state.app.answers.MAX_BODY", 100_000)
    sizes = [1_000_000, 100_000]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        size = sizes.pop(0)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size)
        with suppress(ConnectionError):
            await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, channel_to(server.sockets[0].getsockname()[1]) as channel:
        with pytest.raises(AppError, match="the answer is longer than"):
            await channel.invoke(CALL)
        body = (await channel.invoke(CALL)).body

    assert body == b"x" * 100_000


async def test_answers_that_are_not_whole_are_bounded_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of three that stand still in their midst one is given up; those before it are heard, and the next."""
    monkeypatch.setattr("dapr_state.app.answers.MAX_OCTETS", 500_000)
    go_on = asyncio.Event()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError, asyncio.IncompleteReadError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 210000\r\n\r\n" + b"x" * 200_000)
                await go_on.wait()
                writer.write(b"x" * 10_000)
        writer.close()

    get = ActorCall(CART, "get")
    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server, channel_to(server.sockets[0].getsockname()[1]) as channel:
        calls = [asyncio.create_task(channel.invoke(get)) for _ in range(3)]
        (refused,), _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        go_on.set()
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        after = [(await channel.invoke(get)).body for _ in range(3)]

    assert "too many large answers come at one time" in str(refused.exception())
    assert [outcome.body for outcome in outcomes if not isinstance(outcome, BaseException)] == [b"x" * 210_000] * 2
    assert after == [b"x" * 210_000] * 3


async def test_an_answer_before_the_whole_request(app: RawApp) -> None:
    """An application that refuses a body unread is heard; what is left of the request is not sent any more."""
    app.obey({"match": "add", "early": True, "status": 500, "body": "too much"})
    async with channel_to(app.port) as channel:
        found = await failure(channel, ActorCall(CART, "add", bytes(64 << 20)))
        app.obey()
        await channel.invoke(CALL)

    assert found == "error from actor service: (500) too much"
    assert app.seen("add")[0].connection != app.seen("add")[1].connection


@pytest.mark.parametrize(
    "more",
    ["HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nno", "HTTP/1.1 20", "x"],
    ids=["a whole answer", "its beginning", "nonsense"],
)
async def test_more_than_one_answer_is_not_the_next_ones(app: RawApp, more: str) -> None:
    """What comes behind an answer is nobody's."""
    app.obey({"match": "add", "raw": "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok" + more, "times": 1})
    async with channel_to(app.port) as channel:
        first, second = await channel.invoke(CALL), await channel.invoke(CALL)

    assert (first.body, second.body) == (b"ok", CALL.body)
    assert app.seen("add")[0].connection != app.seen("add")[1].connection


async def test_connections_are_kept(app: RawApp) -> None:
    """One caller has one connection; many at once have one each, and those are used again."""
    async with channel_to(app.port) as channel:
        for _ in range(5):
            await channel.invoke(CALL)
        lone = {each.connection for each in app.seen("add")}
        app.forget()
        app.obey({"match": "add", "hold": True})
        held = [asyncio.create_task(channel.invoke(CALL)) for _ in range(8)]
        await seen(app, 8)
        app.obey()
        app.release()
        await asyncio.gather(*held)
        await asyncio.gather(*(channel.invoke(CALL) for _ in range(8)))

    assert len(lone) == 1
    assert len({each.connection for each in app.seen("add")}) == 8


async def test_an_idle_connection_that_the_application_closes_is_not_used(app: RawApp) -> None:
    """It closes without a word after its answer; the next call does not notice."""
    app.obey({"match": "add", "hang_up": True})
    async with channel_to(app.port) as channel:
        pool = channel._client._pool  # type: ignore[attr-defined]
        for _ in range(10):
            await channel.invoke(CALL)
            await eventually(lambda: not pool._open)

    assert len({each.connection for each in app.seen("add")}) == 10


async def test_no_more_requests_at_once_than_allowed(app: RawApp) -> None:
    """The others wait, and leave the queue when nobody waits for them."""
    app.obey({"match": "method/", "hold": True})
    async with channel_to(app.port, max_concurrency=2) as channel:
        tasks = [asyncio.create_task(channel.invoke(ActorCall(CART, f"m{number}"))) for number in range(6)]
        await seen(app, 2)
        under_way = len(app.seen("method/"))
        tasks[3].cancel()
        app.obey()
        app.release()
        results = await asyncio.gather(*tasks, return_exceptions=True)

    assert under_way == 2
    assert [type(each).__name__ for each in results] == [*["AppAnswer"] * 3, "CancelledError", *["AppAnswer"] * 2]
    assert sorted(each.target[-2:] for each in app.seen("method/")) == ["m0", "m1", "m2", "m4", "m5"]


async def test_requests_that_wait_are_sent_in_their_order(app: RawApp) -> None:
    """First come, first served."""
    async with channel_to(app.port, max_concurrency=1) as channel:
        await asyncio.gather(*(channel.invoke(ActorCall(CART, f"m{number}")) for number in range(20)))

    assert [each.target.rpartition("/")[2] for each in app.seen("method/")] == [f"m{number}" for number in range(20)]


async def test_a_cancelled_call_gives_its_connection_up(app: RawApp) -> None:
    """Its late answer is nobody's: the next call is on another connection, and the limit is as it was."""
    app.obey({"match": "add", "hold": True, "times": 1})
    async with channel_to(app.port, max_concurrency=1) as channel:
        task = asyncio.create_task(channel.invoke(CALL))
        await seen(app)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await channel.invoke(CALL)

    assert answer.body == CALL.body
    assert app.seen("add")[0].connection != app.seen("add")[1].connection


async def test_closing_fails_what_is_under_way(app: RawApp) -> None:
    """Nobody waits for ever for an application that is not asked any more."""
    app.obey({"match": "add", "hold": True})
    async with channel_to(app.port) as channel:
        task = asyncio.create_task(channel.invoke(CALL))
        await seen(app)
        await channel.close()

        with pytest.raises(AppError):
            await task


async def test_an_application_that_is_not_there(tmp_path: Path) -> None:
    """Refused connections and unknown hosts are told in Go's words; once it is there, calls work."""
    port = free_port()
    async with channel_to(port) as channel, channel_to(port, "no-such-host.invalid") as nowhere:
        refused, unknown = await failure(channel), await failure(nowhere)
        with RawApp(tmp_path, port=port):
            answer = await channel.invoke(CALL)

    url = "BASE/actors/cart/1/method/add"
    assert refused == f'Put "{url}": dial tcp 127.0.0.1:{port}: connect: connection refused'
    assert unknown == f'Put "{url}": dial tcp: lookup no-such-host.invalid: no such host'
    assert answer.body == CALL.body


async def test_an_application_that_dies_in_the_middle(tmp_path: Path) -> None:
    """All calls under way fail at once, and after its restart calls work."""
    app = RawApp(tmp_path)
    with app:
        app.obey({"match": "die", "die": True}, {"match": "hold", "hold": True})
        async with channel_to(app.port) as channel:
            held = [asyncio.create_task(channel.invoke(ActorCall(CART, "hold"))) for _ in range(3)]
            await seen(app, 3)
            died = await failure(channel, ActorCall(CART, "die"))
            results = await asyncio.gather(*held, return_exceptions=True)
            app.wait()
            app.start()
            answer = await channel.invoke(CALL)

    assert died == 'Put "BASE/actors/cart/1/method/die": EOF'
    assert {type(each) for each in results} == {AppError}
    assert answer.body == CALL.body


async def test_a_configuration_that_is_refused(app: RawApp) -> None:
    """Another status than 200 is no configuration."""
    app.obey({"match": "/dapr/config", "status": 404})
    async with channel_to(app.port) as channel:
        assert await channel.fetch_config() is None


async def test_tls_without_verification(tmp_path: Path) -> None:
    """A certificate that nobody has signed will do, as for daprd."""
    with RawApp(tmp_path, tls=certificate(tmp_path)) as app:
        async with channel_to(app.port, tls=True) as channel:
            answer = await channel.invoke(CALL)
        async with channel_to(app.port) as plain:
            wrong = await failure(plain)

    assert answer.body == CALL.body
    assert wrong.startswith('Put "BASE/actors/cart/1/method/add": ')
