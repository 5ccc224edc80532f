"""HTTP/2 on the HTTP port, for clients that begin with it: the answers of HTTP/1.1, many at once."""

from __future__ import annotations

import asyncio
import gc
import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.clock import WAITING
from dapr_state.serving.http.http2 import Http2Exchange
from dapr_state.serving.http.response import JSON, Response, line
from dapr_state.serving.http.server import HttpServer
from dapr_state.serving.http.service import Service
from dapr_state.serving.http.settings import Settings
from dapr_state.serving.request_memory import RequestMemory
from dapr_state.serving.sockets import bind, port_of
from dapr_state.serving.timeouts import Timeouts
from dapr_state.transports.http import problem
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import MAX_WINDOW, PREFACE, FrameType, goaway, settings
from tests.conformance.over_http.cases import OTHERS, STATE
from tests.conformance.over_http.steps import Scene
from tests.serving.http.serving import blocking, serving
from tests.serving.http.test_stop import Gate
from tests.support import oracle
from tests.support.components import component
from tests.support.configured import metrics_port
from tests.support.http import Answer, Socket, ask, request
from tests.support.http2 import Http2Client, head
from tests.support.processes import free_port
from tests.support.sidecar import Sidecar
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from dapr_state.serving.http.request import Request
    from tests.conformance.scenario import Scenario

CASES = [*STATE, *OTHERS]
MEGABYTE = 1 << 20


class Shown(Scene):
    """Answers with their header lines sorted and in Go's letters: HTTP/2 has small ones."""

    def shown(self, answer: Answer) -> str:
        pairs = (each.partition(":") for each in answer.lines)
        lines = sorted("-".join(map(str.capitalize, name.split("-"))) + ":" + value for name, _, value in pairs)
        return super().shown(Answer(str(answer.code), tuple(lines), answer.body))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_are_those_of_http_1(case: Scenario, sidecar: Sidecar) -> None:
    """Status, headers and body are equal for every verb and route."""
    number = CASES.index(case)
    with Http2Client(sidecar.http_port) as client:
        ours = case.play(Shown(client.ask, "mem", f"h2-{number}-"))

    assert ours == case.play(Shown.at(sidecar.http_port, "mem", f"h1-{number}-"))


@pytest.mark.oracle
def test_h2spec_passes(sidecar: Sidecar) -> None:
    """All of h2spec's cases but one: what does not begin as HTTP/2 is answered in HTTP/1.1, not with a frame."""
    command = [oracle.program("h2spec"), "-h", "127.0.0.1", "-p", str(sidecar.http_port), "-o", "10"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=110)

    assert done.stdout.splitlines()[-1] == "146 tests, 145 passed, 0 skipped, 1 failed"
    assert "2: Sends invalid connection preface" in done.stdout


def test_the_preface_may_come_in_pieces(sidecar: Sidecar) -> None:
    """Wherever it is cut, the connection is one of HTTP/2."""
    with Socket(sidecar.http_port) as client:
        for octet in PREFACE + settings(()):
            client.send(bytes((octet,)))
        received = client.raw.recv(1 << 16)

    assert received[3] == FrameType.SETTINGS


def test_it_can_be_switched_off(tmp_path: Path) -> None:
    """As in daprd, by the environment: then the preface is a request of an unknown version."""
    environment = {"DAPR_HTTP_DISABLE_H2C": "true"}
    with Sidecar(tmp_path, environment=environment) as sidecar, Socket(sidecar.http_port) as client:
        answer = client.send(PREFACE + settings(())).answer()

    assert answer.code == 505


@pytest.mark.parametrize(
    "sent",
    [
        PREFACE[:18] + b"XX\r\n\r\n",
        b"PRI * HTTP/2.0\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/1.1\r\nHost: localhost\r\n\r\n",
    ],
)
def test_what_only_resembles_the_preface_is_not_served(sent: bytes, sidecar: Sidecar) -> None:
    """Half a preface, and requests of HTTP/1 in its words, end their connection or have no route."""
    with Socket(sidecar.http_port) as client:
        received = client.send(sent).end().raw.makefile("rb").read()

    assert b"HTTP/1.1 2" not in received


