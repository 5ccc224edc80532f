"""The records of daprd: they fail when it says otherwise, and hold nothing of the place where they were made."""

from __future__ import annotations

import json
import operator
import re
import socket
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.recorded import FOLDER, TESTS, Record

if TYPE_CHECKING:
    from collections.abc import Callable

RECORDS = sorted(FOLDER.glob("*.json"))
DATE = r"\b20(?:2[5-9]|[3-9]\d)-\d\d-\d\d"
PORT = r"(?:127\.0\.0\.1|localhost|\[::1?\]):\d{4,}"
OF_A_PLACE = re.compile(f"{DATE}|{PORT}|/tmp/|/home/|/root/")


@pytest.fixture
def is_there(monkeypatch: pytest.MonkeyPatch) -> Callable[[bool], None]:
    """Says whether there is a daprd to ask."""
    return lambda there: monkeypatch.setattr(oracle, "find", lambda _: Path("daprd") if there else None)


def test_where_daprd_is_it_is_held_against_the_record(tmp_path: Path, is_there: Callable[[bool], None]) -> None:
    """A daprd that answers otherwise fails the test that asked, and it is asked once."""
    path = tmp_path / "record.json"
    path.write_text('{"a": ["1"], "b": ["2"]}')
    is_there(True)
    record, asked = Record(path, is_made=False), []

    first = record.answer("a", lambda: asked.append("a") or ("1",), operator.eq)
    again = record.answer("a", lambda: asked.append("a") or ("1",), operator.eq)

    assert (first, again, asked) == (["1"], ["1"], ["a"])
    with pytest.raises(AssertionError, match="daprd does not answer as recorded: b"):
        record.answer("b", lambda: ("3",), operator.eq)


def test_where_daprd_is_not_the_record_serves(tmp_path: Path, is_there: Callable[[bool], None]) -> None:
    """What was never recorded is a failure, not a skip."""
    path = tmp_path / "record.json"
    path.write_text('{"a": 1}')
    is_there(False)
    record = Record(path, is_made=False)

    assert record.answer("a", lambda: 2, operator.eq) == 1
    with pytest.raises(pytest.fail.Exception, match="nothing is recorded of daprd for 'b'"):
        record.answer("b", lambda: 2, operator.eq)


def test_a_record_is_written_anew(tmp_path: Path) -> None:
    """Nobody's old answer stays in it."""
    path = tmp_path / "record.json"
    path.write_text('{"old": 1}')
    record = Record(path, is_made=True)
    record.answer("new", lambda: (b"x", None, {"a": 1}), operator.eq)
    record.write()

    assert json.loads(path.read_text()) == {"new": ["b'x'", None, {"a": 1}]}


@pytest.mark.parametrize("path", RECORDS, ids=lambda path: path.stem)
def test_a_record_could_have_been_made_anywhere(path: Path) -> None:
    """It is of a test file that there is, and names no date, no port, no folder and no machine."""
    text = path.read_text()

    assert (TESTS / path.stem.replace(".", "/")).with_suffix(".py").exists()
    assert OF_A_PLACE.findall(text) == []
    assert len(socket.gethostname()) < 4 or socket.gethostname() not in text
