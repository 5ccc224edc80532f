"""What a connection makes of frames: the tables walked row by row, flow control both ways, and its end."""

from __future__ import annotations

import itertools

import pytest

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.events import ConnectionFailed, DataReceived, Drained, RequestReceived, StreamReset
from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode
from dapr_state.wire.http2.frames import END_HEADERS, END_STREAM, FrameType, Scope, Setting
from dapr_state.wire.http2.limits import Limits
from dapr_state.wire.http2.stream import STRAYS, State
from tests.wire.http2.peer import HEADERS, Frame, Peer, data


def test_a_request_that_comes_whole_is_one_event() -> None:
    """HEADERS and the one DATA that ends the stream, read together, are a request with its content."""
    peer = Peer()
    peer.send(peer.headers(1, *HEADERS) + data(1, b"hello", end=True))
    (opened,) = peer.events

    assert opened == RequestReceived(opened.stream, ended=True, data=b"hello")
    assert opened.stream.request.path == b"/a/b"


def test_a_request_whose_content_comes_later_is_open_until_then() -> None:
    """Also where the content is cut into frames that are read together with the head."""
    peer = Peer()
    peer.send(peer.headers(1, *HEADERS) + data(1, b"hel") + data(1, b"lo", end=True))
    opened, *pieces = peer.events

    assert opened == RequestReceived(opened.stream, ended=False)
    assert pieces == [DataReceived(opened.stream, b"hel", ended=False), DataReceived(opened.stream, b"lo", ended=True)]


@pytest.mark.parametrize("size", [1, 2, 7, 9, 10, 100])
def test_octets_may_come_in_pieces(size: int) -> None:
    """However the octets are cut, one request is opened, with the same content, and ended once."""
    peer = Peer(greet=False)
    octets = frames.PREFACE + frames.settings(()) + peer.headers(1, *HEADERS) + data(1, b"hello", end=True)
    events = []
    for start in range(0, len(octets), size):
        events += peer.send(octets[start : start + size])

    assert isinstance(events[0], RequestReceived)
    assert b"".join(event.data for event in events) == b"hello"
    assert [event.ended for event in events].count(True) == 1


def test_what_is_not_http2_is_told_so() -> None:
    """A client of HTTP/1.1 gets a GOAWAY, and the end."""
    peer = Peer(greet=False)
    peer.send(b"GET / HTTP/1.1\r\n\r\n")

    assert [type(event) for event in peer.events] == [ConnectionFailed]
    assert peer.ended() == ErrorCode.PROTOCOL_ERROR


def test_an_answer_is_three_frames() -> None:
    """Headers, data and trailers; the last ends the stream, which is forgotten."""
    peer = Peer()
    stream = peer.request(1, end=True)
    peer.connection.send_answer(stream, b"\x88", b"body", b"\x88")

    assert peer.received() == [
        Frame(FrameType.HEADERS, END_HEADERS, 1, b"\x88"),
        Frame(FrameType.DATA, 0, 1, b"body"),
        Frame(FrameType.HEADERS, END_HEADERS | END_STREAM, 1, b"\x88"),
    ]
    assert peer.connection.streams == {}


def test_an_answer_before_the_end_of_the_request_gives_the_stream_up() -> None:
    """The rest of a request that is answered already is not wanted, and ignored when it comes."""
    peer = Peer()
    stream = peer.request(1)
    peer.connection.send_answer(stream, b"\x88", b"body", b"\x88")
    last = peer.received()[-1]

    assert last == Frame(FrameType.RST_STREAM, 0, 1, bytes(4))
    assert peer.send(data(1, b"late")) == []
    assert peer.received() == []


def in_state(state: State) -> tuple[Peer, int]:
    """A connection, and the number of a stream that is in this state."""
    peer = Peer()
    match state:
        case State.IDLE:
            return peer, 2
        case State.HALF_CLOSED:
            peer.request(1, end=True)
        case State.ENDED:
            peer.connection.send_trailers(peer.request(1, end=True), b"\x88")
        case State.RESET:
            peer.connection.reset(peer.request(1), ErrorCode.CANCEL)
        case State.SKIPPED:
            peer.request(3)
    peer.received()
    return peer, 1


PAYLOADS = {FrameType.RST_STREAM: bytes(4), FrameType.WINDOW_UPDATE: b"\0\0\x10\0", FrameType.DATA: b"x"}