async def test_a_client_that_says_no_more_than_the_preface_is_let_go() -> None:
    """It has as long as for the head of a request."""
    async with serving(Gate(), timeouts=Timeouts(head=0.1)) as (_, port):
        with Socket(port) as client:
            client.send(PREFACE)
            rest = await blocking(client.raw.makefile("rb").read)

    assert b"no HTTP/2 was spoken" in rest


# How requests are read


async def told(request: Request) -> Response:
    """A handler that says what it was asked."""
    lines = [line(f"Saw-{name}", value) for name, value in request.headers.items()]
    return Response(200, lines, b"%b %b %d" % (request.method.encode(), request.target, len(request.body)))


FORBIDDEN = "reset with code 1"  # PROTOCOL_ERROR
ODD: dict[str, tuple[list[tuple[bytes, bytes]], int | str]] = {
    "a bad escape": (head("GET", b"/a%zz"), 400),
    "an escape in the query": (head("GET", b"/a?%zz"), 200),
    "a path without a slash": (head("GET", b"a"), 400),
    "a blank in the path": (head("GET", b"/a b"), 400),
    "the asterisk": (head("OPTIONS", b"*"), 200),
    "a verb with a blank": (head("GET /", b"/"), 400),
    "an unknown verb": (head("FOO", b"/"), 200),
    "a control character": (head("GET", b"/", (b"x", b"a\x01b")), 400),
    "a blank at the end of a value": (head("GET", b"/", (b"if-match", b"1 ")), 200),
    "a blank at the beginning of a value": (head("GET", b"/", (b"if-match", b"\t1")), 200),
    "high bytes": (head("GET", b"/", (b"x", b"a\xff")), 200),
    "an expectation": (head("GET", b"/", (b"expect", b"foo")), 417),
    "a large head": (head("GET", b"/", (b"x", b"a" * 9000)), 431),
    "a large path": (head("GET", b"/" + b"a" * 9000), 431),
    "an odd authority": (head("GET", b"/", authority=b"a b"), 400),
    "an authority of two lines": (head("GET", b"/", authority=b"a\r\nx: y"), FORBIDDEN),
    "a header of two lines": (head("GET", b"/", (b"x", b"a\r\ny: b")), FORBIDDEN),
    "a path of two lines": (head("GET", b"/ HTTP/1.1\r\nx: y"), FORBIDDEN),
    "a verb of two lines": (head("GET / HTTP/1.1\r\nx: y\r\n", b"/"), FORBIDDEN),
    "capitals in a name": (head("GET", b"/", (b"X", b"a")), FORBIDDEN),
    "a header of HTTP/1.1": (head("GET", b"/", (b"connection", b"close")), FORBIDDEN),
    "two lengths": (head("GET", b"/", (b"content-length", b"1"), (b"content-length", b"2")), FORBIDDEN),
    "a length and no body": (head("GET", b"/", (b"content-length", b"1")), FORBIDDEN),
}


@pytest.mark.parametrize("name", ODD)
async def test_an_odd_head_costs_its_own_request_only(name: str) -> None:
    """What HTTP/1.1 refuses has the same status; what HTTP/2 forbids ends its stream; the next request is answered."""
    fields, wanted = ODD[name]

    def exchange(port: int) -> tuple[int | str, int]:
        with Http2Client(port) as client:
            try:
                first: int | str = client.answer(client.open(fields)).code
            except ConnectionError as error:
                first = str(error)
            return first, client.ask("GET", "/").code

    async with serving(told) as (_, port):
        assert await blocking(exchange, port) == (wanted, 200)


async def test_headers_are_seen_as_over_http_1() -> None:
    """The authority is the host, cookies are one line, and only the first of several values counts."""
    cookies = ((b"cookie", b"a=1"), (b"x", b"first"), (b"cookie", b"b=2"), (b"x", b"second"), (b"host", b"other"))

    def exchange(port: int) -> Answer:
        with Http2Client(port) as client:
            return client.answer(client.open(head("GET", b"/", *cookies)))

    async with serving(told) as (_, port):
        answer = await blocking(exchange, port)

    assert answer.lines[:3] == ("saw-host: localhost", "saw-x: first", "saw-cookie: a=1; b=2")


