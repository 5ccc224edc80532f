"""The same requests over HTTP to daprd and to us, on every store: equal answers, or a row that says why not."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.differences import all_same
from tests.conformance.over_http.cases import OTHERS, SUITE
from tests.conformance.over_http.steps import Scene
from tests.support.recorded import data
from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import EVERY, beginning

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conformance.scenario import Scenario
    from tests.support.recorded import Recorded


def play(server: Sidecar, scenario: Scenario, store: str) -> list[str]:
    whose = "d-" if isinstance(server, Daprd) else "key-"
    return scenario.play(Scene.at(server.http_port, store, beginning(store, f"{whose}{SUITE.number(scenario)}-")))


# daprd lists the rows as its parallel writes have left them
UNORDERED = {("in bulk", "pg1"), ("in bulk", "pg2")}
PLAYED = [
    pytest.param(scenario, store, id=f"{scenario.name}-{store}")
    for scenario in SUITE.scenarios
    for store in EVERY
    if (scenario.name, store) not in UNORDERED
]


@pytest.mark.parametrize(("scenario", "store"), PLAYED)
def test_answers_are_equal(scenario: Scenario, store: str, sidecar: Sidecar, recorded: Recorded) -> None:
    """Status line, headers in their order and body are daprd's, or those of a listed difference."""
    theirs = recorded(f"{scenario.name} on {store}", lambda daprd: play(daprd, scenario, store), alike=all_same)

    assert data(play(sidecar, scenario, store)) == SUITE.expected(theirs, scenario, store)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sidecar]:
    with Sidecar(tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.fixture(scope="module")
def bare_daprd(tmp_path_factory: pytest.TempPathFactory, daprd_binary: Path) -> Iterator[Daprd]:
    with Daprd(daprd_binary, tmp_path_factory.mktemp("bare")) as server:
        yield server


@pytest.mark.parametrize("scenario", OTHERS, ids=lambda scenario: scenario.name)
def test_what_is_not_there_is_not_there_in_the_same_words(
    scenario: Scenario, bare: Sidecar, recorded: Recorded
) -> None:
    """Health, unknown routes, and building blocks without a component."""

    def answers(server: Sidecar) -> list[str]:
        return scenario.play(Scene.at(server.http_port, "", ""))

    theirs = recorded(scenario.name, answers, of="bare_daprd")

    assert answers(bare) == theirs
