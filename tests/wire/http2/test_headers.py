"""Header blocks: remembered while they mean the same, refused when malformed, written so that hpack reads them."""

from __future__ import annotations

import hpack
import pytest

from dapr_state.wire.http2 import headers
from dapr_state.wire.http2.faults import ConnectionFault, StreamFault
from dapr_state.wire.http2.headers import HeaderBlocks, RequestHead
from dapr_state.wire.http2.limits import Limits, Turn

GET = ((":method", "POST"), (":scheme", "http"), (":path", "/"))  # all in the static table


class Reader:
    """A reader that counts how often it had to understand a request."""

    def __init__(self) -> None:
        self.understood: list[bytes] = []
        self.blocks: HeaderBlocks[int] = HeaderBlocks(self._parse, Limits(), Turn())
        self.encoder = hpack.Encoder()

    def _parse(self, request: RequestHead[int]) -> int:
        self.understood.append(request.path)
        return len(self.understood)

    def read(self, *fields: tuple[str, str]) -> RequestHead[int]:
        return self.blocks.request(self.encoder.encode([*GET, *fields], huffman=True))


def test_the_same_block_is_understood_once() -> None:
    """The second block refers to the table that the first filled; all later ones are the second's bytes."""
    reader = Reader()
    meanings = [reader.read(("x", "1")).parsed for _ in range(10)]

    assert meanings == [1] + [2] * 9


def test_the_same_bytes_mean_something_else_once_the_table_changes() -> None:
    """What a block refers to may move: nothing that was remembered outlives a change of the table."""
    reader = Reader()
    reader.read(("x", "1"))
    block = reader.encoder.encode([*GET, ("x", "1")])
    before = reader.blocks.request(block).fields
    reader.blocks.request(reader.encoder.encode([*GET, ("x", "2")]))

    assert before == [(b"x", b"1")]
    assert reader.blocks.request(block).fields == [(b"x", b"2")]


@pytest.mark.parametrize("read", ["trailers", "skip"])
def test_other_blocks_change_the_table_too(read: str) -> None:
    """Trailers, and the block of a stream that was refused, move what requests refer to."""
    reader = Reader()
    reader.read(("x", "1"))
    block = reader.encoder.encode([*GET, ("x", "1")])
    reader.blocks.request(block)
    getattr(reader.blocks, read)(reader.encoder.encode([("x", "2")]))

    assert reader.blocks.request(block).fields == [(b"x", b"2")]


MALFORMED = {
    "no method": GET[1:],
    "no scheme": (GET[0], GET[2]),
    "no path": GET[:2],
    "empty path": (*GET[:2], (":path", "")),
    "twice the path": (*GET, GET[2]),
    "unknown pseudo-header": (*GET, (":x", "y")),
    "an answer's pseudo-header": (*GET, (":status", "200")),
    "late pseudo-header": (*GET, ("x", "y"), (":authority", "z")),
    "capital letters": (*GET, ("X-Y", "z")),
    "a space in a name": (*GET, ("x y", "z")),
    "an empty name": (*GET, ("", "z")),
    "a line break in a value": (*GET, ("x", "y\r\nz")),
    "a line break in a path": (*GET[:2], (":path", "/\r\nz")),
    "a line break in an authority": (*GET, (":authority", "y\r\nz")),
    "a zero in a value": (*GET, ("x", "y\0")),
    "connection": (*GET, ("connection", "close")),
    "transfer-encoding": (*GET, ("transfer-encoding", "chunked")),
    "te other than trailers": (*GET, ("te", "gzip")),
    "a content-length that is no number": (*GET, ("content-length", "-1")),
    "two content-lengths": (*GET, ("content-length", "1"), ("content-length", "2")),
}


@pytest.mark.parametrize("fields", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_request_costs_its_stream(fields: tuple[tuple[str, str], ...]) -> None:
    """RFC 9113, section 8: the stream is reset, and the table is as the peer thinks it is."""
    reader = Reader()
    with pytest.raises(StreamFault):
        reader.blocks.request(reader.encoder.encode([*fields, ("after", "it")]))

    assert reader.read(("after", "it")).fields == [(b"after", b"it")]


@pytest.mark.parametrize(
    "block", [b"\xff\xff\xff\xff\xff\xff\xff\xff\x7f", b"\xfe", b"\x40", b"\x82\x3f\xe1\x7f", b"\x80"]
)
def test_a_block_that_cannot_be_decoded_costs_the_connection(block: bytes) -> None:
    """After such a block the two sides no longer have the same table."""
    with pytest.raises(ConnectionFault):
        Reader().blocks.request(block)


@pytest.mark.parametrize("huffman", [False, True])
@pytest.mark.parametrize(
    "fields",
    [[("x", "v" * 100_000)], [(f"x{number}", "v" * 1_000) for number in range(70)], [("x", "")] * 1_500],
    ids=["one value", "many values", "many fields"],
)
def test_a_list_that_is_too_long_costs_its_request(fields: list[tuple[str, str]], huffman: bool) -> None:
    """Nothing of it is kept, it is not taken for another, and the table is as the peer thinks it is."""
    reader = Reader()
    first = reader.read(("x", "1"))
    for _ in range(2):
        refused = reader.blocks.request(reader.encoder.encode([*GET, *fields, ("after", "it")], huffman=huffman))

        assert refused.is_too_long
        assert not refused.fields
    after = reader.read(("after", "it"))

    assert (first.is_too_long, after.is_too_long, after.fields) == (False, False, [(b"after", b"it")])


def test_trailers_that_are_too_long_cost_their_stream() -> None:
    """And the table is as the peer thinks it is."""
    reader = Reader()
    with pytest.raises(StreamFault):
        reader.blocks.trailers(reader.encoder.encode([("x", "v" * 100_000), ("after", "it")]))

    assert reader.read(("after", "it")).fields == [(b"after", b"it")]


@pytest.mark.parametrize(
    "fields",
    [[("x", "v" * 300_000)], [("x", "v" * 4_000)] * 70, [("x", "")] * 6_000],
    ids=["octets", "octets that a few stand for", "fields"],
)
def test_a_list_that_is_far_too_long_costs_the_connection(fields: list[tuple[str, str]]) -> None:
    """Reading on has an end."""
    reader = Reader()
    with pytest.raises(ConnectionFault):
        reader.blocks.request(reader.encoder.encode([*GET, *fields], huffman=False))


def test_much_of_huffmans_code_costs_the_connection() -> None:
    """It takes a hundred times as long to read as plain octets."""
    reader = Reader()
    with pytest.raises(ConnectionFault):
        reader.blocks.request(reader.encoder.encode([*GET, *[("x", "v" * 5_000)] * 20], huffman=True))


@pytest.mark.parametrize("size", [0, 1, 126, 127, 128, 254, 255, 16_511, 100_000])
def test_written_blocks_can_be_read(size: int) -> None:
    """hpack's own decoder reads what is written here, and its table stays empty."""
    fields = [
        (b":status", b"200"), (b":status", b"415"), (b"content-type", b"c" * size), (b"n" * (size + 1), b"v" * size),
    ]  # fmt: skip
    decoder = hpack.Decoder(max_header_list_size=10**6)
    decoded = decoder.decode(headers.encode(fields), raw=True)

    assert [tuple(field) for field in decoded] == fields
    assert len(decoder.header_table.dynamic_entries) == 0