async def test_lines_of_http_1_are_not_sent() -> None:
    """What belongs to a connection of HTTP/1.1, and what is no header at all, stays here."""

    async def handler(_: Request) -> Response:
        return Response(200, [b"Connection: close\r\n", b"Keep-Alive: 5\r\n", b"Bad name: 1\r\n", JSON], b"{}")

    def exchange(port: int) -> Answer:
        with Http2Client(port) as client:
            return client.ask("GET", "/")

    async with serving(handler) as (_, port):
        answer = await blocking(exchange, port)

    assert answer.lines == ("content-type: application/json", "content-length: 2")


async def test_a_client_that_waits_is_told_to_go_on() -> None:
    """100 comes before the body does."""

    def exchange(port: int) -> tuple[bool, Answer]:
        with Http2Client(port) as client:
            stream = client.open(head("POST", b"/", (b"expect", b"100-continue")), ended=False)
            while not client.interim:
                client._read()
            client.h2.send_data(stream, b"body", end_stream=True)
            client.flush()
            return client.interim == [stream], client.answer(stream)

    async with serving(told) as (_, port):
        waited, answer = await blocking(exchange, port)

    assert (waited, answer.body) == (True, b"POST / 4")


async def test_requests_say_whose_they_are_and_are_noted() -> None:
    """The client's address where it is asked for; every answer passes the notes, with its times."""
    noted = []

    async def handler(request: Request) -> Response:
        return Response(200, body=repr(request.peer).encode())

    def note(request: Request, response: Response) -> None:
        noted.append((request.target, response.status, 0 < request.began <= request.ended))

    def exchange(port: int) -> tuple[Answer, str]:
        with Http2Client(port) as client:
            return client.ask("GET", "/x"), repr(client.raw.getsockname())

    server = HttpServer(Service(handler, problem.failure, [note], names_peers=True), Settings.read())
    bound = bind("127.0.0.1:0")
    server.listen_on(bound)
    await server.start()
    answer, address = await blocking(exchange, port_of(bound))
    await server.stop(1)

    assert (answer.body.decode(), noted) == (address, [(b"/x", 200, True)])


# Bodies


async def echoed(request: Request) -> Response:
    return Response(200, body=request.body_error.encode() or request.body)


@pytest.mark.parametrize("with_length", [True, False])
async def test_bodies_beyond_the_windows_go_both_ways(with_length: bool) -> None:
    """Several of some megabytes at once, with a length or without."""
    bodies = [bytes((number,)) * (3 * MEGABYTE + number) for number in range(4)]

    def exchange(port: int) -> list[bytes]:
        with Http2Client(port) as client:
            if with_length:
                streams = [client.send("POST", "/", body) for body in bodies]
            else:
                streams = [client.open(head("POST", b"/"), ended=False) for _ in bodies]
                client._unsent |= dict(zip(streams, bodies, strict=True))
                client._send_more()
            return [client.answer(stream).body for stream in streams]

    async with serving(echoed, max_body=4 * MEGABYTE) as (_, port):
        received = await blocking(exchange, port)

    assert received == bodies


@pytest.mark.parametrize("size", [1000, 1001, 200_000, 2 * MEGABYTE])
async def test_a_body_beyond_the_limit_is_cut_there(size: int) -> None:
    """The handler is told, and the connection goes on."""

    def exchange(port: int) -> tuple[bytes, bytes]:
        with Http2Client(port) as client:
            return client.ask("POST", "/", b"x" * size).body, client.ask("POST", "/", b"next").body

    async with serving(echoed, max_body=1000) as (_, port):
        answers = await blocking(exchange, port)

    assert answers == (b"x" * size if size <= 1000 else b"stream too large", b"next")


