"""The placement service: the real one, and a simple one of ours where that is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import oracle
from tests.support.control_plane import OwnPlacement, Placement

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture(params=["own", pytest.param("real", marks=pytest.mark.oracle)])
def placement(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OwnPlacement | Placement]:
    service = OwnPlacement(tmp_path) if request.param == "own" else Placement(oracle.program("placement"), tmp_path)
    with service:
        yield service
