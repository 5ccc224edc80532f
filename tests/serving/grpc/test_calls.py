"""Calls of all four kinds by Python's C-core client: messages, metadata, status, deadlines, cancellation."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from dapr_state.wire import grpc as framing
from dapr_state.wire.http2.frames import FrameType
from tests.serving.grpc.raw import RawClient
from tests.serving.grpc.server import Server, path
from tests.support.waiting import until

if TYPE_CHECKING:
    from pathlib import Path

LIMIT = 4 * 1024 * 1024
TIMEOUT = 30


def call(channel: grpc.Channel, method: str, request: bytes = b"", **more: Any) -> bytes:
    return channel.unary_unary(path(method))(request, timeout=more.pop("timeout", TIMEOUT), **more)


def refused(channel: grpc.Channel, method: str, request: bytes = b"", **more: Any) -> tuple[str, str]:
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, method, request, **more)
    return raised.value.code().name, raised.value.details()


@pytest.mark.parametrize("method", ["echo", "later", "plain"])
@pytest.mark.parametrize("size", [0, 1, 100, 16_379, 16_384, 70_000, LIMIT])
def test_a_unary_call_answers_with_the_message(channel: grpc.Channel, method: str, size: int) -> None:
    """A message of any size comes back as it was, whether the servicer waited for something or not."""
    message = b"m" * size

    assert call(channel, method, message) == message


def test_metadata_travels_both_ways(channel: grpc.Channel) -> None:
    """A servicer sees the client's metadata, binary included, and the client its initial and trailing metadata."""
    sent = (("key", "value"), ("key", "again"), ("key-bin", b"\0\xff"))
    answer, done = channel.unary_unary(path("metadata")).with_call(b"", metadata=sent, timeout=TIMEOUT)
    seen = json.loads(answer)
    custom = [pair for pair in seen["metadata"] if pair[0].startswith("key")]

    assert custom == [["key", "value"], ["key", "again"], ["key-bin", [0, 255]]]
    assert [name for name, _ in seen["metadata"] if name in {"te", "content-type", "grpc-timeout"}] == []
    assert seen["peer"].startswith("ipv4:127.0.0.1:")
    assert 0 < seen["left"] < TIMEOUT + 1  # the C core rounds up, to a tenth of a second
    assert dict(done.initial_metadata()) == {"first": "1", "first-bin": b"\0\1"}
    assert dict(done.trailing_metadata()) == {"last": "2", "last-bin": b"\xff\xfe"}


def test_an_abort_arrives_with_code_text_and_metadata(channel: grpc.Channel) -> None:
    """The text of a status may hold any character, and details travel with it."""
    text = "größer als 100 %\n\ttail"
    with pytest.raises(grpc.RpcError) as raised:
        call(channel, "abort", text.encode())
    error = raised.value

    assert (error.code(), error.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)
    assert dict(error.trailing_metadata()) == {"why-bin": b"details"}


def test_a_code_that_was_set_is_the_status(channel: grpc.Channel) -> None:
    """A servicer that sets a code and returns has failed with it."""
    assert refused(channel, "coded") == ("NOT_FOUND", "not here")


def test_an_exception_is_unknown(channel: grpc.Channel) -> None:
    """What a servicer raises by mistake is UNKNOWN, with grpc.aio's text."""
    assert refused(channel, "fail") == ("UNKNOWN", "Unexpected <class 'ValueError'>: broken")


@pytest.mark.parametrize("when", [b"first", b"last"])
def test_metadata_that_cannot_be_sent_is_the_servicers_error(channel: grpc.Channel, when: bytes) -> None:
    """It fails that call alone, with the reason."""
    code, text = refused(channel, "unsendable", when)

    assert code == "UNKNOWN"
    assert "cannot be sent" in text


def test_an_unreadable_message_is_internal(channel: grpc.Channel) -> None:
    """A message that the deserializer refuses is answered with daprd's text."""
    text = "grpc: error unmarshalling request: proto: cannot parse invalid wire-format data"

    assert refused(channel, "parsed", b"x") == ("INTERNAL", text)


def test_an_unknown_method_is_unimplemented(channel: grpc.Channel) -> None:
    """A method nobody serves is UNIMPLEMENTED."""
    assert refused(channel, "nope")[0] == "UNIMPLEMENTED"


