"""gRPC's own octets: metadata, timeouts, messages."""

from __future__ import annotations

import gzip
import random
import zlib
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dapr_state.wire import grpc as framing
from dapr_state.wire.grpc import Metadatum, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

GZIP = framing.ENCODINGS[b"gzip"]


@pytest.mark.parametrize(
    ("value", "seconds"),
    [(b"1H", 3600), (b"2M", 120), (b"3S", 3), (b"4m", 0.004), (b"5u", 5e-6), (b"6n", 6e-9), (b"99999999S", 99_999_999)],
)
def test_timeouts(value: bytes, seconds: float) -> None:
    """A number of up to eight digits, and a unit."""
    assert framing.timeout(value) == pytest.approx(seconds)


@pytest.mark.parametrize("value", [b"", b"1", b"S", b"1s", b"-1S", b"1.5S", b"123456789S", b"1S ", b"\xb2S"])
def test_malformed_timeouts(value: bytes) -> None:
    """Anything else is none."""
    with pytest.raises(ValueError, match="no timeout"):
        framing.timeout(value)


def test_metadata_is_read() -> None:
    """Binary values are decoded, with padding or without, several in one field too; gRPC's own fields are left out."""
    fields = [(b"a", b"1"), (b"te", b"trailers"), (b"b-bin", b"AP8=,AP8"), (b"b-bin", b""), (b"grpc-timeout", b"1S")]

    assert framing.read_metadata(fields) == (
        Metadatum("a", "1"),
        Metadatum("b-bin", b"\0\xff"),
        Metadatum("b-bin", b"\0\xff"),
        Metadatum("b-bin", b""),
    )


@pytest.mark.parametrize("value", [b"!", b"AP8=AP8=", "\u00e9".encode(), b"A"])
def test_binary_metadata_that_is_not_base64(value: bytes) -> None:
    """It is refused, not guessed at."""
    with pytest.raises(ValueError, match="base64"):
        framing.read_metadata([(b"a-bin", value)])


def test_metadata_is_written() -> None:
    """Names become lower case, binary values base64 without padding."""
    assert framing.write_metadata((("A", "1"), ("b-bin", b"\0\xff"))) == [(b"a", b"1"), (b"b-bin", b"AP8")]


@pytest.mark.parametrize("pair", [(":a", "1"), ("a b", "1"), ("a", "1\n2"), ("te", "trailers"), ("a", "é"), ("", "1")])
def test_metadata_that_cannot_be_sent(pair: tuple[str, str]) -> None:
    """A servicer that sets such metadata hears of it, and the peer does not."""
    with pytest.raises(ValueError, match=r"cannot be sent|can't encode"):
        framing.write_metadata([pair])


def test_a_message_that_is_too_long_is_refused_by_its_prefix() -> None:
    """Nothing of it is waited for."""
    with pytest.raises(Refused, match=r"grpc: received message larger than max \(11 vs. 10\)"):
        framing.Messages(10, None).feed(framing.message(bytes(11))[:5])


@pytest.mark.parametrize(
    ("flag", "body", "encoding", "text"),
    [
        (1, b"x", None, "compressed flag set with identity or empty encoding"),
        (2, b"x", GZIP, "compressed flag set"),
        (1, b"not gzip", GZIP, "failed to decompress"),
        (1, gzip.compress(b"x", mtime=0)[:-9], GZIP, "unexpected EOF"),
        (1, gzip.compress(bytes(1001), mtime=0), GZIP, "larger than max 1000"),
    ],
)
def test_compressed_messages_that_are_none(flag: int, body: bytes, encoding: framing.Encoding, text: str) -> None:
    """Each has its own text."""
    with pytest.raises(Refused, match=text):
        _read(framing.PREFIX.pack(flag, len(body)) + body, encoding, 1000)


@pytest.mark.parametrize(("name", "compress"), [(b"gzip", gzip.compress), (b"deflate", zlib.compress)])
def test_compressed_messages(name: bytes, compress: Callable[[bytes], bytes]) -> None:
    """What anyone compresses is read here."""
    packed = compress(bytes(1000))

    assert _read(framing.PREFIX.pack(1, len(packed)) + packed, framing.ENCODINGS[name], 1000) == bytes(1000)


@pytest.mark.parametrize("size", [1, framing.INFLATED_AT_ONCE, 100_001, 4_000_000])
@pytest.mark.parametrize("kind", [bytes, random.Random(5).randbytes], ids=["zeros", "noise"])
def test_compressed_messages_come_in_parts(size: int, kind: Callable[[int], bytes]) -> None:
    """However much an octet stands for, a part of the message is short, and all of them are the message."""
    plain = kind(size)
    packed = framing.Packed(gzip.compress(plain), GZIP, size)
    parts = list(packed.parts())

    assert b"".join(parts) == plain
    assert max(map(len, parts)) <= framing.INFLATED_AT_ONCE
    assert packed.most == min(len(packed) * framing.DEFLATE_RATIO, size)


@given(st.binary(min_size=1), st.integers(1, 2000))
def test_no_message_stands_for_more_than_it_says(octets: bytes, count: int) -> None:
    """What deflate can make of some octets has a bound."""
    plain = octets * count

    assert framing.Packed(gzip.compress(plain), GZIP, 1 << 30).most >= len(plain)


def _read(data: bytes, encoding: framing.Encoding | None, limit: int) -> bytes:
    (found,) = framing.Messages(limit, encoding).feed(data)
    return b"".join(found.parts()) if isinstance(found, framing.Packed) else found


@pytest.mark.parametrize("data", [b"", b"\0", b"\0\0\0\0\1", b"\0\0\0\0\1xx", b"\1\0\0\0\1x"])
def test_what_is_not_exactly_one_message(data: bytes) -> None:
    """The short cut for unary requests takes nothing else."""
    assert framing.only_message(data) is None


def test_the_only_message() -> None:
    """It is taken without a copy of the prefix."""
    assert framing.only_message(framing.message(b"hello")) == b"hello"
