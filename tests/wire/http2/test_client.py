"""The client's side of a connection: whatever a server says, it is an event, and no exception."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.client import FIRST_STREAMS, ClientConnection
from dapr_state.wire.http2.events import ConnectionFailed, DataReceived, HeadReceived, StreamReset
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import END_HEADERS, END_STREAM, FrameType, Setting
from dapr_state.wire.http2.limits import Limits

OK = b"\x88"  # :status 200, from the static table

PAYLOADS = st.one_of(
    st.binary(max_size=40),
    st.sampled_from([OK, b"\0\0\0\1", b"\0\0\0\0", b"\0" * 5, b"\0" * 8, b"\x7f\xff\xff\xff", b"x" * 16_384]),
)
FRAMES = st.builds(
    frames.frame,
    st.integers(0, 11),
    st.sampled_from([0, 1, 4, 5, 8, 9, 13, 32, 36, 45, 255]),
    st.sampled_from([0, 1, 2, 3, 5, 99, 2**31 - 1]),
    PAYLOADS,
)


def begun(streams: int = 2) -> ClientConnection:
    connection = ClientConnection(Limits())
    connection.receive(frames.settings(()), 0.0)
    for number in range(streams):
        connection.open(b"", b"body" if number else None)
    connection.take_output()
    return connection


@given(st.lists(FRAMES, max_size=30), st.integers(1, 50))
@settings(max_examples=300, deadline=None)
def test_nothing_that_a_server_says_breaks_it(said: list[bytes], size: int) -> None:
    """Each stream ends once at most, and nothing happens after the end of the connection."""
    connection = begun()
    octets, ended, is_over = b"".join(said), [], False
    for start in range(0, len(octets), size * 100):
        events = connection.receive(octets[start : start + size * 100], 0.0)
        assert not (is_over and events)
        for event in events:
            is_over = is_over or isinstance(event, ConnectionFailed)
            if isinstance(event, StreamReset) or (isinstance(event, HeadReceived | DataReceived) and event.ended):
                ended.append(event.stream.id)
        connection.take_output()

    assert len(ended) == len({*ended})
    assert is_over == connection.closed


@given(st.binary(max_size=400))
@settings(max_examples=200, deadline=None)
def test_octets_that_are_no_http2_end_the_connection(said: bytes) -> None:
    """Or are waited for to go on; what was opened is not lost without a word."""
    connection = ClientConnection(Limits())
    events = connection.receive(said, 0.0)

    assert connection.closed == any(isinstance(event, ConnectionFailed) for event in events)
    assert connection.closed or not connection.refusing


def test_an_answer_comes_in_its_parts() -> None:
    """Head, data and trailers, and the stream is gone."""
    connection = begun(2)
    said = frames.header_frames(3, OK, 0) + frames.frame(FrameType.DATA, 0, 3, b"data")
    events = connection.receive(said + frames.header_frames(3, OK, END_STREAM), 0.0)

    assert [type(event) for event in events] == [HeadReceived, DataReceived, HeadReceived]
    assert [event.ended for event in events] == [False, False, True]  # type: ignore[union-attr]  # they all have it
    assert [*connection.streams] == [1]


def test_an_answer_before_the_request_is_whole_ends_that() -> None:
    """The rest is not wanted."""
    connection = begun(1)
    connection.receive(frames.header_frames(1, OK, END_STREAM), 0.0)

    assert connection.streams == {}
    assert connection.take_output() == frames.rst_stream(1, ErrorCode.CANCEL)


def test_a_head_in_pieces_is_one() -> None:
    """And nothing may come in between."""
    pieces = [frames.frame(FrameType.HEADERS, 0, 3, OK), frames.frame(FrameType.CONTINUATION, END_HEADERS, 3, OK)]
    whole = begun(2).receive(b"".join(pieces), 0.0)
    broken = begun(2).receive(frames.ping(b"\0" * 8).join(pieces), 0.0)

    assert [type(event) for event in whole] == [HeadReceived]
    assert [type(event) for event in broken] == [ConnectionFailed]


def test_a_head_without_end_is_not_kept() -> None:
    """The connection ends as soon as it is longer than any may be."""
    connection = begun(2)
    connection.receive(frames.frame(FrameType.HEADERS, 0, 3, b"\0" * 16_384), 0.0)
    piece = frames.frame(FrameType.CONTINUATION, 0, 3, b"\0" * 16_384)
    count = 0
    while not connection.closed:
        connection.receive(piece, 0.0)
        count += 1

    assert count * 16_384 <= Limits().longest_list


def test_streams_are_opened_as_the_server_allows() -> None:
    """A hundred until it has said how many, and then so many."""
    connection = ClientConnection(Limits())
    while connection.can_open:
        connection.open(b"")
    before = len(connection.streams)
    connection.receive(frames.settings(((Setting.MAX_CONCURRENT_STREAMS, 3),)), 0.0)
    narrowed = connection.can_open
    connection.receive(frames.settings(((Setting.MAX_CONCURRENT_STREAMS, FIRST_STREAMS + 1),)), 0.0)

    assert before == FIRST_STREAMS
    assert (narrowed, connection.can_open) == (False, True)


def test_a_long_request_waits_for_the_windows() -> None:
    """All of it leaves, in its order, as they are opened."""
    connection = begun(0)
    connection.open(b"", bytes(range(256)) * 400)
    sent = b""
    for _ in range(10):
        sent += connection.take_output()
        connection.receive(frames.window_update(0, 20_000) + frames.window_update(1, 20_000), 0.0)
    found, data = [], b""
    while sent:
        size, flags = int.from_bytes(sent[:3]), sent[4]
        found.append((sent[3], flags))
        data += sent[9 : 9 + size] if sent[3] == FrameType.DATA else b""
        sent = sent[9 + size :]

    assert data == bytes(range(256)) * 400
    assert found[-1] == (FrameType.DATA, END_STREAM)


@pytest.mark.parametrize(
    "said",
    [
        frames.ping(b"\0" * 8),
        frames.ping(b"\0" * 8, frames.ACK),
        frames.settings(()),
        frames.window_update(0, 1),
        frames.window_update(3, 1),
        frames.goaway(3, ErrorCode.NO_ERROR),
        frames.frame(99, 0, 0),
        frames.frame(FrameType.DATA, 0, 3),
        frames.header_frames(1, OK, 0),
        frames.header_frames(3, b"\x08\x03100", 0),
        frames.rst_stream(1, ErrorCode.CANCEL),
    ],
    ids=[
        "pings",
        "answers",
        "settings",
        "windows",
        "windows of one",
        "goaways",
        "unknown",
        "empty",
        "gone",
        "1xx",
        "resets",
    ],
)
def test_frames_that_carry_nothing_have_an_allowance(said: bytes) -> None:
    """A burst and some each second, and then the connection ends; work that is asked for earns more."""
    limits = Limits()
    slow, fast = begun(2), begun(2)
    fast.receive(frames.rst_stream(1, ErrorCode.CANCEL), 0.0)
    slow.receive(frames.rst_stream(1, ErrorCode.CANCEL), 0.0)
    for second in range(10 * limits.idle_frames // limits.idle_frames_per_second):
        slow.receive(said * limits.idle_frames_per_second, float(second))
    fast.receive(said * (limits.idle_frames + 50), 0.0)
    while fast.is_behind:
        fast.receive(b"", 0.0)

    assert (slow.closed, fast.closed) == (False, True)


def test_a_turn_has_so_much_work_and_no_more() -> None:
    """Whatever the frames are: heads of many fields, windows of many streams, or long ones."""
    head = b"".join(b"\x00\x04%04d\x01a" % number for number in range(60))
    heads = b"".join(frames.header_frames(1, b"\x00\x04%04d\x01a" % number + head, 0) for number in range(500))
    settings_ = b"".join(frames.settings(((Setting.INITIAL_WINDOW_SIZE, number),)) for number in range(100))
    long = frames.frame(FrameType.DATA, 0, 3, b"x" * 16_000) * 3
    turns = {}
    for name, said, streams in ("heads", heads, 2), ("windows", settings_, 3_000), ("long", long * 10, 2):
        connection = begun(streams)
        connection.receive(said, 0.0)
        turns[name] = 1
        while connection.is_behind:
            connection.receive(b"", 0.0)
            turns[name] += 1

    assert turns["heads"] >= 20
    assert turns["windows"] >= 10
    assert turns["long"] >= 3