def test_a_request_beyond_the_limit_is_refused(channel: grpc.Channel) -> None:
    """A message longer than the limit is refused with both numbers, and the connection goes on."""
    text = f"grpc: received message larger than max ({LIMIT + 1} vs. {LIMIT})"

    assert refused(channel, "echo", b"m" * (LIMIT + 1)) == ("RESOURCE_EXHAUSTED", text)
    assert call(channel, "echo", b"still") == b"still"


def test_an_answer_beyond_the_limit_is_refused(tmp_path: Path) -> None:
    """An answer longer than the limit is not sent; the status has both numbers."""
    with Server(tmp_path, grpc__max_send_message_length=1024) as server, server.channel() as channel:
        text = "grpc: trying to send message larger than max (1025 vs. 1024)"

        assert call(channel, "sized", b"1024") == b"x" * 1024
        assert refused(channel, "sized", b"1025") == ("RESOURCE_EXHAUSTED", text)


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
def test_compressed_requests_are_read(channel: grpc.Channel, compression: grpc.Compression) -> None:
    """A request may come compressed."""
    message = b"m" * 100_000

    assert call(channel, "echo", message, compression=compression) == message


def test_compressed_messages_of_a_stream_are_read(channel: grpc.Channel) -> None:
    """Each is made plain when the servicer asks for it, also where several of its tasks ask."""
    messages = [b"%d" % number * 100_000 for number in range(5)]
    share = channel.stream_stream(path("share"))

    answers = share(iter(messages), compression=grpc.Compression.Gzip, timeout=TIMEOUT)
    assert sorted(answers) == messages


def test_a_compressed_bomb_is_refused(channel: grpc.Channel) -> None:
    """A message that would be too long once decompressed is refused, though few octets came."""
    code, text = refused(channel, "echo", b"\0" * (LIMIT + 1), compression=grpc.Compression.Gzip)

    assert code == "RESOURCE_EXHAUSTED"
    assert text.startswith("grpc: received message after decompression larger than max")


def test_a_deadline_ends_the_call_and_its_servicer(channel: grpc.Channel) -> None:
    """When the time is up the servicer is cancelled, and the status says so."""
    assert refused(channel, "hang", b"deadline", timeout=0.2)[0] == "DEADLINE_EXCEEDED"
    until(lambda: any(each.startswith("deadline") for each in json.loads(call(channel, "report"))))


def test_a_cancelled_call_cancels_its_servicer(channel: grpc.Channel) -> None:
    """A client that gives up ends the servicer's work."""
    future = channel.unary_unary(path("hang")).future(b"cancel")
    call(channel, "echo")
    future.cancel()

    assert until(lambda: [each for each in json.loads(call(channel, "report")) if each.startswith("cancel ")]) == [
        "cancel True True"
    ]


def test_a_lost_connection_cancels_its_calls(server: Server, channel: grpc.Channel) -> None:
    """Calls of a client that has gone away are cancelled."""
    with server.channel() as lost:
        future = lost.unary_unary(path("hang")).future(b"lost")
        call(lost, "echo")
    assert future.cancelled() or future.done()

    assert until(lambda: [each for each in json.loads(call(channel, "report")) if each.startswith("lost ")])


def test_asyncio_finds_a_task_from_the_first_line(channel: grpc.Channel) -> None:
    """Timeouts, task groups and wait_for work in a servicer before and after it first waits."""
    assert call(channel, "tasks") == b"timeout group wait_for same"


def test_context_variables_stay_with_their_call(channel: grpc.Channel) -> None:
    """What one call sets, the next does not see."""
    assert [call(channel, "context_variable") for _ in range(2)] == [b"clean dirty"] * 2


@pytest.mark.parametrize("method", ["count", "write"])
def test_an_answer_may_be_a_stream(channel: grpc.Channel, method: str) -> None:
    """A generator's messages, or those a coroutine writes, arrive in order."""
    answers = channel.unary_stream(path(method))(b"500", timeout=TIMEOUT)

    assert list(answers) == [b"%d" % number for number in range(500)]


def test_a_long_stream_waits_for_its_reader(channel: grpc.Channel) -> None:
    """A stream much larger than the windows arrives whole."""
    answers = channel.unary_stream(path("many"))(b"5000", timeout=TIMEOUT)

    assert [int(answer) for answer in answers] == list(range(5000))


def test_a_stream_may_end_with_an_error(channel: grpc.Channel) -> None:
    """What was sent before the error arrives."""
    answers = channel.unary_stream(path("half"))(b"", timeout=TIMEOUT)
    first = next(answers)
    with pytest.raises(grpc.RpcError) as raised:
        next(answers)

    assert (first, raised.value.details()) == (b"one", "the rest is lost")


