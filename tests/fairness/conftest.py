"""Which of the longest tests run each time: with FAIR_ON_POSTGRESQL=1 (scripts/soak-fairness) all of them do."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pytest

# of the requests for actors over PostgreSQL, those that give its statements most to do; all of them take two minutes
_EACH_TIME = ("transaction: most deletes over HTTP]", "transaction: most empty operations]", "transaction: values]")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if os.environ.get("FAIR_ON_POSTGRESQL"):
        return
    items[:] = [item for item in items if not _is_long(item.nodeid)]


def _is_long(name: str) -> bool:
    return "fairness/test_actors.py" in name and "[pg2" in name and not name.endswith(_EACH_TIME)