@pytest.mark.parametrize(("kind", "state"), [(kind, state) for kind in STRAYS for state in STRAYS[kind]])
def test_a_frame_that_is_not_expected(kind: FrameType, state: State) -> None:
    """Each row of the table of strays is what the connection does."""
    peer, stream_id = in_state(state)
    is_headers = kind is FrameType.HEADERS
    peer.send(peer.headers(stream_id, *HEADERS) if is_headers else frames.frame(kind, 0, stream_id, PAYLOADS[kind]))
    sent = peer.received()
    verdict = STRAYS[kind][state]
    resets = [frames.word(frame.payload) for frame in sent if frame.kind is FrameType.RST_STREAM]
    ends = [frames.word(frame.payload, 4) for frame in sent if frame.kind is FrameType.GOAWAY]

    if verdict is None:
        assert (resets, ends) == ([], [])
    elif verdict[0] is ConnectionFault:
        assert ends == [verdict[1]]
    else:
        assert (resets, ends) == ([verdict[1]], [])


SIZES = [
    (kind, stream_id, size)
    for kind, shape in frames.SHAPES.items()
    if kind not in {FrameType.DATA, FrameType.HEADERS, FrameType.CONTINUATION, FrameType.PUSH_PROMISE}
    for stream_id, size in itertools.product((0, 1), {shape.least - 1, shape.least + 1, shape.most + 1})
    if 0 <= size <= frames.MAX_FRAME_SIZE
    and not (shape.least <= size <= shape.most and size % shape.step == 0)
    and shape.scope is not (Scope.CONNECTION if stream_id else Scope.STREAM)
]


@pytest.mark.parametrize(("kind", "stream_id", "size"), SIZES)
def test_a_frame_of_a_wrong_size_is_an_error(kind: FrameType, stream_id: int, size: int) -> None:
    """Each row of the table of shapes is held."""
    peer = Peer()
    peer.request(1)
    peer.received()
    peer.send(frames.frame(kind, 0, stream_id, bytes(size)))
    codes = {frames.word(frame.payload, 4 * (frame.kind is FrameType.GOAWAY)) for frame in peer.received()}

    assert codes == {ErrorCode.FRAME_SIZE_ERROR}


@pytest.mark.parametrize("kind", [kind for kind, shape in frames.SHAPES.items() if shape.scope is not Scope.EITHER])
def test_a_frame_about_the_wrong_thing_is_an_error(kind: FrameType) -> None:
    """A frame of a stream on stream 0, and the reverse, end the connection."""
    peer = Peer()
    peer.request(1)
    shape = frames.SHAPES[kind]
    peer.send(frames.frame(kind, END_HEADERS, 0 if shape.scope is Scope.STREAM else 1, bytes(shape.least)))

    assert peer.ended() == ErrorCode.PROTOCOL_ERROR


def test_data_waits_for_the_windows() -> None:
    """No more is sent than both windows allow, and the rest as they open."""
    peer = Peer()
    stream = peer.request(1, end=True)
    body = bytes(range(256)) * 512
    sent = peer.connection.send_data(stream, body)
    peer.connection.send_trailers(stream, b"\x88")
    first = content(peer)
    peer.send(frames.window_update(1, 200_000))
    nothing = content(peer)
    peer.send(frames.window_update(0, 200_000))
    rest = content(peer)

    assert not sent
    assert (len(first), nothing, first + rest) == (frames.DEFAULT_WINDOW, b"", body)
    assert stream.gone


def test_a_stream_hears_when_all_is_sent() -> None:
    """What had to wait ends with an event."""
    peer = Peer()
    stream = peer.request(1, end=True)
    peer.connection.send_data(stream, bytes(100_000))
    content(peer)
    peer.send(frames.window_update(1, 100_000) + frames.window_update(0, 100_000))
    content(peer)

    assert peer.connection.take_events() == [Drained(stream)]


def test_streams_share_a_window_in_turns() -> None:
    """One large answer does not keep the others waiting until it is complete."""
    peer = Peer()
    streams = [peer.request(number, end=True) for number in (1, 3, 5)]
    for stream in streams:
        peer.connection.send_data(stream, bytes(100_000))
    content(peer)
    for stream in streams:
        peer.send(frames.window_update(stream.id, 100_000))
    peer.send(frames.window_update(0, 90_000))
    served = [frame.stream_id for frame in peer.received() if frame.kind is FrameType.DATA]

    assert set(served[:3]) == {1, 3, 5}


def test_a_smaller_initial_window_is_kept() -> None:
    """A window that the peer makes smaller may be below zero, and must be opened to above it."""
    peer = Peer()
    stream = peer.request(1, end=True)
    peer.connection.send_data(stream, bytes(50_000))
    content(peer)
    peer.send(frames.settings(((Setting.INITIAL_WINDOW_SIZE, 10),)))
    peer.connection.send_data(stream, b"waits")
    below = (stream.send_window, content(peer))
    peer.send(frames.window_update(1, 65_535))

    assert below == (10 - frames.DEFAULT_WINDOW + 15_535, b"")
    assert content(peer) == b"waits"


