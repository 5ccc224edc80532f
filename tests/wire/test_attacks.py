"""Every way to make a server of HTTP/2 work or hoard that an advisory has named, and where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from dapr_state.wire import frames
from dapr_state.wire.faults import ErrorCode
from dapr_state.wire.frames import END_HEADERS, FrameType, Setting
from dapr_state.wire.limits import Limits
from tests.wire.peer import HEADERS, Peer, data

if TYPE_CHECKING:
    from collections.abc import Callable

CALM = ErrorCode.ENHANCE_YOUR_CALM
FAR_TOO_OFTEN = 20_000


def until_it_ends(peer: Peer, octets: Callable[[int], bytes]) -> ErrorCode | None:
    """Send one thing after the other; the reason why the server put an end to it."""
    for number in range(FAR_TOO_OFTEN):
        peer.send(octets(number))
        if peer.connection.closed:
            return peer.ended()
        peer.received()
    return None


IDLE_FRAMES = {
    "SETTINGS (CVE-2019-9515)": frames.settings(((Setting.MAX_CONCURRENT_STREAMS, 1),)),
    "SETTINGS acknowledgements": frames.frame(FrameType.SETTINGS, frames.ACK, 0),
    "PING (CVE-2019-9512)": frames.ping(b"12345678"),
    "PING acknowledgements": frames.ping(b"12345678", frames.ACK),
    "PRIORITY (CVE-2019-9513)": frames.frame(FrameType.PRIORITY, 0, 3, bytes(5)),
    "empty DATA (CVE-2019-9518)": data(1),
    "padding only": frames.frame(FrameType.DATA, frames.PADDED, 1, bytes((3, 0, 0, 0))),
    "windows opened by crumbs (CVE-2019-9511)": frames.window_update(1, 1),
    "unknown types": frames.frame(0xFA, 0, 0, b"?"),
    "GOAWAY": frames.goaway(0, ErrorCode.NO_ERROR),
}


@pytest.mark.parametrize("octets", IDLE_FRAMES.values(), ids=IDLE_FRAMES)
def test_frames_that_carry_nothing_end_the_connection(octets: bytes) -> None:
    """A flood of frames that ask for nothing is cut off."""
    peer = Peer()
    peer.request(1)

    assert until_it_ends(peer, lambda _: octets) == CALM


@pytest.mark.parametrize("octets", IDLE_FRAMES.values(), ids=IDLE_FRAMES)
def test_the_same_frames_at_a_moderate_pace_are_welcome(octets: bytes) -> None:
    """Ten of them a second, for an hour, are no flood."""
    peer = Peer()
    peer.request(1)
    for _ in range(36_000):
        peer.time += 0.1
        peer.send(octets)
        peer.received()

    assert not peer.connection.closed


def test_rapid_reset_ends_the_connection() -> None:
    """Streams opened and reset at once, without end, are cut off (CVE-2023-44487)."""
    peer = Peer()

    def open_and_reset(number: int) -> bytes:
        stream_id = 2 * number + 1
        return peer.headers(stream_id, *HEADERS) + frames.rst_stream(stream_id, ErrorCode.CANCEL)

    assert until_it_ends(peer, open_and_reset) == CALM


MADE_YOU_RESET = {
    "a window opened by nothing": lambda stream_id: frames.window_update(stream_id, 0),
    "a window beyond its end": lambda stream_id: frames.window_update(stream_id, frames.MAX_WINDOW),
    "a PRIORITY of a wrong size": lambda stream_id: frames.frame(FrameType.PRIORITY, 0, stream_id, bytes(4)),
    "a dependency on itself": lambda stream_id: frames.frame(
        FrameType.PRIORITY, 0, stream_id, stream_id.to_bytes(4) + b"\0"
    ),
    "DATA after the end": lambda stream_id: data(stream_id, end=True) + data(stream_id, b"more"),
}


@pytest.mark.parametrize("provoke", MADE_YOU_RESET.values(), ids=MADE_YOU_RESET)
def test_made_you_reset_ends_the_connection(provoke: Callable[[int], bytes]) -> None:
    """Faults that make the server itself reset one stream after the other are cut off (CVE-2025-8671)."""
    peer = Peer()

    def open_and_provoke(number: int) -> bytes:
        return peer.headers(2 * number + 1, *HEADERS) + provoke(2 * number + 1)

    assert until_it_ends(peer, open_and_provoke) == CALM


def test_streams_beyond_the_limit_are_refused_and_then_cut_off() -> None:
    """A stream too many is refused, safe to try again; a client that goes on is cut off."""
    peer = Peer(Limits(max_concurrent_streams=2))
    peer.request(1)
    peer.request(3)
    peer.send(peer.headers(5, *HEADERS))
    refused = peer.received()[-1]

    assert (refused.kind, refused.stream_id, frames.word(refused.payload)) == (FrameType.RST_STREAM, 5, 7)
    assert len(peer.connection.streams) == 2
    assert until_it_ends(peer, lambda number: peer.headers(2 * number + 7, *HEADERS)) == CALM


@pytest.mark.parametrize("piece", [b"", b"\0", bytes(16_384)])
def test_a_header_block_without_end_is_cut_off(piece: bytes) -> None:
    """CONTINUATION frames that never end a block, empty or full, are cut off (CVE-2024-27316, CVE-2019-9518)."""
    peer = Peer()
    peer.send(frames.frame(FrameType.HEADERS, 0, 1, b"\x82"))

    assert until_it_ends(peer, lambda _: frames.frame(FrameType.CONTINUATION, 0, 1, piece)) == CALM


def test_a_header_list_that_unfolds_is_cut_off() -> None:
    """A small block that stands for a large list is refused while it is read (the HPACK bomb, CVE-2016-6581)."""
    peer = Peer()
    bomb = b"\x82\x86\x84" + b"\x40\x01b" + b"\x7f\x81\x1f" + b"v" * 4096 + b"\xbe" * 10_000
    peer.send(frames.frame(FrameType.HEADERS, END_HEADERS, 1, bomb))

    assert peer.ended() in {CALM, ErrorCode.COMPRESSION_ERROR}


def test_a_thousand_entries_of_one_table_are_cut_off() -> None:
    """An entry of nearly a table's size, referred to often enough, exceeds the list's size."""
    peer = Peer()
    value = "v" * 4000
    block = peer.encoder.encode([*HEADERS, *(("bomb", value),) * 100], huffman=False)
    peer.send(frames.frame(FrameType.HEADERS, END_HEADERS, 1, block))

    assert len(block) < 5000
    assert peer.ended() == CALM


@pytest.mark.parametrize("method", ["table updates", "new fields"])
def test_remembered_blocks_are_bounded(method: str) -> None:
    """A client whose every request is different makes the server remember no more than its share."""
    peer = Peer()
    for number in range(2_000):
        changing = f"{number:05}" if method == "new fields" else "x"
        peer.encoder.header_table_size = 4096 - number % 2
        block = peer.encoder.encode([*HEADERS, ("x", changing)], huffman=False)
        never_indexed = b"\0\x01y" + bytes((len(changing),)) + changing.encode()
        peer.send(frames.frame(FrameType.HEADERS, END_HEADERS, 2 * number + 1, block + never_indexed))
        peer.connection.reset(peer.connection.streams[2 * number + 1], ErrorCode.CANCEL)
        peer.received()

    assert len(peer.connection._headers._known) <= 256


@pytest.mark.parametrize("stream_id", [0, 1])
def test_a_window_beyond_its_end_is_an_error(stream_id: int) -> None:
    """A window above 2^31 - 1 costs the stream, or the connection when it is the connection's."""
    peer = Peer()
    stream = peer.request(1)
    peer.send(frames.window_update(stream_id, frames.MAX_WINDOW))
    last = peer.received()[-1]

    assert stream.gone
    assert frames.word(last.payload, 0 if stream_id else 4) == ErrorCode.FLOW_CONTROL_ERROR


