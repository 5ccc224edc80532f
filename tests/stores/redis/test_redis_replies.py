"""Replies match commands: whatever happens, who asks gets what he asked for, or an error, and never another's."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, cast

import hiredis
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dapr_state.stores.base import StoreError
from dapr_state.stores.model import StoredValue, Upsert
from dapr_state.stores.redis import grouping as module
from dapr_state.stores.redis.connection import Connection, ConnectionLost
from dapr_state.stores.redis.grouping import Grouping
from tests.stores.redis.conftest import opened, values
from tests.stores.redis.peer import connected
from tests.support.redis import RedisServer

if TYPE_CHECKING:
    from pathlib import Path

UNPACKABLE = "\ud800"  # no text in any encoding: packing it raises
LIMIT = 6  # callers that may wait, in the model
READING = 2  # keys that are read at one time at first: the other readers are held


class Wire:
    """A transport and the server behind it, which answers when it is told to, and as badly as it is told to."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.commands: deque[list[bytes]] = deque()
        self.ended = False
        self._reader = hiredis.Reader()  # commands look like replies
        connection.connection_made(cast("asyncio.BaseTransport", self))

    def write(self, data: bytes) -> None:
        self._reader.feed(data)
        while (command := self._reader.gets()) is not False:
            self.commands.append(command)

    def abort(self) -> None:
        self.ended = True

    def serve(self, count: int, fault: str = "") -> None:
        """Answer so many commands, the first of them with a fault."""
        answers = b""
        for _ in range(min(count, len(self.commands))):
            answer = self.answer(self.commands.popleft())
            answers += {"": answer, "lost": b"", "twice": answer * 2, "error": b"-ERR no\r\n", "shape": b"+OK\r\n"}[
                fault
            ]
            fault = ""
        if answers and not self.ended:
            self.connection.data_received(answers)

    def answer(self, command: list[bytes]) -> bytes:
        match command[0]:
            case b"HMGET":
                return b"*2\r\n$%d\r\n%b\r\n$1\r\n1\r\n" % (len(command[1]), command[1])
            case b"PEXPIRETIME":
                return b":-1\r\n"
            case b"ECHO":
                return b"$%d\r\n%b\r\n" % (len(command[1]), command[1])
            case _:  # the script refuses each operation with its key, so that its caller can be told by it
                keys = command[3 : 3 + int(command[2])]
                triples = [b":%d\r\n$6\r\nfailed\r\n$%d\r\n%b\r\n" % (at + 1, len(k), k) for at, k in enumerate(keys)]
                return b"*%d\r\n%b" % (3 * len(keys), b"".join(triples))


KEYS = st.sampled_from(["a", "bb", "ccc", "dddd", UNPACKABLE])
READ = st.tuples(st.just("read"), st.lists(KEYS, min_size=1, max_size=3))
WRITE = st.tuples(st.just("write"), st.lists(KEYS, min_size=1, max_size=3))
CANCEL = st.tuples(st.just("cancel"), st.integers(0, 30))
TICK = st.tuples(st.just("tick"), st.none())
SERVE = st.tuples(st.just("serve"), st.integers(1, 30))
FAULT = st.tuples(st.sampled_from(["lost", "twice", "error", "shape"]), st.integers(1, 12))
LOSE = st.tuples(st.just("lose"), st.none())
CROWD = st.tuples(st.just("crowd"), st.none())
FAIR = st.lists(st.one_of(READ, WRITE, CROWD, CANCEL, TICK, SERVE), max_size=60)
FOUL = st.lists(st.one_of(READ, WRITE, CROWD, CANCEL, TICK, SERVE, SERVE, FAULT, LOSE), max_size=60)