def test_refusals_are_those_of_http_1(tmp_path: Path) -> None:
    """A body beyond the limit, and a caller without the token."""
    flags = ("--max-body-size", "1000")
    long = '[{"key":"a","value":"' + "x" * 1000 + '"}]'
    asked: list[Any] = [
        ("POST", "/v1.0/state/mem", long, "right"),
        ("POST", "/v1.0/state/mem", "[]", "wrong"),
        ("POST", "/v1.0/state/mem", "[]", "right"),
        ("GET", "/v1.0/healthz", None, ""),
    ]
    store = component("mem", "state.in-memory")
    with Sidecar(tmp_path, [store], flags=flags, environment={"DAPR_API_TOKEN": "right"}) as sidecar:
        over_1 = [ask(sidecar.http_port, *given, dapr_api_token=token) for *given, token in asked]
        with Http2Client(sidecar.http_port) as client:
            over_2 = [client.ask(*given, dapr_api_token=token) for *given, token in asked]

    assert [each.code for each in over_2] == [400, 401, 204, 204]
    assert [(each.code, each.body) for each in over_2] == [(each.code, each.body) for each in over_1]


# Many at once


async def test_a_hundred_requests_are_under_way_at_once() -> None:
    """None waits for another, and each gets its own answer, in whatever order they come."""
    count = 100
    waiting: dict[bytes, asyncio.Future[None]] = {}
    all_here = asyncio.Event()

    async def handler(request: Request) -> Response:
        waiting[request.target] = asyncio.get_running_loop().create_future()
        if len(waiting) == count:
            all_here.set()
        await waiting[request.target]
        return Response(200, body=request.target)

    def exchange(port: int) -> list[bytes]:
        with Http2Client(port) as client:
            streams = [client.send("GET", f"/{number}") for number in range(count)]
            return [client.answer(stream).body for stream in streams]

    async with serving(handler) as (_, port):
        client = asyncio.create_task(blocking(exchange, port))
        await all_here.wait()
        for future in reversed(waiting.values()):
            future.set_result(None)
        bodies = await client

    assert bodies == [b"/%d" % number for number in range(count)]


async def test_a_request_that_is_reset_is_given_up() -> None:
    """Its handler is cancelled; the connection goes on."""
    arrived, given_up = asyncio.Event(), asyncio.Event()

    async def handler(request: Request) -> Response:
        if request.target == b"/next":
            return Response(204)
        try:
            arrived.set()
            return await asyncio.Event().wait()  # type: ignore[return-value] # it never ends
        finally:
            given_up.set()

    async with serving(handler) as (_, port):
        with Http2Client(port) as client:
            stream = client.send("GET", "/")
            await arrived.wait()
            client.reset(stream)
            await given_up.wait()
            after = await blocking(client.ask, "GET", "/next")

    assert after.code == 204


async def test_a_lost_connection_gives_its_requests_up() -> None:
    """Nobody is left who could hear the answer."""
    arrived, given_up = asyncio.Event(), asyncio.Event()

    async def handler(_: Request) -> Response:
        try:
            arrived.set()
            return await asyncio.Event().wait()  # type: ignore[return-value] # it never ends
        finally:
            given_up.set()

    async with serving(handler) as (server, port):
        with Http2Client(port) as client:
            client.send("GET", "/")
            await arrived.wait()
        await given_up.wait()

        assert "0 connections" in repr(server)


async def test_answers_that_nobody_reads_are_not_all_made() -> None:
    """A client whose windows stay closed has its further requests held."""
    made = 0

    async def handler(_: Request) -> Response:
        nonlocal made
        made += 1
        return Response(200, body=b"x" * MEGABYTE)

    async with serving(handler) as (_, port):
        with Http2Client(port) as client:
            streams = [client.send("GET", "/") for _ in range(100)]
            seen = -1
            while made != seen:  # until nothing more happens
                seen = made
                await asyncio.sleep(0.2)
            sizes = {len((await blocking(client.answer, stream)).body) for stream in streams}

    assert seen < 10
    assert (made, sizes) == (100, {MEGABYTE})


