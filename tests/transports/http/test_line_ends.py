"""No text of a store, an application or a caller ends its header line: what follows would be another answer."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from dapr_state.serving.http.response import line
from tests.support.http import Socket, ask, request
from tests.support.http2 import Http2Client

if TYPE_CHECKING:
    from tests.support.redis import RedisServer
    from tests.support.sidecar import Daprd, Sidecar

ETAG = 'e\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"evil"\0'
SHOWN = 'e  Content-Length: 0    HTTP/1.1 200 OK  Content-Length: 6    "evil"'


def _write(server: Sidecar, redis_server: RedisServer, store: str, key: str, etag: str) -> None:
    """As another program does that shares the store."""
    stored = f"app||{key}"
    if store == "redis":
        with redis_server.client(db=3) as control:
            control.hset(stored, mapping={"data": b"1", "version": etag.encode()})
        return
    ask(server.http_port, "GET", f"/v1.0/state/lite/{key}")
    with closing(sqlite3.connect(server.folder / "state.db", isolation_level=None)) as other:
        other.execute(
            "INSERT OR REPLACE INTO state (key, value, is_binary, etag, update_time) VALUES (?, '1', 0, ?, '')",
            (stored, etag),
        )


@pytest.mark.parametrize("store", ["lite", "redis"])
def test_a_stored_etag_splits_no_answer(store: str, sidecar: Sidecar, redis_server: RedisServer) -> None:
    """Two requests on one connection have two answers; line ends and NUL of the etag are blanks."""
    _write(sidecar, redis_server, store, "split", ETAG)
    with Socket(sidecar.http_port) as client:
        client.send(request("GET", f"/v1.0/state/{store}/split") + request("GET", f"/v1.0/state/{store}/none"))
        first, second = client.answer(), client.answer()

    assert (first.code, first.body, (first.header("Etag") or "").strip()) == (200, b"1", SHOWN)
    assert second.code == 204


@pytest.mark.parametrize("store", ["lite", "redis"])
def test_over_http_2_the_etag_is_the_same(store: str, sidecar: Sidecar, redis_server: RedisServer) -> None:
    """It is told, as over HTTP/1.1: without it the caller could never save."""
    _write(sidecar, redis_server, store, "split", ETAG)
    with Http2Client(sidecar.http_port) as client:
        answer = client.ask("GET", f"/v1.0/state/{store}/split")

    assert [each.partition(":")[2].strip() for each in answer.lines if each.lower().startswith("etag:")] == [SHOWN]


@pytest.mark.oracle
def test_daprd_makes_line_ends_blanks_too(sidecar: Sidecar, daprd: Daprd, redis_server: RedisServer) -> None:
    """The line that both write is the same."""
    etag = ETAG.rstrip("\0")
    _write(sidecar, redis_server, "redis", "split", etag)
    with redis_server.client(db=4) as control:
        control.hset("app||split", mapping={"data": b"1", "version": etag.encode()})
    ours, theirs = (ask(each.http_port, "GET", "/v1.0/state/redis/split").header("Etag") for each in (sidecar, daprd))

    assert ours == theirs


def test_line_is_one_line() -> None:
    """Whatever the value is."""
    assert line("A", "1\r\n2\n3\r4\0" + "5") == b"A: 1  2 3 4 5\r\n"
