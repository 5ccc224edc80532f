"""The quicker reader of HPACK's Huffman code says what the library says, of any string."""

from __future__ import annotations

import random

import hpack
import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.huffman_table import decode_huffman
from hypothesis import given, settings
from hypothesis import strategies as st

from dapr_state.wire.http2 import huffman

ENCODER = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
LONG = 2 * huffman.SHORT


@pytest.fixture(autouse=True)
def _nothing_learned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(huffman, "_rows", [None] * len(huffman._rows))


@settings(deadline=None, max_examples=50)
@given(start=st.binary(max_size=40), seed=st.integers())
def test_what_was_encoded_is_read(start: bytes, seed: int) -> None:
    """Texts of all octets, and of few."""
    text = start + random.Random(seed).choice([start, b"abc", bytes(range(256))]) * LONG

    assert huffman.decoded(ENCODER.encode(text[: 4 * LONG])) == text[: 4 * LONG]


@settings(deadline=None, max_examples=50)
@given(text=st.binary(min_size=1, max_size=40), cut=st.integers(0, 40))
def test_what_is_no_code_is_refused_as_the_library_does(text: bytes, cut: int) -> None:
    """Random octets, cut anywhere: the same text, or a fault of both."""
    octets = (text * LONG)[: LONG + cut]

    assert outcome(huffman.decoded, octets) == outcome(decode_huffman, octets)


def outcome(read: object, octets: bytes) -> bytes | None:
    try:
        return read(octets)  # type: ignore[operator, no-any-return]
    except hpack.HPACKDecodingError:
        return None


def test_a_string_learns_a_few_rows_only() -> None:
    """One that asks for all of them is read by the library, while the rows are made for the next ones."""
    octets = ENCODER.encode(random.Random(1).randbytes(8 * LONG))
    learned = []
    for _ in range(10):
        assert huffman.decoded(octets) == decode_huffman(octets)
        learned.append(sum(row is not None for row in huffman._rows))

    assert learned[0] == huffman.LEARN_AT_ONCE
    assert (
        max(later - before for before, later in zip([0, *learned[:-1]], learned, strict=True)) == huffman.LEARN_AT_ONCE
    )
    assert learned[-1] == learned[-2] > 200
