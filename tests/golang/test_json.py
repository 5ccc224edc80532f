"""JSON read as Go reads it, however long it is, without holding the event loop."""

from __future__ import annotations

import asyncio
import json as python_json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from dapr_state.golang import json
from dapr_state.slices import Work
from tests.golang.odd_texts import ODD
from tests.support.held import ALLOWED, longest_turn

if TYPE_CHECKING:
    import re
    from collections.abc import Iterator

SIZE = 4 * 1024 * 1024
SLOW = 512 * 1024  # of what is looked at bracket by bracket
SMALL_PIECE = 16
PIECES_AT_ONCE = 3

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5),
    max_leaves=40,
)
containers = st.lists(values, max_size=8) | st.dictionaries(st.text(max_size=5), values, max_size=8)
layouts = st.sampled_from(((",", ":"), (", ", ": "), (" ,\n", "\t:\r\n ")))


def text_of(value: object, layout: tuple[str, str]) -> bytes:
    return python_json.dumps(value, separators=layout, ensure_ascii=False).encode("utf-8", "surrogatepass")


def filled(part: bytes, size: int = SIZE) -> bytes:
    return part * (size // len(part))


WORST = {
    "zeros": b"[" + filled(b"0,"),
    "nulls": b"[" + filled(b"null,"),
    "empty arrays": b"[" + filled(b"[],"),
    "brackets": b"[" + filled(b"[[[[[[]]]]]],", SLOW),
    "deep": b"[" + filled(b"[" * 9000 + b"]" * 9000 + b",", SLOW),
    "members": b"{" + filled(b'"":[[[[0]]]],', SLOW),
    "one string": b'"' + filled(b"a"),
    "escapes": b'"' + filled(b"\\n"),
    "surrogates": b'["' + filled(b"\\ud800") + b'"]',
    "blanks": b"[" + filled(b" "),
    "digits": filled(b"1") + b"x",
    "not UTF-8": b'["' + filled(b"\xff") + b'"',
}


@pytest.fixture(params=[json.PIECE, SMALL_PIECE], ids=["whole", "in pieces"])
def _piece(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "PIECE", request.param)
        yield


@pytest.mark.usefixtures("_piece")
@pytest.mark.parametrize("text", ODD, ids=lambda text: repr(text[:40]))
async def test_what_is_wrong_is_said_in_gos_words(text: bytes) -> None:
    """What Go's parser says of an odd text is said here, and it says nothing of what it lets pass."""
    assert await json.problem(text) == ODD[text]


@pytest.mark.parametrize("text", [text for text in ODD if text.strip()], ids=lambda text: repr(text[:40]))
async def test_a_fault_is_found_behind_megabytes(text: bytes) -> None:
    """It makes no difference how much stands before the fault."""
    before = b'[{"a":[[[1.5e3,"x\\n"],{}]]},'

    near, far = await json.problem(before + text), await json.problem(before * 2 + before[1:] * 9000 + text)

    assert near is not None
    assert near == far


@given(containers, layouts)
def test_valid_text_is_found_valid_by_the_scanner_too(value: object, layout: tuple[str, str]) -> None:
    """The quick way and the slow way agree on what is JSON."""
    text = text_of(value, layout)
    with pytest.MonkeyPatch.context() as patch:
        quick = asyncio.run(json.problem(text))
        patch.setattr(json, "QUICK", 0)
        slow = asyncio.run(json.problem(text))

    assert quick is slow is None


@given(containers, layouts, st.sampled_from([8, 16, 64, 256]))
def test_the_pieces_of_a_text_hold_its_parts(value: Any, layout: tuple[str, str], piece: int) -> None:
    """An array or object in pieces has the same parts in the same order, each as it was written."""
    text = text_of(value, layout)
    decode = msgspec.json.Decoder(list[msgspec.Raw] if isinstance(value, list) else dict[str, msgspec.Raw]).decode

    def parts(text: bytes) -> list[Any]:
        found = decode(text)
        return list(map(bytes, found)) if isinstance(found, list) else [(k, bytes(v)) for k, v in found.items()]

    async def cut() -> list[Any]:
        return [each async for whole in json.pieces(text, Work()) for each in parts(whole)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "PIECE", piece)
        found = asyncio.run(cut())

    assert found == parts(text)


@pytest.mark.parametrize("text", WORST.values(), ids=WORST)
async def test_no_text_holds_the_loop(text: bytes) -> None:
    """4 MB that are not quite JSON are found out in slices."""
    found, longest = await longest_turn(json.problem(text))

    assert found or text == WORST["surrogates"]
    assert longest < ALLOWED


@pytest.mark.parametrize("part", [b"0", b"[[[[[[[]]]]]]]", b'{"a":"b"}', b'"' + b"\\n" * 100_000 + b'"'], ids=len)
async def test_no_array_holds_the_loop(part: bytes) -> None:
    """4 MB of whatever parts are cut in slices."""
    text = b"[" + b",".join([part] * (SIZE // (len(part) + 1))) + b"]"

    async def cut() -> int:
        return sum([len(piece) - 1 async for piece in json.pieces(text, Work())])

    octets, longest = await longest_turn(cut())

    assert octets == len(text) - 1  # a bracket each, and the comma that was cut away
    assert longest < ALLOWED


class Counted(Work):
    """A slice is over at once: `most` is how many pieces were passed over between two pauses."""

    __slots__ = ("looks", "most")

    def __init__(self) -> None:
        super().__init__()
        self.looks = self.most = 0

    def is_over(self) -> bool:
        return True

    async def pause(self) -> None:
        self.looks = 0


@settings(max_examples=40, deadline=None)
@given(part=values, count=st.integers(1, 30), depth=st.integers(0, 4))
@example(part={"a": 1}, count=30, depth=1)
def test_long_texts_are_left_wherever_a_piece_ends(part: object, count: int, depth: int) -> None:
    """Whether between two values or in the midst of one: there is a pause behind each few pieces."""
    text = b"[" * depth + b"[" + b",".join([text_of(part, (",", ":"))] * count) + b"]" + b"]" * depth
    work = Counted()
    past = json._past

    def look(pattern: re.Pattern[bytes], data: bytes, at: int) -> int:
        work.looks += 1
        work.most = max(work.most, work.looks)
        return past(pattern, data, at)

    async def cut() -> None:
        async for _ in json.pieces(text, work):
            pass

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "PIECE", SMALL_PIECE)
        patch.setattr(json, "_past", look)
        asyncio.run(cut())

    assert work.most <= PIECES_AT_ONCE


@settings(max_examples=60, deadline=None)
@given(st.text(st.characters() | st.sampled_from('\\ud8"\U0001f600é')), st.booleans())
def test_a_text_means_the_same_in_pieces(text: str, is_ascii: bool) -> None:
    """Wherever it is cut: an escape, a pair of them and a letter stay whole."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json, "PIECE", SMALL_PIECE)
        literal = python_json.dumps(text, ensure_ascii=is_ascii).encode("utf-8", "replace")

        assert asyncio.run(json.text(literal, Work())) == python_json.loads(literal)


@pytest.mark.parametrize("literal", [b"1", b"null", b'"\\ud83d"', b'"\\ude00\\ud83d"'])
def test_what_is_no_text_is_refused(literal: bytes) -> None:
    """A lone half of a pair is none that could be kept."""
    with pytest.raises(ValueError, match=r"a text is expected|surrogate|truncated"):
        asyncio.run(json.text(literal, Work()))
