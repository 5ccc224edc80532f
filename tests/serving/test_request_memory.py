"""The account of request memory: what is let in, who waits, who is refused, and that all of it comes back."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.serving.answer_memory import LARGE_USE, CrowdedError
from dapr_state.serving.http.message import Response
from dapr_state.serving.request_memory import SMALL, RequestMemory
from dapr_state.serving.timeouts import Timeouts
from tests.serving.http.serving import blocking, serving
from tests.support.http import Socket, request
from tests.support.waiting import eventually

if TYPE_CHECKING:
    from dapr_state.serving.http.request import Request

SIZE = 100_000


class Caller:
    """A holder that writes down when it is let in."""

    def __init__(self, name: int, order: list[int]) -> None:
        self.name = name
        self.order = order

    def on_memory(self) -> None:
        self.order.append(self.name)


async def settled() -> None:
    """Until all that was to be called soon has been."""
    await asyncio.sleep(0)


async def test_first_come_is_first_served() -> None:
    """A small one does not pass a large one that waits."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    first, large, small = (Caller(number, order) for number in range(3))
    asked = [memory.ask(first, 60_000), memory.ask(large, 90_000), memory.ask(small, 20_000)]
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

    assert memory.ask(huge, SIZE * 10)
    assert not memory.ask(next_one, 1)
    memory.give_back(huge)
    await settled()
    assert order == [1]


async def test_what_waits_is_bounded() -> None:
    """Whoever would wait with more than there may be is refused, and costs nothing."""
    memory = RequestMemory(SIZE)
    callers = [Caller(number, []) for number in range(4)]
    memory.ask(callers[0], SIZE)
    memory.ask(callers[1], SIZE, here=SIZE // 2)
    memory.ask(callers[2], SIZE, here=SIZE // 2)

    with pytest.raises(CrowdedError):
        memory.ask(callers[3], SIZE)
    memory.give_back(callers[3])
    memory.give_back(callers[2])
    assert not memory.ask(callers[3], SIZE)


async def test_what_is_not_needed_comes_back_before_the_end() -> None:
    """A request of unknown length asks for the largest; once it is whole, the rest is for others."""
    memory, order = RequestMemory(SIZE), []  # type: ignore[var-annotated]
    unknown, waiting = Caller(0, order), Caller(1, order)
    memory.ask(unknown, SIZE)
    memory.ask(waiting, SIZE // 2)
    memory.shrink(unknown, SIZE // 4)
    await settled()

    assert order == [1]


async def test_the_end_of_a_large_use_is_told_once() -> None:
    """And that of a small one is not worth a word."""
    told: list[str] = []
    memory = RequestMemory(LARGE_USE * 4, lambda: told.append("empty"))
    caller = Caller(0, [])
    memory.ask(caller, SMALL)
    memory.give_back(caller)
    assert not told

    memory.ask(caller, LARGE_USE + 1)
    memory.give_back(caller)
    memory.give_back(caller)
    assert told == ["empty"]


STEPS = st.lists(st.tuples(st.integers(0, 7), st.integers(1, SIZE * 2), st.booleans()), max_size=60)


@given(STEPS)
def test_whatever_callers_do_everyone_is_served_in_order_and_all_comes_back(
    steps: list[tuple[int, int, bool]],
) -> None:
    """No more than the size is taken by several, those who wait are let in in the order in which they asked."""

    async def play() -> None:
        order: list[int] = []
        memory = RequestMemory(SIZE)
        callers = [Caller(number, order) for number in range(8)]
        inside: dict[int, int] = {}
        queue: dict[int, int] = {}
        for number, octets, asks in steps:
            if not asks:
                memory.give_back(callers[number])
                inside.pop(number, None)
                queue.pop(number, None)
            elif number not in inside and number not in queue:
                try:
                    (inside if memory.ask(callers[number], octets, here=octets // 8) else queue)[number] = octets
                except CrowdedError:
                    assert queue
            await settled()
            for entered in order:
                assert entered == next(iter(queue))
                inside[entered] = queue.pop(entered)
            order.clear()
            assert len(inside) <= 1 or sum(inside.values()) <= SIZE
            assert inside or not queue
        for caller in callers:
            memory.give_back(caller)
        await settled()
        assert repr(memory) == f"<RequestMemory 0 of {SIZE} taken by 0, 0 waiting, 0 kept>"

    asyncio.run(play())


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


async def test_uploads_that_never_end_do_not_keep_others_out_for_good() -> None:
    """They wait for their turn before they are read, and have it when the first are gone."""
    memory, store = RequestMemory(2 * BODY), Store()
    store.release.set()
    async with serving(store, memory=memory) as (_, port):
        stuck = [Socket(port).send(half()) for _ in range(2)]
        await eventually(lambda: "taken by 2" in repr(memory))
        with Socket(port) as later, Socket(port) as small:
            later.send(half())
            await eventually(lambda: " 1 waiting" in repr(memory))
            small.send(request("POST", "/", b"small"))
            passed = await blocking(small.answer)
            stuck[0].raw.close()
            later.send(b"x" * (BODY // 2))
            answer = await blocking(later.answer)
        stuck[1].raw.close()
        await eventually(lambda: "<RequestMemory 0 of" in repr(memory))

    assert (passed.body, answer.body) == (b"5", b"%d" % BODY)


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
    async with serving(store, memory=memory, notes=notes) as (_, port):
        inside = Socket(port).send(request("POST", "/", b"x" * BODY))
        await eventually(lambda: store.inside)
        waiting = Socket(port).send(request("POST", "/", b"x" * BODY))
        await eventually(lambda: " 1 waiting" in repr(memory))
        with Socket(port) as whole, Socket(port) as unfinished:
            refused = [
                await blocking(whole.send(request("POST", "/", b"x" * BODY)).answer),
                await blocking(unfinished.send(half()).answer),
            ]
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


async def test_an_upload_that_hardly_goes_on_makes_room_for_those_who_wait() -> None:
    """Alone it may take its time; with others behind it, it has to be worth its memory."""
    memory, store = RequestMemory(BODY), Store()
    store.release.set()
    times = Timeouts(body=0.2, slowest_body=5_000)
    async with serving(store, memory=memory, timeouts=times) as (_, port):
        with Socket(port) as slow, Socket(port) as other:
            slow.send(half())
            await eventually(lambda: "taken by 1" in repr(memory))
            other.send(request("POST", "/", b"x" * BODY))
            while " 1 waiting" in repr(memory):
                slow.send(b"x")
                await asyncio.sleep(0.05)
            answers = [await blocking(client.answer) for client in (slow, other)]

    assert [answer.code for answer in answers] == [408, 200]


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
    """They are told that they were interrupted, as those are whose request is under way."""
    memory, store = RequestMemory(BODY), Store()
    async with serving(store, memory=memory) as (server, port):
        with Socket(port) as inside, Socket(port) as waiting:
            inside.send(request("POST", "/", b"x" * BODY))
            await eventually(lambda: store.inside)
            waiting.send(request("POST", "/", b"x" * BODY))
            await eventually(lambda: " 1 waiting" in repr(memory))
            await server.stop(0.05)
            answers = [await blocking(client.answer) for client in (inside, waiting)]

    assert [answer.code for answer in answers] == [500, 500]


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