def test_settings_cannot_push_a_window_beyond_its_end() -> None:
    """An initial window that makes an open stream's overflow ends the connection."""
    peer = Peer()
    peer.request(1)
    peer.send(frames.window_update(1, frames.MAX_WINDOW - frames.DEFAULT_WINDOW))
    peer.send(frames.settings(((Setting.INITIAL_WINDOW_SIZE, frames.DEFAULT_WINDOW + 1),)))

    assert peer.ended() == ErrorCode.FLOW_CONTROL_ERROR


def test_data_beyond_the_window_resets_the_stream() -> None:
    """A client that ignores a stream's window loses the stream."""
    peer = Peer()
    stream = peer.request(1)
    for _ in range(5):
        peer.send(data(1, bytes(16_384)))
    codes = [frames.word(frame.payload) for frame in peer.received() if frame.kind is FrameType.RST_STREAM]

    assert stream.gone
    assert codes[0] == ErrorCode.FLOW_CONTROL_ERROR


def test_what_waits_for_a_window_goes_with_its_stream() -> None:
    """Answers that a closed window holds are counted, and dropped when the client resets (CVE-2019-9517)."""
    peer = Peer()
    peer.send(frames.settings(((Setting.INITIAL_WINDOW_SIZE, 0),)))
    for number in range(100):
        stream = peer.request(2 * number + 1, end=True)
        peer.connection.send_data(stream, bytes(50_000))
    peer.received()
    waiting = peer.connection.backlog
    for number in range(100):
        peer.send(frames.rst_stream(2 * number + 1, ErrorCode.CANCEL))

    assert (waiting, peer.connection.backlog) == (5_000_000, 0)


def test_many_settings_in_one_frame_cost_one_pass() -> None:
    """Thousands of initial windows in a frame are applied once, however many streams are open."""
    peer = Peer()
    for number in range(100):
        peer.request(2 * number + 1)
    peer.send(frames.settings([(Setting.INITIAL_WINDOW_SIZE, number) for number in range(2000)]))

    assert {stream.send_window for stream in peer.connection.streams.values()} == {1999}
