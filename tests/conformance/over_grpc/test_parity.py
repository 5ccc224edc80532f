"""The same calls to daprd and to us, on every store: equal answers, except where a row of differences.txt says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.differences import all_same
from tests.conformance.over_grpc.cases import NO_STORE, SUITE
from tests.conformance.over_grpc.steps import Scene
from tests.support.recorded import data
from tests.support.sidecar import Daprd, Sidecar
from tests.support.stores import beginning, without_xmin

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conformance.scenario import Scenario
    from tests.support.recorded import Recorded


def play(server: Sidecar, scenario: Scenario, store: str) -> list[str]:
    with server.client() as client:
        whose = "d" if isinstance(server, Daprd) else "o"
        told = scenario.play(Scene(client, store, beginning(store, f"{whose}{SUITE.number(scenario)}:")))
    return [without_xmin(line, store) for line in told]


# of which daprd lists the rows as its parallel writes have left them
UNORDERED = {
    (name, store)
    for store in ("pg1", "pg2")
    for name in (
        "several at once",
        "one wrong etag among others",
        "found and missing",
        "a key that starts or ends with a bar",
    )
}
PLAYED = [
    pytest.param(scenario, store, id=f"{scenario.name}-{store}")
    for scenario in SUITE.scenarios
    for store in SUITE.places
    if (scenario.name, store) not in UNORDERED
]


@pytest.mark.parametrize(("scenario", "store"), PLAYED)
def test_answers_are_equal(scenario: Scenario, store: str, sidecar: Sidecar, recorded: Recorded) -> None:
    """Status, message, details and response of each call are daprd's, or those of a listed difference."""
    theirs = recorded(
        f"{scenario.name} on {store}",
        lambda daprd: play(daprd, scenario, store),
        alike=all_same,
    )

    assert data(play(sidecar, scenario, store)) == SUITE.expected(theirs, scenario, store, sidecar.grpc_server)


@pytest.mark.parametrize("scenario", NO_STORE, ids=lambda scenario: scenario.name)
def test_answers_without_any_store_are_equal(
    scenario: Scenario, tmp_path: Path, grpc_server: str, recorded: Recorded
) -> None:
    """A sidecar that has no state store says so as daprd does."""

    def answers(server: Sidecar) -> list[str]:
        with server, server.client() as client:
            return scenario.play(Scene(client, "mem", ""))

    theirs = recorded(
        f"{scenario.name} without any store",
        lambda daprd_binary: answers(Daprd(daprd_binary, tmp_path)),
        of="daprd_binary",
    )

    assert answers(Sidecar(tmp_path, grpc_server=grpc_server)) == theirs
