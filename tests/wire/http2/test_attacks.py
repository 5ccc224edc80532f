"""Every way to make a server of HTTP/2 work or hoard that an advisory has named, and where it ends."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hpack
import pytest

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import END_HEADERS, END_STREAM, FrameType, Setting
from dapr_state.wire.http2.headers import HeadMemory
from dapr_state.wire.http2.limits import Limits
from tests.wire.http2.peer import HEADERS, Peer, data

if TYPE_CHECKING:
    from collections.abc import Callable

CALM = ErrorCode.ENHANCE_YOUR_CALM
FAR_TOO_OFTEN = 20_000
ENDED, RESET = 5_001, 5_003


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
    "windows opened by 1,024": frames.window_update(1, 1_024),
    "the connection's window opened by 1,024": frames.window_update(0, 1_024),
    "unknown types": frames.frame(0xFA, 0, 0, b"?"),
    "GOAWAY": frames.goaway(0, ErrorCode.NO_ERROR),
    "HEADERS of a reset stream": frames.frame(FrameType.HEADERS, END_HEADERS, RESET, b"\x82"),
    "HEADERS of a reset stream, in pieces": frames.frame(FrameType.HEADERS, 0, RESET, b"\x82")
    + frames.frame(FrameType.CONTINUATION, END_HEADERS, RESET, b"\x82"),
    "DATA of a reset stream": data(RESET, b"x"),
    "windows of a reset stream": frames.window_update(RESET, 65_535),
    "resets of a reset stream": frames.rst_stream(RESET, ErrorCode.CANCEL),
    "windows of a stream that has ended": frames.window_update(ENDED, 65_535),
    "resets of a stream that has ended": frames.rst_stream(ENDED, ErrorCode.CANCEL),
    "DATA of a stream that has ended": data(ENDED, b"x"),
}


def with_streams_in_all_states() -> Peer:
    """Stream 1 is open, one is reset by the server, one answered, and the numbers have a thousand gaps."""
    peer = Peer()
    peer.request(1)
    for stream_id in range(5, 5_000, 4):
        peer.time += 1
        peer.connection.send_trailers(peer.request(stream_id, end=True), b"\x88")
    peer.request(ENDED, end=True)
    peer.connection.send_trailers(peer.connection.streams[ENDED], b"\x88")
    peer.connection.reset(peer.request(RESET), ErrorCode.CANCEL)
    peer.received()
    return peer


@pytest.mark.parametrize("octets", IDLE_FRAMES.values(), ids=IDLE_FRAMES)
def test_frames_that_carry_nothing_end_the_connection(octets: bytes) -> None:
    """A flood of frames that ask for nothing is cut off, whatever they name."""
    peer = with_streams_in_all_states()

    assert until_it_ends(peer, lambda _: octets) == CALM


@pytest.mark.parametrize("octets", IDLE_FRAMES.values(), ids=IDLE_FRAMES)
def test_the_same_frames_at_a_moderate_pace_are_welcome(octets: bytes) -> None:
    """Ten of them a second, for an hour, are no flood."""
    peer = with_streams_in_all_states()
    for _ in range(36_000):
        peer.time += 0.1
        peer.send(octets)
        peer.received()

    assert not peer.connection.closed


def test_a_peer_may_open_windows_as_often_as_it_is_sent_something() -> None:
    """Clients that open both windows after each frame of a long answer, and of one of many messages, are welcome."""
    peer = Peer()
    stream = peer.request(1)
    for size in [16_384] * 5_000 + [1_024] * 5_000:
        peer.connection.send_data(stream, bytes(size))
        peer.received()
        peer.send(frames.window_update(1, size) + frames.window_update(0, size))
    peer.received()

    assert not peer.connection.closed
    assert peer.connection.backlog == 0


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

    assert len(peer.connection._headers.known) <= 256


def test_what_remembered_blocks_stand_for_is_bounded() -> None:
    """Blocks of 100 octets that stand for 60 KB each are read, and not remembered."""
    memory = HeadMemory(1_000_000)
    peer = Peer(memory=memory)
    entry = ("bomb", "v" * 3_500)
    for stream_id in range(1, 601, 2):
        block = peer.encoder.encode([*HEADERS, *[entry] * 14], huffman=False) + b"\0\1y\2%02x" % (stream_id % 256)
        peer.send(frames.frame(FrameType.HEADERS, END_HEADERS, stream_id, block))
        peer.connection.reset(peer.connection.streams[stream_id], ErrorCode.CANCEL)
        peer.received()

    assert len(block) < 100
    assert memory.total == 0


def test_many_connections_remember_no_more_than_one_share() -> None:
    """All connections of a server share one memory; the one that has learned nothing for longest makes room."""
    memory = HeadMemory(100_000)
    peers = [Peer(memory=memory) for _ in range(20)]
    for stream_id in range(1, 21, 2):
        for peer in peers:
            field = ("x", f"{stream_id:01000}")
            peer.send(peer.never_indexed(stream_id, *HEADERS, field))

            assert memory.total <= 100_000
    learned = memory.total
    for peer in peers:
        peer.connection.forget()

    assert learned > 50_000
    assert memory.total == 0


def test_the_large_heads_of_open_streams_are_bounded() -> None:
    """Streams with large heads are refused, safe to try again, once those of all connections are too much."""
    memory = HeadMemory(open_size=1_000_000)
    peers = [Peer(memory=memory) for _ in range(4)]
    for stream_id in range(1, 41, 2):
        for peer in peers:
            peer.send(peer.never_indexed(stream_id, *HEADERS, ("x", "v" * 12_000)))
    refused = [frames.word(frame.payload) for frame in peers[3].received() if frame.kind is FrameType.RST_STREAM]
    held = sum(len(peer.connection.streams) for peer in peers)
    small = peers[0].request(101)
    for peer in peers[1:]:
        peer.connection.forget()
    peers[0].send(peers[0].never_indexed(103, *HEADERS, ("x", "v" * 12_000)))

    assert 8 <= held <= 33
    assert set(refused) == {ErrorCode.REFUSED_STREAM}
    assert not small.gone
    assert 103 in peers[0].connection.streams


def requests_of(size: int) -> bytes:
    """Small requests, one after the other, that are this long together."""
    block = b"\x83\x86\x84"  # POST, http, /
    each = [
        frames.frame(FrameType.HEADERS, END_HEADERS, stream_id, block) + data(stream_id, b"12345", end=True)
        for stream_id in range(1, 2 * size // 26, 2)
    ]
    return b"".join(each)


HUFFMAN = hpack.Encoder().encode([hpack.NeverIndexedHeaderTuple(b"x", b"a" * 6_000)], huffman=True)
WORK = {
    "small requests": requests_of(50_000),
    "DATA of one octet": frames.frame(FrameType.HEADERS, END_HEADERS, 1, b"\x83\x86\x84") + data(1, b"x") * 6_000,
    "large DATA": frames.frame(FrameType.HEADERS, END_HEADERS, 1, b"\x83\x86\x84") + data(1, bytes(16_000)) * 4,
    "fields of one octet": b"".join(
        frames.frame(FrameType.HEADERS, END_HEADERS, stream_id, b"\x83\x86\x84" + b"\x90" * 900)
        for stream_id in range(1, 100, 2)
    ),
    "Huffman codes": b"".join(
        frames.frame(FrameType.HEADERS, END_HEADERS, stream_id, b"\x83\x86\x84" + HUFFMAN)
        for stream_id in range(1, 20, 2)
    ),
    "SETTINGS": frames.settings([(Setting.MAX_CONCURRENT_STREAMS, 1)] * 2_700) * 100,
    "DATA after the end": frames.frame(FrameType.HEADERS, END_HEADERS | END_STREAM, 1, b"\x83\x86\x84")
    + data(1, b"x") * 900,
}


@pytest.mark.parametrize("octets", WORK.values(), ids=WORK)
def test_a_turn_has_its_share_of_work_and_no_more(octets: bytes) -> None:
    """One burst is read in several turns, none of which is longer than its share and one frame."""
    limits = Limits(turn=100, max_concurrent_streams=10_000)
    peer = Peer(limits)
    turns = []
    peer.send(octets)
    while peer.connection.is_behind:
        turns.append(limits.turn - peer.connection._turn.left)
        peer.send(b"")
    largest_frame = 1_000  # 900 fields, and their block

    assert len(turns) > 1
    assert max(turns) < limits.turn + largest_frame
    assert sum(turns) > 2 * limits.turn


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