def test_a_request_may_be_a_stream(channel: grpc.Channel) -> None:
    """All messages of a streaming request arrive, small and large."""
    sizes = [0, 1, 70_000, 3, LIMIT] + [1000] * 500
    answer = channel.stream_unary(path("total"))((b"m" * size for size in sizes), timeout=TIMEOUT)

    assert int(answer) == sum(sizes)


def test_an_answer_may_come_before_the_request_ends(channel: grpc.Channel) -> None:
    """A servicer need not read all; the client hears the answer at once."""
    answer = channel.stream_unary(path("early"))((b"%d" % number for number in range(100_000)), timeout=TIMEOUT)

    assert answer == b"0"


@pytest.mark.parametrize("method", ["chat", "read"])
def test_both_sides_may_stream(channel: grpc.Channel, method: str) -> None:
    """Each message is answered before the next is sent."""
    sent = [b"a", b"b" * 100_000, b"", b"c"]
    answers = channel.stream_stream(path(method))(iter(sent), timeout=TIMEOUT)

    assert list(answers) == sent


@pytest.mark.parametrize("writers", [1, 2, 5])
def test_several_tasks_of_a_servicer_may_write(channel: grpc.Channel, writers: int) -> None:
    """Each of them waits until the client has taken its message, and none for ever."""
    answers = list(channel.unary_stream(path("together"))(b"%d" % writers, timeout=TIMEOUT))

    assert sorted(answers) == [b"%d" % number * 100_000 for number in range(writers)]


def test_several_tasks_of_a_servicer_may_read(channel: grpc.Channel) -> None:
    """Each message goes to one of them, and the end of the requests to all."""
    sent = [b"%d" % number for number in range(20)]

    assert sorted(channel.stream_stream(path("share"))(iter(sent), timeout=TIMEOUT)) == sorted(sent)


async def test_a_thousand_calls_in_parallel(server: Server) -> None:
    """A thousand streams of one connection are all answered, with their own messages."""
    async with server.aio_channel() as channel:
        echo = channel.unary_unary(path("later"))
        answers = await asyncio.gather(*(echo(b"%d" % number, timeout=TIMEOUT) for number in range(1000)))

    assert answers == [b"%d" % number for number in range(1000)]


async def test_a_thousand_open_streams_are_cancelled_together(server: Server) -> None:
    """A client may hold a thousand calls and give all of them up, and go on."""
    async with server.aio_channel() as channel:
        chats = [channel.stream_stream(path("chat"))(timeout=TIMEOUT) for _ in range(900)]
        await asyncio.gather(*(chat.write(b"hello") for chat in chats))
        hellos = await asyncio.gather(*(chat.read() for chat in chats))
        for chat in chats:
            chat.cancel()

        assert hellos == [b"hello"] * 900
        assert await channel.unary_unary(path("echo"))(b"on", timeout=TIMEOUT) == b"on"


async def test_large_messages_in_parallel(server: Server) -> None:
    """More large messages at once than one connection has room for arrive one after the other."""
    async with server.aio_channel() as channel:
        total = channel.stream_unary(path("total"))
        answers = await asyncio.gather(*(total(iter([b"m" * LIMIT]), timeout=TIMEOUT * 2) for _ in range(24)))

    assert [int(answer) for answer in answers] == [LIMIT] * 24


def test_health_runs_unchanged(channel: grpc.Channel) -> None:
    """grpcio-health-checking's servicer answers a check and a watch."""
    stub = health_pb2_grpc.HealthStub(channel)  # type: ignore[no-untyped-call]
    watch = stub.Watch(health_pb2.HealthCheckRequest(), timeout=TIMEOUT)

    assert stub.Check(health_pb2.HealthCheckRequest()).status == health_pb2.HealthCheckResponse.SERVING
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    watch.cancel()


def test_reflection_runs_unchanged(channel: grpc.Channel) -> None:
    """grpcio-reflection's servicer lists the services."""
    assert "test.Probe" in ProtoReflectionDescriptorDatabase(channel).get_services()


@pytest.mark.parametrize(("method", "expected"), [("total", b"7"), ("chat", b"message")])
def test_a_streaming_request_that_comes_in_one_piece_is_read(server: Server, method: str, expected: bytes) -> None:
    """The end of a stream that arrives with its beginning does not hide the messages between them."""
    with RawClient(server.port) as client:
        client.socket.sendall(client.request(method, b"message"))
        answer = client.until(FrameType.DATA)

    assert answer is not None
    assert answer[3] == framing.message(expected)
