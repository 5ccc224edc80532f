"""The contract as a kit: run over a store of an outsider, in a folder and a process of its own."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OUTSIDE = Path(__file__).with_name("outside")


def run(folder: Path) -> tuple[dict[str, int], str]:
    """How many of the kit's tests passed and failed; and what was said."""
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-c", "/dev/null", str(folder)]
    said = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout
    return {word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|error)", said)}, said


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    shutil.copytree(OUTSIDE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "contract.py").rename(folder / "test_contract.py")
    (folder / "declared.py").rename(folder / "conftest.py")
    return folder


def test_a_store_that_keeps_the_contract_passes(outside: Path) -> None:
    """All of the tests that are for it; those of features that it lacks are skipped."""
    counts, said = run(outside)

    assert counts["passed"] > 50, said
    assert counts.keys() == {"passed", "skipped"}, said


@pytest.mark.parametrize(
    ("promise", "breach", "test"),
    [
        ("if refused := conflict(operation, row.etag if row else None):", "if refused := None:", "etag"),
        ("self._rows = before\n", "pass\n", "what_an_operation_did_can_fail_the_next"),
        (
            "[self._rows.get(key) for key in keys]",
            "[self._rows.get(key) for key in sorted(keys)]",
            "in_the_order_of_the_request",
        ),
    ],
)
def test_a_store_that_breaks_it_fails(outside: Path, promise: str, breach: str, test: str) -> None:
    """And the test that fails shows the values, as pytest does."""
    store = outside / "store.py"
    source = store.read_text()
    assert source.count(promise) == 1
    store.write_text(source.replace(promise, breach))
    counts, said = run(outside)

    assert counts["failed"] > 0
    assert re.search(rf"FAILED .*{test}", said), said
    assert "AssertionError: assert " in said or "DID NOT RAISE" in said
