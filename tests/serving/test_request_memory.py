"""The account of request memory: what is let in, who waits, who is refused, and that all of it comes back."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.serving.answer_memory import LARGE_USE, CrowdedError
from dapr_state.serving.http.response import Response
from dapr_state.serving.request_memory import (
    COUNTED,
    DEFAULT_SIZE,
    JSON_PARTS,
    PROTOBUF_PARTS,
    SMALL,
    RequestMemory,
    weight,
)
from dapr_state.serving.timeouts import Timeouts
from tests.serving.http.serving import blocking, serving
from tests.support.http import Socket, request
from tests.support.http2 import Http2Client, head
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request

SIZE = 100_000


class Caller:
    """A holder that writes down when it is let in, and gives back when it is to end."""

    def __init__(self, name: int, order: list[int], memory: RequestMemory | None = None) -> None:
        self.name = name
        self.order = order
        self.memory = memory

    def on_memory(self) -> None:
        self.order.append(self.name)

    def on_standstill(self) -> None:
        assert self.memory
        self.order.append(-self.name)
        self.memory.give_back(self)


async def settled() -> None:
    """Until all that was to be called soon has been."""
    await asyncio.sleep(0)


async def test_first_come_is_first_served() -> None:
    """A small one does not pass a large one that waits."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    first, large, small = (Caller(number, order) for number in range(3))
    asked = [memory.ask(first, 60_000, 0), memory.ask(large, 90_000, 0), memory.ask(small, 20_000, 0)]
    memory.give_back(first)
    await settled()
    once = list(order)
    memory.give_back(large)
    await settled()

    assert asked == [True, False, False]
    assert (once, order) == ([1], [1, 2])