async def test_a_defect_is_an_answer_and_the_connection_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    """Whether it is in what finds the route, in the handler, late in it, or in a note."""

    async def answer(request: Request) -> Response:
        if request.target == b"/late":
            await asyncio.sleep(0)
        if request.target in {b"/late", b"/early"}:
            raise RuntimeError("a defect")
        return Response(204)

    def handler(request: Request) -> Any:
        if request.target == b"/before":
            raise RuntimeError("a defect")
        return answer(request)

    def note(request: Request, _: Response) -> None:
        if request.target == b"/after":
            raise RuntimeError("a defect")

    def exchange(port: int) -> list[int]:
        with Http2Client(port) as client:
            return [client.ask("GET", path).code for path in ("/before", "/early", "/late", "/after", "/good")]

    async with serving(handler, after=[note]) as (_, port):
        codes = await blocking(exchange, port)

    assert codes == [500, 500, 500, 500, 204]
    assert caplog.text.count("RuntimeError: a defect") == 4


# The end


async def test_requests_under_way_are_answered_before_the_end() -> None:
    """Those that run and those that had begun to arrive; idle connections end without being waited for."""
    gate = Gate()

    async with serving(gate) as (server, port):
        with Http2Client(port) as busy, Http2Client(port) as idle:
            idle.flush()
            running = busy.send("GET", "/")
            arriving = busy.open(head("POST", b"/"), ended=False)
            await gate.arrived.wait()
            stopping = asyncio.create_task(server.stop(10))
            await blocking(idle.wait_for_the_end)
            gate.release.set()
            first = await blocking(busy.answer, running)
            busy.h2.send_data(arriving, b"body", end_stream=True)
            busy.flush()
            second = await blocking(busy.answer, arriving)
            await blocking(busy.wait_for_the_end)
            await stopping

    assert (first.code, second.code) == (204, 204)
    assert idle.last_streams[-1] == 0
    assert busy.last_streams == [MAX_WINDOW, arriving]


async def test_requests_that_take_too_long_are_told_so() -> None:
    """When the grace is over, one that ran gets an error, and one that had not come in full can be sent again."""
    gate = Gate()

    async with serving(gate) as (server, port):
        with Http2Client(port) as client:
            running = client.send("GET", "/")
            arriving = client.open(head("POST", b"/"), ended=False)
            await gate.arrived.wait()
            await server.stop(0.1)
            answer = await blocking(client.answer, running)
            with pytest.raises(ConnectionError, match="reset with code 7"):  # REFUSED_STREAM
                await blocking(client.answer, arriving)

    assert (answer.code, answer.json["message"]) == (500, "the request was interrupted")


async def test_a_connection_that_begins_as_the_server_ends_is_told_so() -> None:
    """The rest of a preface that was being sent at the stop is heard, and answered with the end."""
    async with serving(told) as (server, port):
        with Socket(port) as late, Socket(port) as other:
            late.send(PREFACE[:10])
            other.send(request("GET", "/"))
            await blocking(other.answer)  # so the octets before it were read
            stopping = asyncio.create_task(server.stop(10))
            await blocking(other.is_closed)
            late.send(PREFACE[10:] + settings(()))
            rest = await blocking(late.raw.makefile("rb").read)
            await stopping

    assert goaway(MAX_WINDOW, ErrorCode.NO_ERROR) in rest


def test_the_ports_beside_the_api_speak_http1_only(tmp_path: Path) -> None:
    """Metrics and the public port take no HTTP/2, as daprd's: whoever floods by it has one port less."""
    public = free_port()
    with Sidecar(tmp_path, [component("mem", "state.in-memory")], flags=["--dapr-public-port", str(public)]) as sidecar:
        for port, path in ((metrics_port(sidecar), "/metrics"), (public, "/v1.0/healthz")):
            with Http2Client(port) as client, pytest.raises(ConnectionError):
                client.ask("GET", path)

            assert ask(port, "GET", path).code in {200, 204}


async def test_large_bodies_wait_for_the_process_s_memory() -> None:
    """A body that does not fit is let in when another has been answered; what was held is given back."""
    memory = RequestMemory(1_500_000)
    async with serving(told, memory=memory) as (_, port):
        with Http2Client(port) as client:
            streams = [await blocking(client.send, "POST", "/", bytes(1_000_000)) for _ in range(3)]
            bodies = [(await blocking(client.answer, stream)).body for stream in streams]

    assert bodies == [b"POST / 1000000"] * 3
    assert (memory._taken, memory._kept, memory._waiting, memory._parts) == ({}, {}, {}, {})