def test_the_connections_window_is_renewed() -> None:
    """A client that sends much, on streams with room, is never stopped by the connection's window."""
    peer = Peer()
    opened = 0
    for number in range(200):
        peer.request(2 * number + 1)
        peer.send(data(2 * number + 1, bytes(16_384), end=True))
        opened += sum(frames.word(frame.payload) for frame in peer.received() if frame.stream_id == 0)

    assert opened >= 200 * 16_384 - Limits().connection_window // 2


def test_unread_messages_keep_the_window_closed() -> None:
    """A stream whose messages nobody takes may not send more than its window."""
    peer = Peer()
    stream = peer.request(1)
    peer.send(b"".join(data(1, bytes(15_000)) for _ in range(4)))
    peer.connection.open_window(stream, unread=60_000)
    closed = updates(peer)
    peer.connection.open_window(stream)

    assert closed == {}
    assert updates(peer) == {1: 60_000}


def test_a_shutdown_waits_for_what_is_on_its_way() -> None:
    """After the first GOAWAY streams are still served; after the second they are refused, and the open ones go on."""
    peer = Peer()
    peer.connection.announce_shutdown()
    announced, ping = peer.received()
    peer.request(1)
    peer.send(frames.ping(ping.payload, frames.ACK))
    (final,) = peer.received()
    peer.send(peer.headers(3, *HEADERS))
    (refused,) = peer.received()

    assert frames.word(announced.payload) == frames.MAX_WINDOW
    assert (final.kind, frames.word(final.payload)) == (FrameType.GOAWAY, 1)
    assert (refused.stream_id, frames.word(refused.payload)) == (3, ErrorCode.REFUSED_STREAM)
    assert list(peer.connection.streams) == [1]


def test_a_reset_by_the_peer_is_an_event() -> None:
    """The layer above hears that a request need not be done, and why."""
    peer = Peer()
    stream = peer.request(1)

    assert peer.send(frames.rst_stream(1, ErrorCode.CANCEL)) == [StreamReset(stream, ErrorCode.CANCEL)]


def test_long_headers_leave_in_several_frames() -> None:
    """A block larger than a frame is continued."""
    peer = Peer()
    stream = peer.request(1, end=True)
    peer.connection.send_headers(stream, bytes(40_000))
    sent = peer.received()

    assert [(frame.kind, frame.flags, len(frame.payload)) for frame in sent] == [
        (FrameType.HEADERS, 0, 16_384),
        (FrameType.CONTINUATION, 0, 16_384),
        (FrameType.CONTINUATION, END_HEADERS, 7_232),
    ]


def test_trailers_end_a_request() -> None:
    """A request may end with headers; what they say is nobody's concern."""
    peer = Peer()
    stream = peer.request(1)
    peer.send(peer.headers(1, ("x-checksum", "1"), end=True))

    assert peer.events == [DataReceived(stream, b"", ended=True)]


def test_a_connection_that_failed_hears_nothing_more() -> None:
    """After its end neither octets nor answers have an effect."""
    peer = Peer()
    stream = peer.request(1)
    peer.send(frames.window_update(0, 0))
    peer.received()
    peer.connection.send_answer(stream, b"\x88", b"body", b"\x88")

    assert peer.send(peer.headers(3, *HEADERS)) == []
    assert peer.received() == []


def content(peer: Peer) -> bytes:
    return b"".join(frame.payload for frame in peer.received() if frame.kind is FrameType.DATA)


def updates(peer: Peer) -> dict[int, int]:
    """The windows that the server has opened: stream → octets."""
    opened = [frame for frame in peer.received() if frame.kind is FrameType.WINDOW_UPDATE]
    return {frame.stream_id: frames.word(frame.payload) for frame in opened}


@pytest.mark.parametrize("window", [frames.DEFAULT_WINDOW, frames.DEFAULT_WINDOW + 1, frames.MAX_WINDOW])
def test_the_connection_s_window_is_what_the_limits_say(window: int) -> None:
    """A server that allows no more than HTTP/2 begins with says nothing; else it opens the difference."""
    peer = Peer(Limits(connection_window=window), greet=False)
    opened = [frames.word(frame.payload) for frame in peer.received() if frame.kind is FrameType.WINDOW_UPDATE]

    assert opened == [window - frames.DEFAULT_WINDOW] * (window > frames.DEFAULT_WINDOW)


@pytest.mark.parametrize("window", [0, frames.DEFAULT_WINDOW - 1, frames.MAX_WINDOW + 1])
def test_a_connection_s_window_that_cannot_be_announced_is_refused(window: int) -> None:
    """HTTP/2 cannot make the first window smaller, nor any larger than 2^31 - 1."""
    with pytest.raises(ValueError, match="connection_window"):
        Limits(connection_window=window)