class Run:
    """Callers of one connection, and what became of each."""

    def __init__(self) -> None:
        self.connection = Connection("peer")
        self.wire = Wire(self.connection)
        self.grouping = Grouping(self.connection)
        self.calls: list[tuple[str, list[str], asyncio.Future[Any]]] = []

    async def do(self, step: str, what: Any) -> None:
        match step:
            case "read" | "write":
                self.calls.append((step, what, self.ask(step, what)))
            case "cancel" if self.calls:
                self.calls[what % len(self.calls)][2].cancel()
            case "crowd":  # more than may wait, in several ticks
                for _ in range(LIMIT + 2):
                    self.calls.append(("read", ["a"], self.ask("read", ["a"])))
                    await asyncio.sleep(0)
            case "tick":
                await asyncio.sleep(0)
            case "serve":
                self.wire.serve(what)
            case "lose":
                self.connection.connection_lost(None)
            case "lost" | "twice" | "error" | "shape":
                self.wire.serve(what, step)

    def ask(self, step: str, keys: list[str]) -> asyncio.Future[Any]:
        try:
            if step == "read":
                return self.grouping.read(keys)
            return self.grouping.write([Upsert(key, b"") for key in keys])
        except StoreError as error:
            refused: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
            refused.set_exception(error)
            return refused

    async def end(self) -> list[tuple[str, list[str], Any]]:
        """Each call with its outcome, when nobody waits any more."""
        for _ in range(3 * LIMIT):  # a script may have to be sent again, and readers may be held for others
            await asyncio.sleep(0)
            self.wire.serve(len(self.wire.commands))
        if self.grouping.waiting.callers:
            self.connection.abort(ConnectionLost("silent"))  # a reply was kept back: the read timeout would end it
        assert all(answer.done() for *_, answer in self.calls), "somebody waits for ever"
        assert (self.grouping.waiting.callers, self.grouping.waiting.octets) == (0, 0)
        outcomes = await asyncio.gather(*(answer for *_, answer in self.calls), return_exceptions=True)
        return [(step, what, outcome) for (step, what, _), outcome in zip(self.calls, outcomes, strict=True)]


async def run(steps: list[tuple[str, Any]]) -> tuple[list[tuple[str, list[str], Any]], Connection]:
    it = Run()
    for step, what in steps:
        await it.do(step, what)
    return await it.end(), it.connection


def is_own(step: str, keys: list[str], outcome: Any) -> bool:
    """Whether the outcome is that of this call."""
    if isinstance(outcome, StoreError | asyncio.CancelledError):
        return True
    if step == "read":
        own = [StoredValue(key.encode(), "1") for key in keys if key != UNPACKABLE]
        return (
            len(outcome) == len(keys)
            and all(isinstance(o, StoreError) or o in own for o in outcome)
            and [o.value.decode() for o in outcome if isinstance(o, StoredValue)]
            == [key for key, o in zip(keys, outcome, strict=True) if isinstance(o, StoredValue)]
        )
    return [str(each) for each in outcome] == [f"failed to set key {key}: {key}" for key in keys]


@settings(max_examples=400, deadline=None)
@given(steps=FAIR)
@example([("crowd", None), ("serve", 30), ("write", ["a"]), ("tick", None), ("serve", 30), ("read", ["bb"])])
def test_everyone_is_answered_with_his_own(steps: list[tuple[str, Any]]) -> None:
    """Too many, given up, or impossible to send: the others have their own answers, on a connection that stays."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CALLERS_AT_MOST", LIMIT)
        patch.setattr(module, "_READING_AT_FIRST", READING)
        calls, connection = asyncio.run(run(steps))

    assert connection.lost is None
    assert [call for call in calls if not is_own(*call)] == []
    errors = {str(outcome).partition(":")[0] for *_, outcome in calls if isinstance(outcome, StoreError)}
    assert errors <= {"too many requests wait for redis", "the request cannot be sent to the store"}
    cannot = [keys for _, keys, outcome in calls if "cannot be sent" in str(outcome)]
    assert all(UNPACKABLE in keys for keys in cannot)


@settings(max_examples=400, deadline=None)
@given(steps=FOUL)
def test_a_server_that_loses_doubles_or_changes_replies_deceives_nobody(steps: list[tuple[str, Any]]) -> None:
    """Whatever it does between two marks, what is handed out is the caller's own, and everyone is answered."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "CALLERS_AT_MOST", LIMIT)
        patch.setattr(module, "_READING_AT_FIRST", READING)
        calls, _ = asyncio.run(run(steps))

    assert [call for call in calls if not is_own(*call)] == []


