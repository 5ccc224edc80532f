"""A client that says that it sends no more (`printf ... | nc -N`) has all its answers, as with daprd."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from dapr_state.serving.http.response import Response
from tests.serving.http.serving import blocking, serving
from tests.support.http import Socket, ask, request

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request
    from tests.support.sidecar import Daprd, Sidecar

COUNT = 5


def sent_ahead(port: int, store: str) -> list[bytes]:
    with Socket(port) as client:
        client.send(b"".join(request("GET", f"/v1.0/state/{store}/half{n}") for n in range(COUNT))).end()
        found = [client.answer().body for _ in range(COUNT)]
        assert client.is_closed()
    return found


@pytest.mark.parametrize("store", ["mem", "redis", "lite"])
def test_requests_sent_ahead_of_a_half_close_are_answered(store: str, sidecar: Sidecar) -> None:
    """All of them, in order, on stores that answer at once and on others; then the connection ends."""
    items = ",".join(f'{{"key":"half{n}","value":{n}}}' for n in range(COUNT))
    ask(sidecar.http_port, "POST", f"/v1.0/state/{store}", f"[{items}]")

    assert sent_ahead(sidecar.http_port, store) == [b"%d" % n for n in range(COUNT)]


@pytest.mark.oracle
def test_daprd_answers_them_too(daprd: Daprd) -> None:
    """So the rule is daprd's, though it may take the client for gone, and answer that the call was cancelled."""
    items = ",".join(f'{{"key":"half{n}","value":{n}}}' for n in range(COUNT))
    ask(daprd.http_port, "POST", "/v1.0/state/redis", f"[{items}]")

    values = [b"%d" % n for n in range(COUNT)]
    found = sent_ahead(daprd.http_port, "redis")
    assert all(body == value or b"context canceled" in body for body, value in zip(found, values, strict=True))


async def test_half_a_request_before_a_half_close_ends_the_connection() -> None:
    """What is whole is answered; what will never be whole is not waited for."""

    async def handler(it: Request) -> Response:
        await asyncio.sleep(0)
        return Response(200, body=it.target)

    halves = (b"GET /half HTTP/1.1\r\nHo", request("POST", "/half", "body")[:-1])
    async with serving(handler) as (_, port):
        for half in halves:
            with Socket(port) as client:
                client.send(request("GET", "/1") + request("GET", "/2") + half).end()
                answers = [(await blocking(client.answer)).body for _ in range(2)]
                closed = await blocking(client.is_closed)

                assert (answers, closed) == ([b"/1", b"/2"], True)