@pytest.mark.parametrize("length", [(), ((b"content-length", b"900000"),)])
async def test_bodies_that_never_end_keep_nobody_waiting(length: tuple[tuple[bytes, bytes], ...]) -> None:
    """A save of 30 kB is answered while they are held; they hold what came, and not what they announced."""
    memory = RequestMemory(1_500_000)
    async with serving(told, memory=memory) as (_, port):
        with Http2Client(port) as holder, Http2Client(port) as other:
            await blocking(holder.ask, "GET", "/")  # it has heard how wide the connection's window is
            for _ in range(20):
                still = holder.open(head("POST", b"/", *length), ended=False)
                holder.h2.send_data(still, bytes(16_384))
                holder.h2.send_data(still, bytes(616))
            holder.flush()
            await eventually(lambda: len(memory._parts) == 20)
            saved = await blocking(other.ask, "POST", "/", bytes(30_000))
            held = len(memory._parts), memory._part_octets
        await eventually(lambda: not memory._parts)

    assert saved.body == b"POST / 30000"
    assert held == (20, 20 * 17_000)


async def test_a_stream_that_has_ended_leaves_nothing_to_the_garbage_collector() -> None:
    """An idle process does not collect: what a body takes must be free as soon as its stream is answered or lost."""
    gc.collect()
    gc.disable()
    try:
        async with serving(told) as (server, port):
            with Http2Client(port) as client:
                for _ in range(3):
                    still = client.open(head("POST", b"/"), ended=False)
                    client.h2.send_data(still, bytes(16_384))
                client.flush()
                await blocking(client.ask, "POST", "/", bytes(50_000))
                assert len(_exchanges()) == 3
            await eventually(lambda: " 0 connections" in repr(server))
            left = _exchanges()
    finally:
        gc.enable()

    assert left == []


def _exchanges() -> list[Http2Exchange]:
    return [each for each in gc.get_objects() if type(each) is Http2Exchange]


async def test_a_body_that_stands_still_is_ended() -> None:
    """Its client is told so by the status, and its memory is given back; the connection goes on."""
    memory = RequestMemory(1_500_000)
    async with serving(told, memory=memory) as (server, port):
        with Http2Client(port) as client:
            still = client.open(head("POST", b"/", (b"content-length", b"1000000")), ended=False)
            client.h2.send_data(still, bytes(16_384))
            client.h2.send_data(still, bytes(16_384))
            client.flush()
            await blocking(client.ask, "GET", "/")
            held = len(memory._parts)
            for connection in server._shared.connections:
                connection.check_timeouts(WAITING.monotonic() + server._shared.timeouts.body + 1)
            ended = await blocking(client.answer, still)
            again = await blocking(client.ask, "GET", "/")

    assert (held, ended.code, again.code) == (1, 408, 200)
    assert (memory._taken, memory._kept, memory._waiting, memory._parts) == ({}, {}, {}, {})


def test_a_preflight_says_what_its_answer_varies_by(tmp_path: Path) -> None:
    """Three lines of one name, as over HTTP/1.1."""
    asked = {"Origin": "http://localhost:9999", "Access_Control_Request_Method": "POST"}
    with Sidecar(tmp_path, flags=["--allowed-origins", "http://localhost:9999"]) as server:
        with Http2Client(server.http_port) as client:
            ours = client.ask("OPTIONS", "/v1.0/state/mem", **asked)
        over_http1 = ask(server.http_port, "OPTIONS", "/v1.0/state/mem", **asked)

    names = [each.partition(": ")[2] for each in ours.lines if each.lower().startswith("vary:")]
    assert names == [each.partition(": ")[2] for each in over_http1.lines if each.startswith("Vary:")]
    assert len(names) == 3


@pytest.mark.parametrize("octets", [20_000, 100_000])
def test_a_head_that_is_too_long_costs_its_stream(octets: int, sidecar: Sidecar) -> None:
    """It is 431, and the connection serves on: others use it too."""
    with Http2Client(sidecar.http_port) as client:
        answers = [client.ask("GET", "/v1.0/healthz", X=value).code for value in ("", "v" * octets, "")]

    assert answers == [204, 431, 204]
