"""The same requests to daprd and to us about actors: equal answers, except where a row of differences.txt says so."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.conformance.actors.cases import SUITE
from tests.conformance.actors.side import ControlPlane, hosted, sidecar
from tests.conformance.actors.steps import CONFIG, TYPE, Scene
from tests.support.rawapp import RawApp
from tests.support.recorded import data
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.conformance.scenario import Scenario
    from tests.support.recorded import Recorded


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


def play(scenario: Scenario, scene: Scene) -> list[str]:
    scene.app.obey()
    lines = scenario.play(Scene(scene.port, scene.client, scene.app, f"a{SUITE.number(scenario):03}x"))
    scene.app.obey()
    return lines


@pytest.mark.parametrize("scenario", SUITE.scenarios, ids=lambda scenario: scenario.name)
def test_answers_are_equal(scenario: Scenario, ours: Scene, recorded: Recorded) -> None:
    """Each answer, and each request that reaches the application, is daprd's or that of a listed difference."""
    said = recorded(scenario.name, lambda theirs: play(scenario, theirs), of="theirs")

    assert data(play(scenario, ours)) == SUITE.expected(said, scenario, "daprd")
