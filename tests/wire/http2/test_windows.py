"""Flow control as the client counts it: no DATA frame is larger than what it has granted (RFC 9113, section 5.2)."""

from __future__ import annotations

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.wire.http2 import frames
from dapr_state.wire.http2.faults import ErrorCode
from dapr_state.wire.http2.frames import DEFAULT_WINDOW, END_STREAM, MAX_FRAME_SIZE, FrameType, Setting
from tests.wire.http2.peer import Peer

SLOTS = 4  # streams that are open at a time
WINDOWS = st.sampled_from([0, 1, 10, 100, 16_383, 16_384, 65_535, 200_000])
SIZES = st.sampled_from([1, 100, 16_384, 16_385, 65_536, 300_000])
STEPS = st.one_of(
    st.tuples(st.just("initial window"), WINDOWS),
    st.tuples(st.just("several initial windows"), WINDOWS, WINDOWS),
    st.tuples(st.just("open stream"), st.integers(0, SLOTS - 1), WINDOWS.filter(bool)),
    st.tuples(st.just("open connection"), WINDOWS.filter(bool)),
    st.tuples(st.just("reset"), st.integers(0, SLOTS - 1)),
    st.tuples(st.just("send"), st.integers(0, SLOTS - 1), SIZES),
    st.tuples(st.just("answer"), st.integers(0, SLOTS - 1), SIZES),
    st.tuples(st.just("give up"), st.integers(0, SLOTS - 1)),
    st.tuples(st.just("write")),
)


class Counting:
    """A client that keeps the account of its windows by itself."""

    def __init__(self) -> None:
        self.peer = Peer()
        self.initial = DEFAULT_WINDOW
        self.connection = DEFAULT_WINDOW
        self.windows: dict[int, int] = {}
        self.slots: list[Any] = [None] * SLOTS
        self.next_stream = 1
        self.arrived = 0

    def stream(self, slot: int) -> Any:
        """The server's end of the stream in this slot; a new one where it is gone."""
        if self.slots[slot] is None or self.slots[slot].gone:
            self.windows[self.next_stream] = self.initial
            self.slots[slot] = self.peer.request(self.next_stream, end=True)
            self.next_stream += 2
        return self.slots[slot]

    def set_initial(self, *values: int) -> None:
        # the frames sent before it were made before the server knew: they are counted by the old windows
        self.read()
        for value in values:
            self.windows = {number: window + value - self.initial for number, window in self.windows.items()}
            self.initial = value
        self.peer.send(frames.settings([(Setting.INITIAL_WINDOW_SIZE, value) for value in values]))

    def open_stream(self, slot: int, increment: int) -> None:
        stream = self.stream(slot)
        self.windows[stream.id] += increment
        self.peer.send(frames.window_update(stream.id, increment))

    def open_connection(self, increment: int) -> None:
        self.connection += increment
        self.peer.send(frames.window_update(0, increment))

    def read(self) -> None:
        """Count what has come against the windows."""
        for frame in self.peer.received():
            if frame.kind is not FrameType.DATA:
                continue
            size = len(frame.payload)
            assert size <= MAX_FRAME_SIZE
            assert size <= max(self.windows[frame.stream_id], 0), frame.stream_id
            assert size <= self.connection
            assert size or frame.flags & END_STREAM
            self.windows[frame.stream_id] -= size
            self.connection -= size
            self.arrived += size

    def act(self, step: tuple[Any, ...]) -> None:
        connection = self.peer.connection
        match step:
            case ("initial window" | "several initial windows", *values):
                self.set_initial(*values)
            case ("open stream", slot, increment):
                self.open_stream(slot, increment)
            case ("open connection", increment):
                self.open_connection(increment)
            case ("reset", slot):
                self.peer.send(frames.rst_stream(self.stream(slot).id, ErrorCode.CANCEL))
            case ("send", slot, size):
                connection.send_data(self.stream(slot), bytes(size))
            case ("answer", slot, size) if not self.stream(slot).queue:
                connection.send_answer(self.stream(slot), b"\x88", bytes(size), b"\x88")
            case ("give up", slot):
                connection.reset(self.stream(slot), ErrorCode.CANCEL)
            case ("write",):
                self.read()


@settings(max_examples=500, deadline=None)
@given(st.lists(STEPS, max_size=40))
def test_every_data_frame_fits_what_the_client_has_granted(steps: list[tuple[Any, ...]]) -> None:
    """Whatever SETTINGS, WINDOW_UPDATEs and resets come between: DATA stays within both windows and MAX_FRAME_SIZE."""
    client = Counting()
    for step in steps:
        client.act(step)
    client.read()


@settings(max_examples=200, deadline=None)
@given(st.lists(STEPS, max_size=20))
def test_all_that_waits_arrives_once_the_windows_are_open(steps: list[tuple[Any, ...]]) -> None:
    """No stream is forgotten: with every window open, nothing that was to be sent stays behind."""
    client = Counting()
    for step in steps:
        client.act(step)
    client.read()
    client.open_connection(2**30)
    for number in client.peer.connection.streams:
        client.windows[number] += 2**30
        client.peer.send(frames.window_update(number, 2**30))
    client.read()

    assert client.peer.connection.backlog == 0


def test_a_window_that_settings_have_closed_lets_nothing_through() -> None:
    """A stream that was ready when SETTINGS made its window negative waits until WINDOW_UPDATE opens it."""
    client = Counting()
    client.peer.connection.send_data(client.stream(0), bytes(1_000_000))  # the connection's window is used up
    client.read()
    client.open_stream(0, 10)
    client.set_initial(0)
    client.open_connection(500_000)
    client.read()
    before = client.arrived
    client.open_stream(0, 100_000)
    client.read()

    assert (before, client.arrived) == (65_535, 100_010)


def test_the_last_octets_of_a_body_do_not_hold_all_of_it() -> None:
    """Who takes all of an answer but an octet makes the server hold about so much, and not the answer."""
    peer, size = Peer(), 1_000_000
    stream = peer.request(1, end=True)
    peer.send(frames.window_update(0, size) + frames.window_update(1, size - DEFAULT_WINDOW - 1))

    peer.connection.send_data(stream, bytes(size))
    arrived = sum(len(frame.payload) for frame in peer.received() if frame.kind is FrameType.DATA)

    assert arrived == size - 1
    assert sum(len(part.obj) for part in stream.queue) <= 2 * MAX_FRAME_SIZE
