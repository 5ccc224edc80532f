"""The same requests over HTTP to daprd and to us, on every store: equal answers, or a row that says why not."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from tests.support.http import Answer, ask, plain
from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import STORES
from tests.transports.http.cases import OTHERS, STATE
from tests.transports.http.differences import DIFFERENCES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.transports.http.cases import Case

pytestmark = pytest.mark.oracle

ETAGS = re.compile(r'(Etag: |"etag":"|current=)(?:UUID|\d+)')


def play(server: Sidecar, case: Case, store: str, key: str) -> list[str]:
    """Each answer as one text: status line, header lines in their order, body; without what is random."""
    answers = []
    for step in case.steps:
        path = step.path.replace("$s", store).replace("$k", key)
        body = step.body.encode() if isinstance(step.body, str) else step.body
        answer = ask(server.http_port, step.method, path, body and body.replace(b"$k", key.encode()), **step.headers)
        answers.append(show(answer).replace(key, "$k").replace(store, "$s"))
    return answers


def show(answer: Answer) -> str:
    head = "\n".join((answer.status, *(line for line in answer.lines if not line.startswith("Content-Length"))))
    text = plain(f"{head}\n\n".encode() + answer.body).decode("utf-8", "surrogateescape")
    # some stores make random etags, others count
    return ETAGS.sub(r"\1ETAG", text)


def expected(theirs: list[str], case: Case, store: str) -> list[str]:
    """Say what our answers are to be, given daprd's; a row that makes no difference is out of date."""
    wanted = list(theirs)
    for row in DIFFERENCES:
        if row.case == case.name and store in row.stores:
            assert row.ours != theirs[row.step]
            wanted[row.step] = row.ours
    return wanted


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("case", STATE, ids=lambda case: case.name)
def test_answers_are_equal(case: Case, store: str, sidecar: Sidecar, daprd: Daprd) -> None:
    """Status line, headers in their order and body are daprd's, or those of a listed difference."""
    key = f"key-{STATE.index(case)}-"
    ours = play(sidecar, case, store, key)
    theirs = play(daprd, case, store, key)

    assert ours == expected(theirs, case, store)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[tuple[Sidecar, Daprd]]:
    folder = tmp_path_factory.mktemp("bare")
    with Sidecar(folder) as sidecar, Daprd(daprd_binary, folder) as daprd:
        yield sidecar, daprd


@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.name)
def test_what_is_not_there_is_not_there_in_the_same_words(case: Case, bare: tuple[Sidecar, Daprd]) -> None:
    """Health, unknown routes, and building blocks without a component."""
    ours, theirs = (play(server, case, "", "") for server in bare)

    assert ours == theirs


def test_every_difference_is_about_a_case() -> None:
    """Rows name cases, and steps that they have."""
    steps = {case.name: len(case.steps) for case in STATE}

    assert [row for row in DIFFERENCES if row.step >= steps.get(row.case, 0)] == []
