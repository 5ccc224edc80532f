"""Header blocks are read as the library hpack reads and writes them, and within bounds that it does not have."""

from __future__ import annotations

import hpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.wire.http2.faults import ConnectionFault, ErrorCode
from dapr_state.wire.http2.hpack import STATIC, TABLE_SIZE, Decoder

SIZE, FIELDS = 16_384, 100

octets = st.one_of(st.binary(max_size=40), st.sampled_from([b"", b"x" * 200, b"v" * 4_096]))
field = st.one_of(st.sampled_from(STATIC), st.tuples(octets, octets))
block = st.tuples(
    st.lists(field, max_size=12), st.booleans(), st.one_of(st.none(), st.sampled_from([0, 64, 1_000, TABLE_SIZE]))
)


def fault(octets: bytes, *, size: int = SIZE, fields: int = FIELDS) -> ErrorCode:
    with pytest.raises(ConnectionFault) as raised:
        Decoder(size, fields).decode(octets)
    return raised.value.code


@settings(max_examples=300, deadline=None)
@given(st.lists(block, max_size=8))
def test_what_an_encoder_writes_is_read(blocks: list[tuple[list[tuple[bytes, bytes]], bool, int | None]]) -> None:
    """Blocks of one connection come back field by field, with and without Huffman codes, as its table changes."""
    encoder, decoder = hpack.Encoder(), Decoder(1 << 20, FIELDS)
    for fields, huffman, table in blocks:
        if table is not None:
            encoder.header_table_size = table
        written = encoder.encode(fields, huffman=huffman)

        assert decoder.decode(written) == fields
        assert decoder._size <= decoder._capacity


@settings(max_examples=500, deadline=None)
@given(st.lists(st.binary(max_size=60), max_size=4))
def test_random_octets_mean_what_the_library_says(blocks: list[bytes]) -> None:
    """What one of them refuses the other refuses, up to what is bounded here only; else both find the same."""
    theirs, ours = hpack.Decoder(), Decoder(1 << 20, FIELDS)
    for octets in blocks:
        try:
            found = ours.decode(octets)
        except ConnectionFault:
            return

        assert found == [tuple(each) for each in theirs.decode(octets, raw=True)]


@pytest.mark.parametrize(
    "octets",
    [
        b"\x80",  # index 0
        b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",  # a number without end
        b"\xbe",  # beyond both tables
        b"\x82\x20",  # a table update that comes late
        b"\x20\x20\x20",  # one too many
        b"\x3f\xe2\x1f",  # of 4097
        b"\x00\x05abc",  # a string beyond the end
        b"\x40",
        b"\x00\x81",
        b"\x00\x81\x00\x00",  # a Huffman code that is none
    ],
)
def test_a_block_that_is_none_is_a_compression_error(octets: bytes) -> None:
    """Section 4.3 of RFC 9113: the two sides no longer agree about the table, so the connection ends."""
    assert fault(octets) == ErrorCode.COMPRESSION_ERROR


def test_a_list_has_so_many_fields_and_no_more() -> None:
    """One octet may be a field: the number is bounded by itself, while the block is read."""
    assert len(Decoder(SIZE, FIELDS).decode(b"\x82" * FIELDS)) == FIELDS
    assert fault(b"\x82" * (FIELDS + 1)) == ErrorCode.ENHANCE_YOUR_CALM


def test_a_list_stands_for_so_many_octets_and_no_more() -> None:
    """An entry of a table's size that is named again and again is cut off at the list's size."""
    entry = b"\x40\x01b\x7f\xa1\x1e" + b"v" * 4_000 + b"\xbe" * 20

    assert fault(b"\x82" * 10 + entry) == ErrorCode.ENHANCE_YOUR_CALM
