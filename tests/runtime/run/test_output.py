"""The lines of children: marked, whole as far as that can be, and read to the end whatever becomes of ours."""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

import pytest

from dapr_state.runtime.run import writer as writers
from dapr_state.runtime.run.output import Relay, has_colour
from dapr_state.runtime.run.writer import Writer

if TYPE_CHECKING:
    from pathlib import Path


def _relayed(folder: Path, *pieces: bytes, mode: str = "w") -> tuple[bytes, Relay]:
    """What is written of what a child wrote piece by piece."""
    path = folder / "output"
    path.touch()
    reading, writing = os.pipe()
    with path.open(mode) as target, open(reading, "rb", buffering=0) as source:  # noqa: PTH123 - a descriptor
        writer = Writer(target.fileno())
        relay = Relay(source, "x │ ", writer)
        for piece in pieces:
            os.write(writing, piece)
        os.close(writing)
        relay.join(10)
        writer.settle(10)
    return path.read_bytes(), relay


@pytest.mark.parametrize(
    ("pieces", "written"),
    [
        ([b"one\ntwo\n"], "x │ one\nx │ two\n"),
        ([b"on", b"e\ntw", b"o"], "x │ one\nx │ two\n"),
        ([b"\n"], "x │ \n"),
        ([], ""),
    ],
)
def test_each_line_has_its_mark(tmp_path: Path, pieces: list[bytes], written: str) -> None:
    """However it comes, and also the last one that does not end."""
    assert _relayed(tmp_path, *pieces)[0].decode() == written


def test_bytes_stay_as_they_are(tmp_path: Path) -> None:
    """Whatever they are in."""
    assert _relayed(tmp_path, b"\xff\xfe\n")[0] == "x │ ".encode() + b"\xff\xfe\n"


def test_a_line_of_ten_megabytes(tmp_path: Path) -> None:
    """It is passed on in pieces, each with the mark, and nothing of it is lost."""
    written, relay = _relayed(tmp_path, *[b"y" * (1 << 20)] * 10, b"\nend\n")

    assert written.count(b"y") == 10 << 20
    assert written.endswith("\nx │ end\n".encode())
    assert max(map(len, relay.last)) <= 500


def test_nobody_reads_ours(tmp_path: Path) -> None:
    """The child is read on, or it would stand still."""
    written, relay = _relayed(tmp_path, *[b"y" * 9999 + b"\n"] * 100, mode="r")

    assert written == b""
    assert len(relay.last) == 20


def test_an_output_that_stands_still(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody waits for it longer than for a moment; what was left out is told where it was, and what comes is there."""
    monkeypatch.setattr(writers, "PATIENCE", 0.01)
    reading, writing = os.pipe()
    writer, line = Writer(writing), b"y" * 99_999 + b"\n"
    for _ in range(20):
        writer.put(line)
    written = os.read(reading, 1 << 20)
    while b"left out" not in written:
        written += os.read(reading, 1 << 20)
    writer.put(b"end\n")
    writer.settle(10)
    *whole, told, end, _ = (written + os.read(reading, 1 << 20)).split(b"\n")
    lost = re.search(rb"dapr-state: (\d+) octets are left out here", told)

    assert lost
    assert len(whole) + int(lost[1]) // len(line) == 20
    assert {len(each) for each in whole} == {len(line) - 1}
    assert end == b"end"


@pytest.mark.parametrize("is_deaf", [False, True])
def test_an_output_that_does_not_wait(*, is_deaf: bool) -> None:
    """An application may have made the terminal so: nothing is lost; one whose reader has gone holds nobody."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    if is_deaf:
        os.close(reading)
    writer = Writer(writing)
    for _ in range(20):
        writer.put(b"y" * 50_000)
    left = 0 if is_deaf else 1_000_000
    while left:
        left -= len(os.read(reading, left))
    writer.settle(10)

    assert not left


@pytest.mark.parametrize(
    ("environ", "coloured"), [({}, False), ({"FORCE_COLOR": "1"}, True), ({"FORCE_COLOR": "1", "NO_COLOR": "1"}, False)]
)
def test_colours_are_a_wish(tmp_path: Path, environ: dict[str, str], *, coloured: bool) -> None:
    """A file has none, unless that is asked for; who wants none has none."""
    with (tmp_path / "output").open("w") as stream:
        assert has_colour(stream, environ) == coloured
