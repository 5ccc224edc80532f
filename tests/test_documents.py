"""What the documents name is there, and what is there is named."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
TOP = r"(?:dapr_state|tests|scripts|docs|components|proto|generated|\.ci)/"
PATH = re.compile(rf"(?<![\w./-])({TOP}[\w./*-]*)|`([\w-]+(?:/[\w.-]+)+(?:\.(?:py|txt|md|lua|json|proto)|/))`")
BELOW = ("", "dapr_state", "dapr_state/stores", "dapr_state/transports/grpc", "dapr_state/transports/http", "tests")
ROOMS = sorted(
    each.name
    for each in (ROOT / "dapr_state").iterdir()
    if each.name not in {"__init__.py", "__main__.py", "__pycache__", "py.typed"} and each.name[0] != "."
)


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_path_that_is_named_exists(document: Path) -> None:
    """A file may be named from the repository's folder, or from the package's."""
    named = {(given or short).rstrip(".") for given, short in PATH.findall(document.read_text())}
    missing = {each for each in named if not any(list((ROOT / below).glob(each.rstrip("/"))) for below in BELOW)}

    assert missing == set()


@pytest.mark.parametrize("room", ROOMS)
def test_every_room_is_in_the_table_of_rooms(room: str) -> None:
    """CONTRIBUTING says what belongs in each folder and file of the package."""
    rows = [line for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines() if line.startswith("| `")]

    assert [line for line in rows if f"dapr_state/{room}" in line.split("|")[1]]