async def test_one_is_always_let_in() -> None:
    """Also one that asks for more than there is."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    huge, next_one = Caller(0, order), Caller(1, order)

    assert memory.ask(huge, SIZE * 10, 0)
    assert not memory.ask(next_one, 1, 1)
    memory.give_back(huge)
    await settled()
    assert order == [1]


async def test_what_waits_is_bounded() -> None:
    """Whoever would wait with more than there may be is refused, and costs nothing."""
    memory = RequestMemory(SIZE)
    callers = [Caller(number, []) for number in range(4)]
    memory.ask(callers[0], SIZE, SIZE)
    memory.ask(callers[1], SIZE, here=SIZE // 2)
    memory.ask(callers[2], SIZE, here=SIZE // 2)

    with pytest.raises(CrowdedError):
        memory.ask(callers[3], SIZE, SIZE)
    memory.give_back(callers[3])
    memory.give_back(callers[2])
    assert not memory.ask(callers[3], SIZE, 0)


async def test_what_is_not_needed_comes_back_before_the_end() -> None:
    """A compressed message asks for the most that it may stand for; once it is plain, the rest is for others."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    unknown, waiting = Caller(0, order), Caller(1, order)
    memory.ask(unknown, SIZE, 0)
    memory.ask(waiting, SIZE // 2, 0)
    memory.shrink(unknown, SIZE // 4)
    await settled()

    assert order == [1]


async def test_the_end_of_a_large_use_is_told_once() -> None:
    """And that of a small one is not worth a word."""
    told: list[str] = []
    memory = RequestMemory(LARGE_USE * 4, lambda: told.append("empty"))
    caller = Caller(0, [])
    memory.ask(caller, SMALL, 0)
    memory.give_back(caller)
    assert not told

    memory.ask(caller, LARGE_USE + 1, 0)
    memory.give_back(caller)
    memory.give_back(caller)
    assert told == ["empty"]


async def test_who_is_not_whole_keeps_no_whole_request_waiting() -> None:
    """However much has come of such requests: what is whole has an account of its own."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    for number in range(4):
        memory.arrive(Caller(number, order), SIZE // 4, SIZE)

    assert memory.ask(Caller(4, order), SIZE, SIZE)


async def test_the_nearest_to_its_end_is_read_on_in_any_case() -> None:
    """Else a crowd of half requests would wait for each other; when it is whole, the next is."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    full, far, near = (Caller(number, order) for number in range(3))
    went_on = [memory.arrive(full, SIZE // 2, SIZE), memory.arrive(far, SIZE // 4, SIZE * 4)]
    went_on.append(memory.arrive(near, SIZE // 4, SIZE * 2))
    await settled()
    once = list(order)
    beyond = memory.arrive(far, SIZE * 3, SIZE)
    memory.ask(far, SIZE * 4, 0)
    await settled()

    assert went_on == [True, False, False]
    assert beyond
    assert (once, order) == ([1], [1, 2])


async def test_what_one_more_read_makes_whole_is_not_held_up() -> None:
    """A small request passes the large ones that are paused."""
    memory = RequestMemory(SMALL * 20)
    large = [Caller(number, []) for number in range(2)]
    went_on = [memory.arrive(each, SMALL * 6, SMALL * 100) for each in large]

    assert went_on == [True, False]
    assert memory.arrive(Caller(2, []), SMALL + 1, SMALL)


async def test_who_stands_still_is_ended_while_others_wait_to_be_read_on() -> None:
    """Who has stood still for longest goes first; whoever is paused by this side does not count as standing still."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    still, favourite, paused = (Caller(number, order, memory) for number in range(1, 4))
    memory.arrive(still, SIZE // 2, SIZE)
    memory.arrive(favourite, SIZE // 4, SIZE)
    memory.arrive(paused, SIZE // 4, SIZE * 2)
    await eventually(lambda: 3 in order)
    memory.give_back(favourite)
    memory.give_back(paused)

    assert order[:2] == [2, -1]
    assert repr(memory).endswith("0 of 0 parts, 0 paused>")


STEPS = st.lists(
    st.tuples(st.integers(0, 7), st.integers(1, SIZE * 2), st.sampled_from(["part", "whole", "end"])), max_size=60
)


@given(STEPS)
def test_whatever_callers_do_everyone_is_served_in_order_and_all_comes_back(
    steps: list[tuple[int, int, str]],
) -> None:
    """Whole requests enter in their order, whatever comes of others; of those that are not, one always goes on."""

    asyncio.run(_play(steps))


class Model:
    """What must be true of the callers of an account."""

    def __init__(self) -> None:
        self.order: list[int] = []
        self.memory = RequestMemory(SIZE)
        self.callers = [Caller(number, self.order) for number in range(8)]
        self.inside: dict[int, int] = {}
        self.queue: dict[int, int] = {}
        self.parts: dict[int, bool] = {}  # whether it goes on

    def end(self, number: int) -> None:
        self.memory.give_back(self.callers[number])
        for held in (self.inside, self.queue, self.parts):
            held.pop(number, None)  # type: ignore[attr-defined]

    def arrive(self, number: int, octets: int) -> None:
        try:
            self.parts[number] = self.memory.arrive(self.callers[number], octets // 8, octets)
        except CrowdedError:
            assert any(other != number for other in self.parts)
            self.end(number)

    def ask(self, number: int, octets: int) -> None:
        self.parts.pop(number, None)
        try:
            is_in = self.memory.ask(self.callers[number], octets, here=octets // 8)
            (self.inside if is_in else self.queue)[number] = octets
        except CrowdedError:
            assert self.queue
            self.end(number)

    def check(self) -> None:
        for entered in self.order:
            if entered in self.parts:
                self.parts[entered] = True
            elif entered in self.queue:
                assert entered == next(iter(self.queue))
                self.inside[entered] = self.queue.pop(entered)
        self.order.clear()
        assert len(self.inside) <= 1 or sum(self.inside.values()) <= SIZE
        assert self.inside or not self.queue
        assert not self.parts or any(self.parts.values())


async def _play(steps: list[tuple[int, int, str]]) -> None:
    model = Model()
    for number, octets, step in steps:
        if step == "end":
            model.end(number)
        elif number not in model.inside and number not in model.queue:
            (model.arrive if step == "part" else model.ask)(number, octets)
        await settled()
        model.check()
    for number in range(8):
        model.end(number)
    await settled()
    assert repr(model.memory) == f"<RequestMemory 0 of {SIZE} taken by 0, 0 waiting, 0 kept, 0 of 0 parts, 0 paused>"


# HTTP/1.1

BODY = 40_000


def half(size: int = BODY) -> bytes:
    return request("POST", "/", b"x" * size)[: -size // 2]


class Store:
    """A handler that stands still until it is let go, and counts the requests that are with it."""

    def __init__(self) -> None:
        self.release = asyncio.Event()
        self.inside = 0

    async def __call__(self, it: Request) -> Response:
        self.inside += 1
        await self.release.wait()
        return Response(200, body=b"%d" % len(it.body))


@pytest.mark.parametrize("sent", [1, SMALL + 1_000])
async def test_uploads_that_never_end_keep_nobody_waiting(sent: int) -> None:
    """A whole save is answered while they are held, and so is one that comes in two parts; no octets, no memory."""
    memory, store = RequestMemory(200_000), Store()
    store.release.set()
    async with serving(store, memory=memory) as (server, port):
        holders = [Socket(port).send(request("POST", "/", b"x" * 900_000)[: sent - 900_000]) for _ in range(8)]
        held = 8 if sent > SMALL else 0
        await eventually(lambda: f" of {held} parts" in repr(memory) and " 8 connections" in repr(server))
        with Socket(port) as whole, Socket(port) as halves:
            whole.send(request("POST", "/", b"x" * 30_000))
            answers = [await blocking(whole.answer)]
            halves.send(half(36_000))
            await eventually(lambda: f" of {held + 1} parts" in repr(memory))
            halves.send(b"x" * 18_000)
            answers.append(await blocking(halves.answer))
        still_held = repr(memory)
        for holder in holders:
            holder.raw.close()
        await eventually(lambda: " 0 of 0 parts" in repr(memory))

    assert [answer.body for answer in answers] == [b"30000", b"36000"]
    assert f" of {held} parts" in still_held


@pytest.mark.parametrize("chunked", [False, True])
async def test_whole_requests_wait_for_those_before_them(chunked: bool) -> None:
    """Of ten large requests no more are with the store than there is memory for; in the end all are answered."""
    memory, store = RequestMemory(3 * BODY), Store()
    sent = request("POST", "/", b"x" * BODY)
    if chunked:
        head = b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
        sent = head + b"%x\r\n%b\r\n0\r\n\r\n" % (BODY, b"x" * BODY)
    async with serving(store, memory=memory) as (_, port):
        clients = [Socket(port).send(sent) for _ in range(5)]
        await eventually(lambda: store.inside == 3 and " 2 waiting" in repr(memory))
        store.release.set()
        answers = [(await blocking(client.answer)).body for client in clients]
        for client in clients:
            client.raw.close()

    assert answers == [b"%d" % BODY] * 5


async def test_beyond_what_may_wait_a_request_is_refused_with_the_option_to_change() -> None:
    """503 with the name of the flag, for a whole request and for one that is not; metrics see it too."""
    memory, store, noted = RequestMemory(BODY), Store(), []  # type: ignore[var-annotated]
    notes = [lambda request, response: noted.append((response.status, request.ended - request.began < 10))]
    async with serving(store, memory=memory, after=notes) as (_, port):
        inside = Socket(port).send(request("POST", "/", b"x" * BODY))
        await eventually(lambda: store.inside)
        waiting = Socket(port).send(request("POST", "/", b"x" * BODY))
        halves = [Socket(port).send(half()) for _ in range(3)]  # one goes on in any case
        await eventually(lambda: " 1 waiting" in repr(memory) and "of 3 parts" in repr(memory))
        with Socket(port) as whole, Socket(port) as unfinished:
            refused = [
                await blocking(whole.send(request("POST", "/", b"x" * BODY)).answer),
                await blocking(unfinished.send(half()).answer),
            ]
        for client in halves:
            client.raw.close()
        store.release.set()
        served = [(await blocking(client.answer)).code for client in (inside, waiting)]
        for client in (inside, waiting):
            client.raw.close()

    assert [(answer.code, answer.json["errorCode"]) for answer in refused] == [(503, "ERR_REQUEST_MEMORY")] * 2
    assert "--max-request-memory" in refused[0].json["message"]
    assert served == [200, 200]
    assert noted[:2] == [(503, True)] * 2


async def test_a_request_does_not_wait_for_memory_for_ever() -> None:
    """It is refused in the end, and its connection goes on."""
    memory, store = RequestMemory(BODY), Store()
    async with serving(store, memory=memory, timeouts=Timeouts(memory=0.1)) as (_, port):
        with Socket(port) as inside, Socket(port) as waiting:
            inside.send(request("POST", "/", b"x" * BODY))
            await eventually(lambda: store.inside)
            waiting.send(request("POST", "/", b"x" * BODY))
            refused = await blocking(waiting.answer)
            store.release.set()
            again = await blocking(waiting.send(request("GET", "/")).answer)

    assert (refused.code, again.code) == (503, 200)


async def test_an_upload_that_stands_still_makes_room_for_those_who_wait() -> None:
    """Alone it may take its time; with others behind it, its client is told that it took too long."""
    memory, store = RequestMemory(BODY), Store()
    store.release.set()
    async with serving(store, memory=memory) as (_, port):
        stuck = [Socket(port).send(half()) for _ in range(2)]
        await eventually(lambda: "of 2 parts" in repr(memory))
        with Socket(port) as other:
            other.send(half())
            ended = [(await blocking(client.answer)).code for client in stuck]
            other.send(b"x" * (BODY // 2))
            answer = await blocking(other.answer)
        for client in stuck:
            client.raw.close()

    assert ended == [408, 408]
    assert answer.body == b"%d" % BODY


async def test_a_client_that_goes_while_it_waits_leaves_nothing_behind() -> None:
    """Nor does one whose request is with the store: its memory comes back when the store is done."""
    memory, store = RequestMemory(BODY), Store()
    async with serving(store, memory=memory) as (server, port):
        inside = Socket(port).send(request("POST", "/", b"x" * BODY))
        await eventually(lambda: store.inside)
        inside.raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # a reset, not a half-close
        inside.raw.close()
        await eventually(lambda: " 0 connections" in repr(server))
        held = repr(memory)
        store.release.set()
        await eventually(lambda: repr(memory).startswith("<RequestMemory 0 of"))

    assert f"{BODY} of {BODY} taken by 1" in held


async def test_a_stop_answers_those_who_wait_for_memory() -> None:
    """They are told that nothing was done, unlike those whose request is under way."""
    memory, store = RequestMemory(BODY), Store()
    async with serving(store, memory=memory) as (server, port):
        with Socket(port) as inside, Socket(port) as waiting:
            inside.send(request("POST", "/", b"x" * BODY))
            await eventually(lambda: store.inside)
            waiting.send(request("POST", "/", b"x" * BODY))
            await eventually(lambda: " 1 waiting" in repr(memory))
            await server.stop(0.05)
            answers = [await blocking(client.answer) for client in (inside, waiting)]

    assert [answer.code for answer in answers] == [500, 503]


async def test_a_stop_does_not_wait_for_a_request_that_stands_still() -> None:
    """However long a body may rest otherwise, and the grace is: its client is told that it took too long."""
    memory, store = RequestMemory(), Store()
    async with serving(store, memory=memory, timeouts=Timeouts(body=1_000)) as (server, port):
        with Socket(port) as stuck:
            stuck.send(half())
            await eventually(lambda: "of 1 parts" in repr(memory))
            await server.stop(None)
            answer = await blocking(stuck.answer)

    assert answer.code == 408


async def test_a_stop_does_not_wait_for_a_stream_that_stands_still() -> None:
    """Over HTTP/2 neither; the other streams of the connection are answered."""
    memory, store = RequestMemory(), Store()
    store.release.set()
    async with serving(store, memory=memory, timeouts=Timeouts(body=1_000)) as (server, port):
        with Http2Client(port) as client:
            whole = client.send("POST", "/", "small")
            await blocking(client.answer, whole)
            stuck = client.open(head("POST", b"/", (b"content-length", b"1000000")), ended=False)
            client.h2.send_data(stuck, bytes(16_384))
            client.h2.send_data(stuck, bytes(16_384))
            client.flush()
            await eventually(lambda: "of 1 parts" in repr(memory))
            await server.stop(None)
            answer = await blocking(client.answer, stuck)

    assert answer.code == 408


async def test_requests_sent_ahead_of_an_answer_count_and_are_dropped_when_there_is_no_room() -> None:
    """The answer under way is the last one then, and says so; with room, all are answered."""

    async def sent_ahead(size: int) -> tuple[int, str | None]:
        memory, store = RequestMemory(size), Store()
        async with serving(store, memory=memory) as (_, port):
            with Socket(port) as client:
                client.send(request("GET", "/"))
                await eventually(lambda: store.inside)
                client.send(request("POST", "/", b"x" * SMALL) * 3)
                with Socket(port) as marker:  # its answer comes after what was sent before has been read
                    await blocking(marker.send(request("GET", "/", Expect="nothing")).answer)
                store.release.set()
                first = await blocking(client.answer)
                count = 1
                while first.header("Connection") is None and count < 4:
                    await blocking(client.answer)
                    count += 1
        return count, first.header("Connection")

    assert await sent_ahead(SMALL * 10) == (4, None)
    assert await sent_ahead(SMALL) == (1, "close")


async def test_who_became_whole_meanwhile_is_not_told_of_what_he_waited_for_before() -> None:
    """That a part may be read on is no leave to answer the whole, which has to wait for its own memory."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    first, other, part = (Caller(number, order) for number in range(1, 4))
    asked = [memory.ask(first, 90_000, 0), memory.arrive(other, 40_000, 0), memory.arrive(part, 40_000, 60_000)]
    asked.append(memory.ask(part, 50_000, 50_000))
    await settled()
    early = list(order)
    memory.give_back(first)
    await settled()

    assert asked == [True, True, False, False]
    assert (early, order) == ([], [3])


@pytest.mark.parametrize(
    ("body", "parts"),
    [
        (b"[" + b'{"key":"k"},' * 300_000 + b"]", JSON_PARTS),
        (b"\x0a\x01s" + b"\x12\x03\x0a\x01k" * 300_000, PROTOBUF_PARTS),
    ],
)
def test_many_items_weigh_what_they_are_when_they_are_decoded(body: bytes, parts: tuple[bytes, ...]) -> None:
    """300,000 items are let in alone, though their octets are an eighth of the account."""
    assert len(body) < DEFAULT_SIZE // 7
    assert weight(body, parts) > DEFAULT_SIZE


@pytest.mark.parametrize("body", [bytes(1 << 20), random.Random(1).randbytes(1 << 20), b"," * SMALL])
def test_what_is_one_value_weighs_its_octets(body: bytes) -> None:
    """Octets that are no items weigh no more than they are, and neither does what is small."""
    assert weight(body, PROTOBUF_PARTS) == weight(body, JSON_PARTS) == len(body)


def test_a_body_beyond_what_is_looked_at_is_taken_to_be_like_its_begin() -> None:
    """Twice as long is twice as heavy, however long it is."""
    body = b"{}," * (COUNTED // 3)

    assert weight(body * 4, JSON_PARTS) == pytest.approx(4 * weight(body, JSON_PARTS), rel=0.01)
