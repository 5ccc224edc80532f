"""What daprd answers: recorded as data, so that every machine compares us with it, and asked again where daprd is.

`pytest --record FILE…` writes the record of whole test files anew; what it holds is looked through like code.
"""

from __future__ import annotations

import copy
import dataclasses
import hashlib
import json
import operator
from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.support import oracle

if TYPE_CHECKING:
    from collections.abc import Callable

TESTS = Path(__file__).parents[1]
FOLDER = TESTS / "conformance" / "recorded"
LONG = 2000  # characters of a text that is kept as it is


class Record:
    """One test file's; what daprd was asked once it is not asked again."""

    def __init__(self, path: Path, *, is_made: bool) -> None:
        self._path = path
        self._is_made = is_made
        self._answers: dict[str, Any] = {} if is_made or not path.exists() else json.loads(path.read_text())
        self._asked: set[str] = set()

    def answer(self, name: str, ask: Callable[[], object], alike: Callable[[Any, Any], bool]) -> Any:
        if name not in self._asked and (self._is_made or oracle.find("daprd")):
            self._asked.add(name)
            said = data(ask())
            if self._is_made:
                self._answers[name] = said
            elif name in self._answers and not alike(said, self._answers[name]):
                assert said == self._answers[name], f"daprd does not answer as recorded: {name}"
        if name not in self._answers:
            pytest.fail(f"nothing is recorded of daprd for {name!r}: run pytest --record with the whole file")
        return copy.deepcopy(self._answers[name])  # a test may change what it compares, not what is written

    def write(self) -> None:
        if self._is_made and self._answers:
            FOLDER.mkdir(exist_ok=True)
            self._path.write_text(json.dumps(self._answers, indent=1, sort_keys=True) + "\n")


class Recorded:
    """The fixture of this name: called with the name of a question and how it is asked, it gives daprd's answer."""

    def __init__(self, record: Record, request: pytest.FixtureRequest) -> None:
        self._record = record
        self._fixture = request.getfixturevalue

    def __call__(
        self,
        name: str,
        ask: Callable[[Any], object],
        *,
        of: str = "daprd",
        alike: Callable[[Any, Any], bool] = operator.eq,
    ) -> Any:
        """Only where daprd is, the fixture `of` is made and asked; `alike` says whether the answer is the recorded."""
        return self._record.answer(name, lambda: ask(self._fixture(of)), alike)


def of_module(request: pytest.FixtureRequest) -> Record:
    name = ".".join(request.path.relative_to(TESTS).with_suffix("").parts)
    return Record(FOLDER / f"{name}.json", is_made=request.config.getoption("--record"))


def data(answer: Any) -> Any:
    """An answer as JSON can hold it; texts that are too long by their length and digest."""
    if isinstance(answer, bytes):
        answer = repr(answer)
    if isinstance(answer, Enum):
        answer = answer.name
    if isinstance(answer, str) and len(answer) > LONG:
        answer = f"{answer[:100]}… {len(answer)} {_digest(answer)}"
    if answer is None or isinstance(answer, str | int | float):
        return answer
    if dataclasses.is_dataclass(answer):
        return {field.name: data(getattr(answer, field.name)) for field in dataclasses.fields(answer)}
    if isinstance(answer, Mapping):
        return {key if isinstance(key, str) else repr(key): data(value) for key, value in answer.items()}
    return [data(each) for each in answer]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
