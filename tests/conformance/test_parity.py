"""The same calls to daprd and to us, on every store: equal answers, except where a row of differences.txt says so."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import pytest

from tests.conformance.cases import ALL, NO_STORE
from tests.conformance.differences import ALL as DIFFERENCES
from tests.conformance.differences import same
from tests.conformance.scenario import Scene
from tests.support.sidecar import GRPC_SERVERS, Daprd, Sidecar
from tests.support.stores import STORES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conformance.differences import Difference
    from tests.conformance.scenario import Scenario

pytestmark = pytest.mark.oracle


def _prefix(scenario: Scenario) -> str:
    return f"{ALL.index(scenario)}:"


@pytest.fixture(scope="module")
def model(daprd: Daprd) -> Callable[[Scenario, str], list[str]]:
    """daprd's answers: each scenario is played to it once, whatever is compared with it."""

    @cache
    def answers(scenario: Scenario, store: str) -> list[str]:
        with daprd.client() as client:
            return scenario.play(Scene(client, store, _prefix(scenario)))

    return answers


def _expected(theirs: list[str], scenario: Scenario, store: str, grpc_server: str) -> list[str]:
    """Say what our answers are to be, given daprd's; a row whose daprd answers otherwise is out of date."""
    expected = list(theirs)
    for row in DIFFERENCES:
        if row.scenario == scenario.name and store in row.daprd and grpc_server in row.servers:
            assert same(theirs[row.call], row.daprd[store])
            expected[row.call] = row.ours
    return expected


@pytest.mark.parametrize("store", STORES)
@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_answers_are_equal(
    scenario: Scenario, store: str, sidecar: Sidecar, model: Callable[[Scenario, str], list[str]]
) -> None:
    """Status, message, details and response of each call are daprd's, or those of a listed difference."""
    theirs = model(scenario, store)
    with sidecar.client() as client:
        answers = scenario.play(Scene(client, store, _prefix(scenario)))

    assert answers == _expected(theirs, scenario, store, sidecar.grpc_server)


@pytest.mark.parametrize("scenario", NO_STORE, ids=lambda scenario: scenario.name)
def test_answers_without_any_store_are_equal(
    scenario: Scenario, tmp_path: Path, grpc_server: str, daprd_binary: Path
) -> None:
    """A sidecar that has no state store says so as daprd does."""
    with (
        Sidecar(tmp_path, grpc_server=grpc_server) as sidecar,
        Daprd(daprd_binary, tmp_path) as daprd,
        sidecar.client() as ours,
        daprd.client() as theirs,
    ):
        answers = scenario.play(Scene(ours, "mem", ""))
        expected = scenario.play(Scene(theirs, "mem", ""))

    assert answers == expected


def test_scenarios_have_names_of_their_own() -> None:
    """A row of differences means one scenario."""
    names = [scenario.name for scenario in ALL]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", DIFFERENCES, ids=repr)
def test_every_difference_is_one(row: Difference) -> None:
    """A row names a rule, a scenario and a call that exist, stores and servers that exist, and answers that differ."""
    calls = {scenario.name: len(scenario.calls) for scenario in ALL}

    assert row.rule
    assert row.call < calls[row.scenario]
    assert set(row.daprd) <= set(STORES)
    assert set(row.servers) <= set(GRPC_SERVERS)
    assert row.daprd
    assert row.ours not in row.daprd.values()
