"""The harness itself: what it promises about servers, waiting and answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest
import uvloop

from tests.support.client import FIRST_WRITE, Client, item
from tests.support.components import component
from tests.support.processes import EndedAtStart, free_port
from tests.support.redis import RedisServer
from tests.support.sidecar import Daprd
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path


def test_waiting_ends_with_the_reason_when_the_deadline_passes() -> None:
    """A condition that never comes true is named in the error."""
    with pytest.raises(TimeoutError, match="the moon is blue"):
        until(lambda: False, 0.05, what="the moon is blue")


def test_ports_are_not_given_twice() -> None:
    """Servers that start one after the other do not get each other's ports."""
    ports = [free_port() for _ in range(1000)]

    assert len(set(ports)) == len(ports)


async def test_async_tests_run_on_uvloop() -> None:
    """An `async def` test has the loop that the sidecar has."""
    assert isinstance(asyncio.get_running_loop(), uvloop.Loop)


def test_a_redis_server_survives_a_kill_when_it_writes_at_once(tmp_path: Path) -> None:
    """With appendfsync always, what was answered is there after kill -9 and a new start."""
    with RedisServer(tmp_path, appendonly="yes", appendfsync="always") as server:
        with server.client() as client:
            client.set("k", "v")
        server.kill()
        server.start()
        with server.client() as client:
            found = client.get("k")

    assert found == b"v"


def test_a_paused_redis_server_answers_again_when_resumed(redis_server: RedisServer) -> None:
    """SIGSTOP leaves the port open and the questions unanswered, SIGCONT takes that back."""
    redis_server.pause()
    deaf = not redis_server.is_ready()
    redis_server.resume()

    assert deaf
    assert until(redis_server.is_ready)


@pytest.mark.oracle
def test_daprd_answers_in_plain_python(tmp_path: Path, daprd_binary: Path) -> None:
    """Values, refusals and their details are read as they were sent."""
    with Daprd(daprd_binary, tmp_path, [component("mem", "state.in-memory")]) as daprd, daprd.client() as client:
        saved = client.save("mem", item("k", b"v", metadata={"ttlInSeconds": "60"}))
        found = client.get("mem", "k")
        again = client.save("mem", item("k", b"w", options=FIRST_WRITE))
        unknown = client.get("nope", "k")

    assert saved.ok
    assert found.response["data"] == b"v"
    assert set(found.response["metadata"]) == {"ttlExpireTime"}
    assert again.code == "ABORTED"
    assert (unknown.code, unknown.message) == ("INVALID_ARGUMENT", "state store nope is not found")
    assert unknown.details[0]["reason"] == "DAPR_STATE_NOT_FOUND"


@pytest.mark.oracle
def test_a_server_that_ends_at_start_shows_its_log(tmp_path: Path, daprd_binary: Path) -> None:
    """The error of a failed start is the program's own."""
    with pytest.raises(EndedAtStart, match="invalid value for --log-level: verbose"):
        Daprd(daprd_binary, tmp_path, flags=["--log-level", "verbose"]).start()


def test_nobody_at_the_port_is_an_answer_too() -> None:
    """A call to a closed port comes back as UNAVAILABLE."""
    with Client(1) as client:
        reply = client.get("mem", "k")

    assert reply.code == "UNAVAILABLE"
