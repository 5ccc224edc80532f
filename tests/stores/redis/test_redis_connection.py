"""The shared connection: order, cancelled callers, silence, limits; against a peer of raw bytes."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.stores.base import StoreError
from dapr_state.stores.redis import connection as module
from dapr_state.stores.redis.connection import ConnectionLost, ReplyError, Silence
from tests.stores.redis.peer import connected

if TYPE_CHECKING:
    from dapr_state.stores.redis.connection import Connection


LARGE = 10_000_000  # octets


def lost_connections() -> tuple[list[Connection], dict[str, Any]]:
    lost: list[Connection] = []
    return lost, {"on_lost": lost.append}


async def test_the_commands_of_a_tick_leave_in_one_write() -> None:
    """Three requests, one piece; each has its own replies."""
    async with connected() as (connection, peer):
        waiting = [connection.ask(b"<a>", 1), connection.ask(b"<b>", 2), connection.ask(b"<c>", 1)]
        await peer.read()
        peer.answer(b":1\r\n:2\r\n*2\r\n:3\r\n$-1\r\n$1\r\nx\r\n")

        assert await asyncio.gather(*waiting) == [[1], [2, [3, None]], [b"x"]]
        assert peer.received == [b"<a><b><c>"]


async def test_replies_may_come_in_any_pieces() -> None:
    """Byte by byte is as good as all at once."""
    async with connected() as (connection, peer):
        waiting = [connection.ask(b"<a>", 2), connection.ask(b"<b>", 1)]
        for byte in b"$3\r\nabc\r\n*1\r\n+OK\r\n-ERR no\r\n":
            peer.answer(bytes([byte]))
            await asyncio.sleep(0)
        first, (second,) = await asyncio.gather(*waiting)

    assert first == [b"abc", [b"OK"]]
    assert isinstance(second, ReplyError)
    assert str(second) == "ERR no"


async def test_a_cancelled_caller_does_not_shift_the_replies_of_others() -> None:
    """Cancelled before the write, or while the replies are half there: theirs are thrown away, the others' are not."""
    async with connected() as (connection, peer):
        early = connection.ask(b"<1>", 1)
        kept = connection.ask(b"<2>", 1)
        early.cancel()
        await peer.read()
        late = connection.ask(b"<3>", 2)
        last = connection.ask(b"<4>", 1)
        await peer.read()
        peer.answer(b":1\r\n:2\r\n:31\r\n")
        results = [await kept]
        late.cancel()
        peer.answer(b":32\r\n:4\r\n")
        results.append(await last)

    assert results == [[2], [4]]


async def test_callers_that_give_up_at_random_shift_nothing() -> None:
    """Two thousand requests, a third of them cancelled at some moment: every other one has its own reply."""
    dice = random.Random(5)
    async with connected() as (connection, peer):
        waiting = []
        for number in range(2000):
            waiting.append(connection.ask(b"<%d>" % number, 1))
            if dice.random() < 0.05:
                await asyncio.sleep(0)
            if dice.random() < 0.33:
                dice.choice(waiting).cancel()
        peer.answer(b"".join(b":%d\r\n" % number for number in range(2000)))
        await asyncio.wait(waiting)

    kept = {number: future.result() for number, future in enumerate(waiting) if not future.cancelled()}
    assert 1000 < len(kept) < 2000
    assert kept == {number: [number] for number in kept}


async def test_a_server_that_hangs_up_fails_all_that_wait() -> None:
    """Each gets an error of its own, and later commands are refused."""
    lost, listener = lost_connections()
    async with connected(**listener) as (connection, peer):
        waiting = [connection.ask(b"<a>", 1), connection.ask(b"<b>", 1)]
        await peer.read()
        peer.answer(b":1\r\n")
        peer.hang_up()
        first, second = await asyncio.gather(*waiting, return_exceptions=True)
        with pytest.raises(ConnectionLost, match="lost"):
            connection.ask(b"<c>", 1)

    assert first == [1]
    assert isinstance(second, ConnectionLost)
    assert lost == [connection]


@pytest.mark.parametrize("nonsense", [b"HTTP/1.1 400 Bad Request\r\n", b":1\r\n:2\r\n"])
async def test_a_peer_that_breaks_the_protocol_is_left(nonsense: bytes) -> None:
    """No Redis at all, or one reply too many: who knows whose replies these are."""
    async with connected() as (connection, peer):
        waiting = connection.ask(b"<a>", 1)
        await peer.read()
        peer.answer(nonsense)
        await asyncio.wait([waiting])
        await peer.ended()

        assert "broke the protocol" in str(connection.lost)


