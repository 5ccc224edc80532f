"""The tables of differences: each row is about a step that there is, and makes a difference."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.actors.cases import SUITE as ACTORS
from tests.conformance.over_grpc.cases import SUITE as GRPC
from tests.conformance.over_http.cases import SUITE as HTTP
from tests.support.sidecar import GRPC_SERVERS

if TYPE_CHECKING:
    from tests.conformance.differences import Difference, Suite

SUITES = (GRPC, HTTP, ACTORS)


@pytest.mark.parametrize("suite", SUITES, ids=lambda suite: suite.name)
def test_scenarios_have_names_of_their_own(suite: Suite) -> None:
    """A row of differences means one scenario."""
    names = [scenario.name for scenario in suite.scenarios]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize(
    ("suite", "row"), [(suite, row) for suite in SUITES for row in suite.differences], ids=lambda each: repr(each)[:80]
)
def test_every_difference_is_one(suite: Suite, row: Difference) -> None:
    """A row names a rule, a scenario and a step that exist, places and servers that exist, and answers that differ."""
    steps = {scenario.name: len(scenario.steps) for scenario in suite.scenarios}

    assert row.rule
    assert row.step < steps[row.scenario]
    assert row.daprd
    assert set(row.daprd) <= set(suite.places)
    assert set(row.servers) <= set(GRPC_SERVERS)
    assert row.ours not in row.daprd.values()
