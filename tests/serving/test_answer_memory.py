"""The account of answers that wait for clients: who is let in, who makes room, and that readers are served."""

from __future__ import annotations

import asyncio
import json
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest
from dapr_state_proto.runtime.v1 import state_pb2

from dapr_state.serving import answer_memory
from dapr_state.serving.answer_memory import LARGE_USE, SLOWEST, SMALL, AnswerMemory, CrowdedError
from dapr_state.serving.http.response import Response
from dapr_state.serving.request_memory import RequestMemory
from tests.serving.http.serving import blocking, serving
from tests.support import flood
from tests.support.client import item
from tests.support.components import component
from tests.support.http import Socket, ask, request
from tests.support.sidecar import Sidecar
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from dapr_state.wire.http1 import Request

SIZE = 10 * SMALL
VALUE = 1_000_000


class Client:
    """A reader that takes what the test says."""

    def __init__(self, memory: AnswerMemory, unsent: int) -> None:
        self.memory = memory
        self.unsent = unsent
        self.taken = 0
        self.has_ended = False
        memory.count(self)

    def take(self, octets: int) -> None:
        self.taken += octets
        self.unsent -= octets
        self.memory.count(self)

    def end(self) -> None:
        self.has_ended = True
        self.unsent = 0


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answer_memory, "PATIENCE", 0.05)
    monkeypatch.setattr(answer_memory, "LEAST_PATIENCE", 0.05)
    monkeypatch.setattr(answer_memory, "CHECK_INTERVAL", 0.005)


def begin(memory: AnswerMemory, octets: int, order: list[int]) -> asyncio.Task[None]:
    async def make() -> None:
        async with memory.room(octets):
            order.append(octets)

    return asyncio.create_task(make())


