"""Fixtures of other names, for who tests with more than one kind of sidecar."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from dapr_state.pytest import plugin

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from dapr_state.pytest.sidecar import Dapr
    from dapr_state.pytest.starting import Sidecars


def sidecar(components: Sequence[Any], **settings: Any) -> Any:
    """A fixture of the session, as `dapr_sidecar`: what `Sidecars.start` is given."""

    @pytest.fixture(scope="session")
    def started(dapr_sidecar_factory: Sidecars) -> Dapr:
        return dapr_sidecar_factory.start(components, **settings)

    return started


def dapr(of: str) -> Any:
    """A fixture of a test, as `dapr`: the sidecar of the fixture of that name, empty."""

    @pytest.fixture
    def emptied(request: pytest.FixtureRequest) -> Iterator[Dapr]:
        yield from plugin.of_test(request, request.getfixturevalue(of))

    return emptied
