"""The console's foreign modules are those that the lock names: nobody has changed one by hand."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

VENDOR = Path(__file__).parents[1] / "dapr_state/console/static/vendor"


def test_foreign_modules_are_those_of_the_lock() -> None:
    """Each file has the hash that scripts/vendor wrote, none is there beside them, and each package has its licence."""
    lock = json.loads((VENDOR / "lock.json").read_text())
    there = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in VENDOR.iterdir()}
    there.pop("lock.json")

    assert there == lock["served"]
    for package in lock["packages"]:
        assert f"{package['name']}.LICENSE" in there