async def test_after_too_many_have_waited_every_read_answers_its_own_key(own_redis: RedisServer) -> None:
    """The real limit, a real server that stands still, and callers in many ticks."""
    async with opened(own_redis.address, readTimeout="60s") as store:
        await store.write([Upsert(f"{number}", b"%d" % number) for number in range(1000)])
        own_redis.pause()
        crowd = []
        for number in range(40_000):
            crowd.append(asyncio.ensure_future(store.get([f"{number % 1000}"])))
            if number % 500 == 0:
                await asyncio.sleep(0)
        await asyncio.wait(crowd, return_when=asyncio.FIRST_COMPLETED)  # the first that is refused
        own_redis.resume()
        outcomes = await asyncio.gather(*crowd, return_exceptions=True)
        await store.write([Upsert("k", b"v")])
        later = [values(await store.get([f"{number}"])) for number in range(1000)]

    refused = [outcome for outcome in outcomes if isinstance(outcome, StoreError)]
    assert {str(error).partition(":")[0] for error in refused} == {"too many requests wait for redis"}
    assert len(refused) == 40_000 - module.CALLERS_AT_MOST
    answered = [(n % 1000, outcome) for n, outcome in enumerate(outcomes) if not isinstance(outcome, BaseException)]
    assert [(n, values(outcome)) for n, outcome in answered] == [(n, [b"%d" % n]) for n, _ in answered]
    assert later == [[b"%d" % number] for number in range(1000)]


@pytest.mark.parametrize(
    "answer",
    [
        b":1\r\n:2\r\n$8\r\n00000001\r\n",  # one too many
        b"$8\r\n00000001\r\n$8\r\n00000002\r\n",  # one too few
        b":1\r\n$8\r\n00000002\r\n",  # another's
        b":1\r\n-ERR no\r\n",
    ],
)
async def test_replies_without_their_mark_reach_nobody(answer: bytes) -> None:
    """The connection ends, and all who wait on it are told why."""
    async with connected(marks=True) as (connection, peer):
        waiting = [connection.ask(b"<a>", 1), connection.ask(b"<b>", 1)]
        await peer.read()
        peer.answer(answer)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        await peer.ended()

    assert [type(outcome) for outcome in outcomes] == [ConnectionLost] * 2
    assert "its replies are not those of the commands" in str(outcomes[0])


@pytest.mark.parametrize(
    "answer", [b":-1\r\n*2\r\n$1\r\nv\r\n$1\r\n1\r\n", b"*1\r\n$1\r\nv\r\n:-1\r\n", b"+OK\r\n+OK\r\n"]
)
async def test_replies_of_another_shape_reach_nobody(answer: bytes) -> None:
    """Also where the server does no ECHO: fields and an expiry in their order, or the connection ends."""
    async with connected() as (connection, peer):
        grouping = Grouping(connection)
        first = grouping.read(["a"])
        grouping.flush()
        waiting = [first, connection.ask(b"<b>", 1)]
        await peer.read()
        peer.answer(answer)
        outcomes = await asyncio.gather(*waiting, return_exceptions=True)
        await peer.ended()

    assert [type(outcome) for outcome in outcomes] == [ConnectionLost] * 2
    assert "of another kind than was asked for" in str(outcomes[0])


async def test_nothing_to_ask_is_not_asked() -> None:
    """A batch without commands would take the replies of the next."""
    async with connected() as (connection, peer):
        with pytest.raises(ValueError, match="without a command"):
            connection.ask(b"", 0)
        waiting = connection.ask(b"<a>", 1)
        await peer.read()
        peer.answer(b":1\r\n")

        assert await waiting == [1]


async def test_a_user_without_echo_is_served(tmp_path: Path) -> None:
    """The right is asked for when the connection is made; without it numbers and shapes are what is checked."""
    with RedisServer(tmp_path) as server:
        with server.client() as client:
            client.execute_command("ACL", "SETUSER", "u", "on", ">p", "~*", "+@all", "-echo")
        async with opened(server.address, redisUsername="u", redisPassword="p") as store:
            assert await store.write([Upsert("k", b"v")]) == [None]
            assert await store.get(["k"]) == [StoredValue(b"v", "1")]
