"""However a request ends, the API log has its line, and an error of the API is counted."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.errors import STATE_STORE_NOT_FOUND
from dapr_state.observability.apilog import ApiLog
from dapr_state.security.origins import Origins
from dapr_state.security.tokens import ApiToken
from dapr_state.serving.http.response import no_content
from dapr_state.serving.http.service import checked
from dapr_state.transports.http import middleware, tracecontext
from dapr_state.transports.middleware import Middleware
from tests.serving.http.serving import serving

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Response

HOST = "Host: 127.0.0.1\r\n"
TOKEN = f"{HOST}Dapr-Api-Token: t\r\n"


class Router:
    """What is asked for says how it ends."""

    def __init__(self) -> None:
        self.waits = asyncio.Event()

    async def __call__(self, request: Request) -> Response:
        match request.target:
            case b"/refuse":
                raise STATE_STORE_NOT_FOUND(store="s", app_id="app")
            case b"/break":
                raise ValueError("broken")
            case b"/wait":
                self.waits.set()
                await asyncio.Event().wait()
        return no_content()


async def ask(port: int, path: str, headers: str = TOKEN) -> bytes:
    """Ask, and give the status line; empty if there was none."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return answer.split(b"\r\n")[0]


@pytest.mark.parametrize(
    ("path", "status"), [("/answer", 204), ("/refuse", 400), ("/break", 500), ("/wait", 500), ("/nobody", 401)]
)
async def test_every_end_has_its_line(path: str, status: int, caplog: pytest.LogCaptureFixture) -> None:
    """Also that by a defect, and by the end of the server; but what the token stops has none, as by daprd."""
    counted: list[str] = []
    layers = Middleware(api_log=ApiLog(), token=ApiToken("t"), count_errors=counted.append)
    router: Any = Router()
    handler = checked(middleware.route(router, layers, "app"), middleware.checks(layers))
    with caplog.at_level(logging.INFO, "dapr"):
        async with serving(handler, after=middleware.after(layers, router)) as (server, port):
            asking = asyncio.create_task(ask(port, path, HOST if path == "/nobody" else TOKEN))
            if path == "/wait":
                await router.waits.wait()
                await server.stop(0)
            answer = await asking

    lines = [record.fields for record in caplog.records if record.msg == "HTTP API Called"]  # type: ignore[attr-defined]
    assert answer.startswith(b"HTTP/1.1 %d " % status)
    assert [(line["method"], line["code"]) for line in lines] == ([] if status == 401 else [(f"GET {path}", status)])
    assert counted == (["ERR_STATE_STORE_NOT_FOUND"] if path == "/refuse" else [])


async def test_headers_that_are_refused_once_are_refused_again(caplog: pytest.LogCaptureFixture) -> None:
    """Also after a path on which nobody minds them, and between those that are usual; the log tells of the page."""
    layers = Middleware(api_log=ApiLog(), origins=Origins(["127.0.0.1"]))
    router: Any = Router()
    handler = checked(middleware.route(router, layers, "app"), [tracecontext.CHECK, *middleware.checks(layers)])
    bad, page = "baggage: a\r\n", "Origin: http://evil.example\r\n"
    asked = [("/healthz", bad), ("/a", bad), ("/a", ""), ("/a", bad), ("/b", page), ("/a", ""), ("/b", page)]
    with caplog.at_level(logging.INFO, "dapr"):
        async with serving(handler, after=middleware.after(layers, router)) as (_, port):
            answers = [await ask(port, path, HOST + headers) for path, headers in asked]

    lines = [record.fields for record in caplog.records if record.msg == "HTTP API Called"]  # type: ignore[attr-defined]
    assert [int(answer.split()[1]) for answer in answers] == [204, 400, 204, 400, 403, 204, 403]
    assert [line["method"] for line in lines] == ["GET /healthz", "GET /a", "GET /b", "GET /a", "GET /b"]