async def test_first_come_is_first_served() -> None:
    """A smaller answer does not pass a larger one that waits; all that was held comes back."""
    memory, order = AnswerMemory(SIZE), []  # type: ignore[var-annotated]
    client = Client(memory, SIZE // 2)
    tasks = [begin(memory, octets, order) for octets in (SIZE, SIZE // 4)]
    await asyncio.sleep(0)
    waited = list(order), memory.has_room(1)
    client.take(SIZE // 2)
    await asyncio.gather(*tasks)

    assert waited == ([], False)
    assert order == [SIZE, SIZE // 4]
    assert repr(memory) == f"<AnswerMemory 0 left by 0, 0 reserved of {SIZE}, 0 waiting>"


async def test_one_is_always_let_in() -> None:
    """Also one that is larger than the whole account; a second waits for it."""
    memory = AnswerMemory(SIZE)
    async with memory.room(SIZE * 10):
        assert not memory.has_room(1)
    assert memory.has_room(SIZE)


async def test_the_end_of_a_large_use_is_told_once() -> None:
    """When the last client has taken what was left; the end of a small use is not worth a word."""
    told: list[str] = []
    memory = AnswerMemory(on_emptied=lambda: told.append("empty"))
    Client(memory, SMALL * 2).take(SMALL * 2)
    assert not told

    first, last = Client(memory, LARGE_USE), Client(memory, SMALL * 2)
    first.take(LARGE_USE)
    assert not told
    last.take(SMALL * 2)
    assert told == ["empty"]


async def test_small_rests_count_nothing() -> None:
    """However many connections have a little that waits."""
    memory = AnswerMemory(SIZE)
    for _ in range(100):
        Client(memory, SMALL)

    assert memory.has_room(SIZE)


@pytest.mark.usefixtures("impatient")
async def test_who_takes_nothing_makes_room_for_who_waits() -> None:
    """Only so much as is needed, those first who have taken nothing for longest; who takes some stays."""
    memory, order = AnswerMemory(SIZE * SLOWEST), []  # type: ignore[var-annotated]
    share = SIZE * SLOWEST // 4
    still, later, reader, last = (Client(memory, share) for _ in range(4))
    task = begin(memory, share, order)
    while not task.done():
        reader.take(SLOWEST)
        later.take(1)
        await asyncio.sleep(0.001)

    assert still.has_ended
    assert [client.has_ended for client in (later, reader, last)] == [False] * 3


async def test_nobody_is_ended_while_there_is_room() -> None:
    """Who takes nothing may take his time as far as the account goes: nothing is even looked at."""
    memory = AnswerMemory(SIZE)
    Client(memory, SIZE - 1)

    assert memory._check_timer is None


@pytest.mark.usefixtures("impatient")
async def test_answers_that_cannot_wait_make_room_too() -> None:
    """What is sent beyond the account, as applications' answers are, ends those that take nothing of it."""
    memory = AnswerMemory(SIZE)
    clients = [Client(memory, SIZE) for _ in range(3)]
    await eventually(lambda: memory.has_room(0))

    assert [client.has_ended for client in clients] == [True, True, False]


async def test_who_stops_waiting_leaves_no_trace() -> None:
    """One that is cancelled while it waits, or at the moment when it is let in, holds nothing."""
    memory, order = AnswerMemory(SIZE), []  # type: ignore[var-annotated]
    client = Client(memory, SIZE)
    waiting, let_in, next_one = (begin(memory, SIZE, order) for _ in range(3))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.sleep(0)
    client.take(SIZE)
    let_in.cancel()
    await asyncio.wait([waiting, let_in, next_one])

    assert (waiting.cancelled(), let_in.cancelled(), order) == (True, True, [SIZE])
    assert repr(memory) == f"<AnswerMemory 0 left by 0, 0 reserved of {SIZE}, 0 waiting>"


async def test_who_waits_for_too_long_is_told_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """All who hold something take some, so that nobody is ended: whoever waits gets an answer all the same."""
    monkeypatch.setattr(answer_memory, "LONGEST", 0.01)
    memory = AnswerMemory(SIZE)
    Client(memory, SIZE)

    with pytest.raises(CrowdedError):
        async with memory.room(SIZE):
            pass
    assert memory._waiting == memory._waiting.__class__()


# Connections


async def test_what_http1_clients_do_not_take_counts_and_comes_back() -> None:
    """From the answer that is left until it is taken, or the connection lost."""

    async def large(_: Request) -> Response:
        return Response(200, body=bytes(10 * VALUE))

    memory = RequestMemory()
    async with serving(large, memory=memory) as (_, port):
        with Socket(port) as takes, Socket(port) as leaves:
            for each in (takes, leaves):
                each.send(request("GET", "/"))
            await eventually(lambda: " left by 2," in repr(memory.answers))
            await blocking(takes.answer)
            await eventually(lambda: " left by 1," in repr(memory.answers))
        await eventually(lambda: " 0 left by 0," in repr(memory.answers))


def _frames(port: int, *fields: tuple[str, str], body: bytes = b"") -> Callable[[], Socket]:
    """A client of HTTP/2 that opens no window beyond the first."""
    octets = flood.PREFACE + flood.settings()
    head = flood.block((":scheme", "http"), (":authority", "localhost"), *fields)
    flags = flood.END_HEADERS | (0 if body else flood.END_STREAM)
    for stream in range(1, 11, 2):
        octets += flood.frame(flood.HEADERS, flags, stream, head)
        octets += flood.frame(flood.DATA, flood.END_STREAM, stream, body) if body else b""
    return lambda: Socket(port).send(octets)


def _lazy(sidecar: Sidecar, door: str, store: str) -> Callable[[], Socket]:
    """What makes a client that asks for large values over this door, and takes nothing."""
    path = f"/v1.0/state/{store}/large"
    if door == "HTTP/1.1":
        return lambda: Socket(sidecar.http_port).send(request("GET", path) * 5)
    if door == "HTTP/2":
        return _frames(sidecar.http_port, (":method", "GET"), (":path", path))
    message = state_pb2.GetStateRequest(store_name=store, key="large").SerializeToString()
    fields = (
        (":method", "POST"),
        (":path", "/dapr.proto.runtime.v1.Dapr/GetState"),
        ("te", "trailers"),
        ("content-type", "application/grpc"),
    )
    return _frames(sidecar.grpc_port, *fields, body=b"\0" + len(message).to_bytes(4) + message)


@pytest.mark.parametrize("door", ["HTTP/1.1", "HTTP/2", "gRPC"])
@pytest.mark.parametrize("kind", ["state.in-memory", "state.sqlite"])
def test_who_reads_is_answered_however_many_do_not(door: str, kind: str, tmp_path: Path) -> None:
    """Twenty clients take nothing of answers that are many times the account: others get theirs, over every door."""
    flags = ["--max-request-memory", "4Mi"]
    components = [component("s", kind, **({"connectionString": str(tmp_path / "s.db")} if "sql" in kind else {}))]
    with Sidecar(tmp_path, components, flags=flags) as sidecar, sidecar.client() as client, ExitStack() as stack:
        assert client.save("s", item("large", b"7" * VALUE)).ok
        make = _lazy(sidecar, door, "s")
        for _ in range(20):
            stack.enter_context(make())
        over_http = ask(sidecar.http_port, "GET", "/v1.0/state/s/large")
        over_grpc = client.get("s", "large")

    assert (over_http.code, len(over_http.body)) == (200, VALUE)
    assert (over_grpc.code, len(over_grpc.response["data"])) == ("OK", VALUE)


# Bulk gets


def test_long_bulk_gets_are_answered_whole(tmp_path: Path) -> None:
    """Large values, small ones, missing keys and keys asked for twice, each at its place, over every door."""
    values = {
        "a": b"[1]",
        "b": b"[" + b"7," * (VALUE // 2) + b"7]",
        "c": b"",
        "e": b'"' + b"x" * VALUE + b'"',
        "t": b"\x01" * 100_000,
    }
    asked = ["a", "b", "none", "e", "b", "t", "c", *("a" for _ in range(300)), "e"]
    with (
        Sidecar(tmp_path, [component("mem", "state.in-memory")], flags=["--max-body-size", "16Mi"]) as sidecar,
        sidecar.client() as client,
    ):
        for key, value in values.items():
            assert client.save("mem", item(key, value, metadata={"ttlInSeconds": "1000"} if key == "e" else None)).ok
        over_grpc = client.bulk_get("mem", *asked).response["items"]
        over_http = ask(sidecar.http_port, "POST", "/v1.0/state/mem/bulk", json.dumps({"keys": asked})).json

    assert [each.get("key", "") for each in over_grpc] == [each["key"] for each in over_http] == asked
    assert [each.get("data", b"") for each in over_grpc] == [values.get(key, b"") for key in asked]
    shown = {key: json.loads(values[key]) for key in ("a", "b", "e")} | {"t": "\x01" * 100_000}
    assert [each.get("data") for each in over_http] == [shown.get(key) for key in asked]
    assert ["ttlExpireTime" in each.get("metadata", {}) for each in over_grpc] == [key == "e" for key in asked]
    assert ["ttlExpireTime" in each.get("metadata", {}) for each in over_http] == [key == "e" for key in asked]
    assert [bool(each.get("etag")) for each in over_http] == [key != "none" for key in asked]


@pytest.mark.parametrize("door", ["HTTP", "gRPC"])
def test_an_answer_has_a_bound(door: str, tmp_path: Path) -> None:
    """One value of 4 MB that is asked for 800,000 times in one request is refused at once, and says why."""
    with Sidecar(tmp_path, [component("mem", "state.in-memory")]) as sidecar, sidecar.client() as client:
        assert client.save("mem", item("k", b"7" * 4_000_000)).ok
        if door == "HTTP":
            body = b'{"keys":[' + b'"k",' * 800_000 + b'"k"]}'
            answer = ask(sidecar.http_port, "POST", "/v1.0/state/mem/bulk", body)
            told = (str(answer.code), answer.json["errorCode"], answer.json["message"])
        else:
            reply = client.bulk_get("mem", *["k"] * 800_000)
            told = (reply.code, "ERR_STATE_ANSWER_TOO_LARGE", reply.message)

    assert told == (
        "413" if door == "HTTP" else "RESOURCE_EXHAUSTED",
        "ERR_STATE_ANSWER_TOO_LARGE",
        "the values of the keys asked for are more than 268435456 bytes together: ask for fewer keys at a time",
    )