async def test_silence_fails_all_that_wait_and_a_late_reply_finds_nobody() -> None:
    """After the read timeout the connection is given up, with the address in the reason."""
    async with connected(read_timeout=0.1) as (connection, peer):
        waiting = [connection.ask(b"<a>", 1), connection.ask(b"<b>", 1)]
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        peer.answer(b":1\r\n:2\r\n")
        await peer.ended()

    assert [type(outcome) for outcome in outcomes] == [Silence, Silence]
    assert f"{outcomes[0]}".startswith("redis at 127.0.0.1:")
    assert "read timeout after 0.1s" in str(outcomes[0])


async def test_a_server_that_is_slow_but_answers_is_waited_for() -> None:
    """Ten replies at half the read timeout each are no silence, and neither is a connection that nobody uses."""
    async with connected(read_timeout=0.2) as (connection, peer):
        waiting = [connection.ask(b"<%d>" % number, 1) for number in range(10)]
        loop = asyncio.get_running_loop()
        for number in range(10):
            loop.call_later(0.1 * number, peer.answer, b":%d\r\n" % number)
        outcomes = await asyncio.gather(*waiting)

        assert outcomes == [[number] for number in range(10)]
        assert connection.lost is None


async def test_a_server_that_does_not_read_is_given_up() -> None:
    """What cannot be written within the write timeout fails."""
    async with connected(write_timeout=0.1) as (connection, _):
        waiting = connection.ask(b"x" * 32 * 1024 * 1024, 1)

        with pytest.raises(Silence, match=r"write timeout after 0\.1s"):
            await waiting


async def test_too_many_who_wait_are_refused_and_the_others_are_served() -> None:
    """The bound is an error that names the server, and nothing of the refused command is sent."""
    async with connected(max_waiting=3) as (connection, peer):
        waiting = [connection.ask(b"<%d>" % number, 1) for number in range(3)]
        with pytest.raises(StoreError, match=r"too many requests wait for redis at 127.0.0.1:\d+: 3"):
            connection.ask(b"<x>", 1)
        await peer.read()
        peer.answer(b":0\r\n:1\r\n:2\r\n")
        outcomes = await asyncio.gather(*waiting)
        after = connection.ask(b"<3>", 1)
        await peer.read()
        peer.answer(b":3\r\n")

        assert [*outcomes, await after] == [[0], [1], [2], [3]]
        assert peer.received == [b"<0><1><2>", b"<3>"]


async def test_bytes_for_a_server_that_does_not_read_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait here up to the limit; when the server reads on, all that was accepted arrives."""
    monkeypatch.setattr(module, "MAX_UNSENT", 1024)
    async with connected() as (connection, peer):
        accepted = [connection.ask(b"x" * 16 * 1024 * 1024, 1)]
        await asyncio.sleep(0)  # the write is tried at the end of the tick
        await asyncio.sleep(0)
        assert repr(connection).endswith("paused, 1 waiting>")
        accepted += [connection.ask(b"y" * 1000, 1), connection.ask(b"y" * 1000, 1)]
        with pytest.raises(StoreError, match="too many requests wait for redis"):
            connection.ask(b"y" * 1000, 1)
        total = 16 * 1024 * 1024 + 2 * 1000
        while sum(map(len, peer.received)) < total:
            await peer.read()
        peer.answer(b"+OK\r\n" * len(accepted))

        assert await asyncio.gather(*accepted) == [[b"OK"]] * len(accepted)


async def test_closing_waits_for_those_who_wait() -> None:
    """The replies that come in time are delivered; then nobody is served."""
    async with connected() as (connection, peer):
        waiting = connection.ask(b"<a>", 1)
        await peer.read()
        closing = asyncio.create_task(connection.close(5))
        await asyncio.sleep(0)
        peer.answer(b":1\r\n")
        await closing

        assert await waiting == [1]
        with pytest.raises(ConnectionLost, match="closed"):
            connection.ask(b"<b>", 1)


async def test_closing_answers_those_whose_replies_do_not_come() -> None:
    """Patience ends, and the caller is told."""
    async with connected() as (connection, peer):
        waiting = connection.ask(b"<a>", 1)
        await peer.read()
        await connection.close(0.05)

        with pytest.raises(ConnectionLost, match="closed"):
            await waiting


async def test_a_large_answer_comes_over_many_turns() -> None:
    """Others have theirs in between: a turn of the event loop takes what is read at once, and no more."""
    async with connected() as (connection, peer):
        answer = connection.ask(b"<a>", 1)
        await peer.read()
        peer.answer(b"$%d\r\n%b\r\n" % (LARGE, bytes(LARGE)))
        turns = [connection.received]
        while not answer.done():
            await asyncio.sleep(0)
            turns.append(connection.received)

        assert [len(reply) for reply in await answer] == [LARGE]
        assert max(after - before for before, after in pairwise(turns)) <= 256 * 1024
