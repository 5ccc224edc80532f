"""Random frames and random octets: nothing escapes, nothing hangs, memory stays within its bounds."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from dapr_state.wire import grpc as framing
from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.events import DataReceived, RequestReceived
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import FrameType
from dapr_state.wire.http2.limits import Limits
from tests.wire.http2.peer import HEADERS, Peer, data

SMALL = Limits(
    max_concurrent_streams=4,
    max_header_list_size=2_000,
    connection_window=200_000,
    idle_frames=200,
    resets=50,
)
STREAMS = st.integers(0, 15)
NUMBERS = st.sampled_from([0, 1, 2, 5, 1000, 65_535, 65_536, 2**31 - 1, 2**32 - 1])
FIELDS = st.lists(
    st.tuples(
        st.sampled_from(
            [":method", ":path", ":scheme", ":status", "te", "content-length", "x", "X", "connection", "x-bin", ""]
        ),
        st.sampled_from(["", "POST", "/a/b", "http", "trailers", "5", "0", "x" * 500, "a\0b", " x "]),
    ),
    max_size=6,
)

any_frame = st.builds(
    frames.frame,
    st.integers(0, 11),
    st.integers(0, 255),
    STREAMS,
    st.one_of(st.binary(max_size=40), st.sampled_from([bytes(size) for size in (0, 4, 5, 6, 8, 16_384)])),
)
setting = st.tuples(st.integers(0, 7), NUMBERS)
likely = st.one_of(
    st.tuples(st.just("open"), STREAMS, st.booleans(), st.one_of(st.just(list(HEADERS)), FIELDS)),
    st.tuples(st.just("data"), STREAMS, st.booleans(), st.sampled_from([b"", b"x", b"\0\0\0\0\1x", bytes(16_384)])),
    st.tuples(st.just("window"), STREAMS, NUMBERS),
    st.tuples(st.just("reset"), STREAMS),
    st.tuples(st.just("settings"), st.lists(setting, max_size=3)),
    st.tuples(st.just("raw"), any_frame),
    st.tuples(st.just("cut"), any_frame, st.integers(1, 40)),
    # what the layer above does in between
    st.tuples(st.just("answer"), st.sampled_from([0, 100, 100_000])),
    st.tuples(st.just("stream"), st.sampled_from([1, 100_000])),
    st.tuples(st.just("want"), st.integers(0, 100_000)),
    st.tuples(st.just("give up")),
    st.tuples(st.just("shut down")),
    st.tuples(st.just("write")),
)


def octets(peer: Peer, step: tuple[Any, ...]) -> bytes:
    """The octets that the client sends in this step, if it is one of the client's."""
    kind, *words = step
    made = {
        "open": lambda stream_id, end, fields: peer.headers(stream_id, *fields, end=end),
        "data": lambda stream_id, end, payload: data(stream_id, payload, end=end),
        "window": frames.window_update,
        "reset": lambda stream_id: frames.rst_stream(stream_id, ErrorCode.CANCEL),
        "settings": frames.settings,
        "raw": bytes,
        "cut": lambda frame, size: frame[:size],
    }.get(kind)
    return made(*words) if made else b""  # type: ignore[operator] # each takes its own words


def act(peer: Peer, step: tuple[Any, ...]) -> None:
    """Do what the layer above might: with a stream that is open, if there is one."""
    connection = peer.connection
    stream = next(iter(connection.streams.values()), None)
    match step:
        case ("write",):
            peer.received()
        case ("shut down",):
            connection.announce_shutdown()
        case ("answer", size) if stream:
            connection.send_answer(stream, b"\x88", bytes(size), b"\x88")
        case ("stream", size) if stream:
            connection.send_data(stream, bytes(size))
        case ("want", unread) if stream:
            connection.open_window(stream, unread)
        case ("give up",) if stream:
            connection.reset(stream, ErrorCode.CANCEL)


