"""The same requests to daprd and to us about actors: equal answers, except where a row of differences.txt says so."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.conformance.actors.cases import ALL
from tests.conformance.actors.scene import CONFIG, TYPE, Scene
from tests.conformance.actors.side import ControlPlane, hosted, sidecar
from tests.conformance.differences import read
from tests.support.rawapp import RawApp
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conformance.actors.scene import Scenario
    from tests.conformance.differences import Difference

pytestmark = pytest.mark.oracle

DIFFERENCES = read(Path(__file__).with_name("differences.txt").read_text())


def _scenes(folder: Path, plane: ControlPlane | None) -> Iterator[Scene]:
    with (
        RawApp(folder, CONFIG) as app,
        sidecar(folder, plane, app.port) as server,
        server.client() as client,
    ):
        until(lambda: TYPE in hosted(server), what="the application's type is hosted")
        yield Scene(server.http_port, client, app, "")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    yield from _scenes(tmp_path_factory.mktemp("ours"), None)


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory, control_plane: ControlPlane) -> Iterator[Scene]:
    yield from _scenes(tmp_path_factory.mktemp("theirs"), control_plane)


def _played(scenario: Scenario, scene: Scene) -> list[str]:
    actor = f"a{ALL.index(scenario):03}x"
    return scenario.play(Scene(scene.port, scene.client, scene.app, actor))


@pytest.mark.parametrize("scenario", ALL, ids=lambda scenario: scenario.name)
def test_answers_are_equal(scenario: Scenario, ours: Scene, theirs: Scene) -> None:
    """Each answer, and each request that reaches the application, is daprd's or that of a listed difference."""
    expected = _played(scenario, theirs)
    for row in DIFFERENCES:
        if row.scenario == scenario.name:
            assert expected[row.call] == row.daprd["daprd"]
            expected[row.call] = row.ours

    answers = _played(scenario, ours)

    assert answers == expected


def test_scenarios_have_names_of_their_own() -> None:
    """A row of differences means one scenario."""
    names = [scenario.name for scenario in ALL]

    assert sorted(set(names)) == sorted(names)


@pytest.mark.parametrize("row", DIFFERENCES, ids=repr)
def test_every_difference_is_one(row: Difference) -> None:
    """A row names a rule, a scenario and a step that exist, and answers that differ."""
    steps = {scenario.name: len(scenario.steps) for scenario in ALL}

    assert row.rule
    assert row.call < steps[row.scenario]
    assert row.ours != row.daprd["daprd"]
