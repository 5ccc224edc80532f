"""How the server ends: whoever was waiting gets an answer, and nobody new is let in."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state import errors
from dapr_state.serving.http.response import Response
from tests.serving.http.serving import blocking, serving
from tests.support.components import component
from tests.support.http import Socket, ask, request
from tests.support.sidecar import Sidecar
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from pathlib import Path

    from dapr_state.serving.http.request import Request


class Gate:
    """A handler that waits until it is let go."""

    def __init__(self) -> None:
        self.arrived = asyncio.Event()
        self.release = asyncio.Event()

    async def __call__(self, _: Request) -> Response:
        self.arrived.set()
        await self.release.wait()
        return Response(204)


async def test_a_request_under_way_is_answered_and_its_connection_closed() -> None:
    """The last answer says that it is the last; idle connections and newcomers are turned away at once."""
    gate = Gate()

    async with serving(gate) as (server, port):
        with Socket(port) as busy, Socket(port) as idle:
            busy.send(request("GET", "/"))
            await gate.arrived.wait()
            stopping = asyncio.create_task(server.stop(10))
            idle_closed = await blocking(idle.is_closed)
            with pytest.raises(ConnectionRefusedError):
                await blocking(Socket, port)
            gate.release.set()
            answer = await blocking(busy.answer)
            await stopping

    assert idle_closed
    assert (answer.code, answer.header("Connection")) == (204, "close")


async def test_a_request_that_takes_too_long_is_told_so() -> None:
    """When the time for it is over, the caller gets an error instead of silence."""
    gate = Gate()

    async with serving(gate) as (server, port):
        with Socket(port) as busy:
            busy.send(request("GET", "/"))
            await gate.arrived.wait()
            await server.stop(0.1)
            answer = await blocking(busy.answer)

    assert (answer.code, answer.header("Connection")) == (500, "close")


async def test_a_request_that_had_begun_to_arrive_is_answered() -> None:
    """Half a request counts as under way."""
    gate = Gate()
    gate.release.set()

    async with serving(gate) as (server, port):
        with Socket(port) as slow:
            whole = request("POST", "/", "body")
            slow.send(request("GET", "/") + whole[:-2])
            await blocking(slow.answer)
            stopping = asyncio.create_task(server.stop(10))
            await asyncio.sleep(0)
            slow.send(whole[-2:])
            answer = await blocking(slow.answer)
            await stopping

    assert answer.code == 204


async def test_a_defect_is_an_answer_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that nobody expected is a 500 for its own request only, and is logged."""

    async def handler(request: Request) -> Response:
        if request.target == b"/late":
            await asyncio.sleep(0)
        if request.target != b"/good":
            raise RuntimeError("a defect")
        return Response(204)

    async with serving(handler) as (_, port):
        with Socket(port) as client:
            client.send(request("GET", "/") + request("GET", "/late") + request("GET", "/good"))
            answers = [await blocking(client.answer) for _ in range(3)]

    assert [answer.code for answer in answers] == [500, 500, 204]
    assert caplog.text.count("RuntimeError: a defect") == 2


async def test_a_defect_before_or_after_the_answer_is_one_as_well() -> None:
    """What finds the route or notes something on the answer is no coroutine: its exceptions go the same way."""

    async def answer() -> Response:
        return Response(204)

    def handler(request: Request) -> Coroutine[Any, Any, Response]:
        if request.target == b"/refused":
            raise errors.NO_APP_ID()  # noqa: RSE102  a row is called to make its error
        if request.target == b"/before":
            raise RuntimeError("a defect")
        return answer()

    def note(request: Request, _: Response) -> None:
        if request.target == b"/after":
            raise RuntimeError("a defect")

    async with serving(handler, after=[note]) as (_, port):
        with Socket(port) as client:
            client.send(b"".join(request("GET", path) for path in ("/refused", "/before", "/after", "/good")))
            answers = [await blocking(client.answer) for _ in range(4)]

    assert [answer.code for answer in answers] == [errors.NO_APP_ID.http, 500, 500, 204]


def test_a_stop_under_load_keeps_what_was_acknowledged(tmp_path: Path) -> None:
    """SIGTERM while eight clients write: each request is answered in full or not at all, and no 204 is lost."""
    store = component("lite", "state.sqlite", connectionString=str(tmp_path / "state.db"))
    acknowledged = [0] * 8
    halves: list[bytes] = []

    def write(client: int, port: int) -> None:
        with Socket(port) as connection, suppress(OSError):  # a connection that was closed between two requests
            for number in range(1, 1_000_000):
                connection.send(request("POST", "/v1.0/state/lite", f'[{{"key":"k{client}","value":{number}}}]'))
                answer = connection.answer()
                if answer.code != 204:
                    halves.append(answer.body)
                acknowledged[client] = number
                if answer.header("Connection") == "close":
                    return

    with Sidecar(tmp_path, [store]) as server:
        writers = [Thread(target=write, args=(client, server.http_port)) for client in range(8)]
        for writer in writers:
            writer.start()
        until(lambda: min(acknowledged) > 20, what="all clients write")
        status = server.stop()
        for writer in writers:
            writer.join(20)
    with Sidecar(tmp_path, [store]) as server:
        stored = [ask(server.http_port, "GET", f"/v1.0/state/lite/k{client}").json for client in range(8)]

    assert (status, halves) == (0, [])
    # one more may have been written than was said
    assert [
        number - said for number, said in zip(stored, acknowledged, strict=True) if number - said not in {0, 1}
    ] == []