@settings(max_examples=300, deadline=None)
@given(st.lists(likely, max_size=60))
def test_no_conversation_breaks_the_connection(steps: list[tuple[Any, ...]]) -> None:
    """Whatever both sides do, the state stays whole: frames come out, streams and queues are within their bounds."""
    peer = Peer(SMALL)
    connection = peer.connection
    received = 0
    for step in steps:
        for event in peer.send(octets(peer, step)):
            received += len(event.data) if isinstance(event, DataReceived | RequestReceived) else 0
            assert not isinstance(event, RequestReceived) or event.stream.id & 1
        act(peer, step)

        assert len(connection.streams) <= SMALL.max_concurrent_streams
        assert connection._queued == sum(stream.queued for stream in connection.streams.values())
        assert len(connection._unread) < frames.PREFIX_SIZE + frames.MAX_FRAME_SIZE
        assert all(stream.receive_window >= 0 for stream in connection.streams.values())
    peer.received()

    assert connection._send_window >= 0


@settings(max_examples=200, deadline=None)
@given(st.lists(likely, max_size=40), st.integers(1, 12))
def test_turns_change_nothing_but_when(steps: list[tuple[Any, ...]], turn: int) -> None:
    """What is read in many turns amounts to the same events and answers as what is read in one."""
    writer = Peer(SMALL)  # whose encoder makes the octets; each of the others reads all of them at once
    burst = b"".join(octets(writer, step) for step in steps)
    at_once, in_turns = Peer(replace(SMALL, turn=1_000_000)), Peer(replace(SMALL, turn=turn))
    expected = [described(event) for event in at_once.send(burst)]
    found = [described(event) for event in in_turns.send(burst)]
    while in_turns.connection.is_behind:
        found += [described(event) for event in in_turns.send(b"")]

    # a request and its content are one event when they are read together
    assert merged(found) == merged(expected)
    assert in_turns.received() == at_once.received()


def described(event: Any) -> list[Any]:
    content = getattr(event, "data", b""), getattr(event, "ended", None)
    stream = getattr(event, "stream", None)
    return [type(event).__name__, stream.id if stream else None, *content]


def merged(events: list[list[Any]]) -> list[list[Any]]:
    """With the content of a request that came whole in its own event."""
    found: list[list[Any]] = []
    for event in events:
        last = found[-1] if found else [""]
        is_its_end = [last[0], event[0], event[3]] == ["RequestReceived", "DataReceived", True] and last[1] == event[1]
        if is_its_end and not last[3]:
            last[2:] = event[2:]
        else:
            found.append(list(event))
    return found


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=100), max_size=20), st.booleans())
def test_no_octets_break_the_connection(pieces: list[bytes], greeted: bool) -> None:
    """Random octets, before and after the preface, end in events and a GOAWAY, never in an exception."""
    peer = Peer(SMALL, greet=greeted)
    for piece in pieces:
        peer.send(piece)

    peer.received()


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=50), max_size=8), st.lists(st.integers(1, 20), min_size=1, max_size=10))
def test_messages_are_found_however_they_are_cut(bodies: list[bytes], cuts: list[int]) -> None:
    """Messages come out as they went in, whatever the sizes of the DATA frames, and `missing` tells what lacks."""
    octets_left = b"".join(framing.message(body) for body in bodies)
    messages = framing.Messages(1000, None)
    found = []
    position = 0
    while octets_left:
        size = cuts[position % len(cuts)]
        found += messages.feed(octets_left[:size])
        octets_left = octets_left[size:]
        position += 1

    assert found == bodies
    assert messages.missing == 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=10))
def test_no_octets_break_the_reader_of_messages(pieces: list[bytes]) -> None:
    """Random octets are messages or a refusal; never more than the limit is kept."""
    messages = framing.Messages(100, framing.ENCODINGS[b"gzip"])
    for piece in pieces:
        try:
            found = messages.feed(piece)
        except framing.Refused:
            return

        assert all(len(message) <= 100 for message in found)
        assert len(messages._buffer) <= 105


@given(st.text())
def test_details_survive_their_encoding(details: str) -> None:
    """A status text of any characters comes back, and travels as printable ASCII."""
    encoded = framing.percent_encoded(details)

    assert framing.percent_decoded(encoded) == details.encode("utf-8", "replace").decode("utf-8")
    assert all(32 <= octet < 127 for octet in encoded)
    assert encoded.strip(b" ") == encoded


def test_frame_types_have_names() -> None:
    """Every type has a shape."""
    assert set(frames.SHAPES) == set(FrameType)
