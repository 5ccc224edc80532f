"""The direction of imports inside dapr_state: each floor may use those below it, and none above or beside it."""

from __future__ import annotations

import ast
from collections import Counter
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = "dapr_state"

# from the door to the ground; rooms on one floor do not know of each other
FLOORS = (
    {"pytest"},  # the plugin: it runs in the process of who tests, and knows nothing of ours
    {"testing"},  # what stores of others are tested with: nothing imports it
    {"__main__"},
    {"cli"},
    {"runtime"},
    {"transports"},
    {"admin"},
    {"testmode"},
    {"api"},
    {"actors"},
    {"app", "stores"},
    {"query"},
    {"resources"},
    {"resiliency"},
    {"observability", "security"},
    {"golang"},
    {"operations"},
    {"errors"},
    {"serving"},  # any service's servers: they know nothing of Dapr
    {"slices"},
    {"clock"},
    {"console"},  # the page's files: it is served from above, and uses nothing
    {"wire"},  # bytes and events: it is used from any floor, and uses none
    {""},  # the package itself: its version
)
HEIGHT = {room: -depth for depth, floor in enumerate(FLOORS) for room in floor}

MODULES = sorted((ROOT / PACKAGE).rglob("*.py"))


def _room(dotted: str) -> str:
    """Name the top-level part a module is in: dapr_state.stores.redis -> stores."""
    return (*dotted.split("."), "")[1]


def _name(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def imports(source: str) -> set[str]:
    """The modules of ours that the source imports, those for the type checker included."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            # "from dapr_state import errors" names a room; "from dapr_state.stores import model" is in one already
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == PACKAGE}


def _room_imported(name: str) -> str:
    room = _room(name)
    return room if room in HEIGHT else ""  # "from dapr_state import __version__"


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_imports_run_one_way(path: Path) -> None:
    """A module imports from its own room and from the floors below, never from above or beside."""
    room = _room(_name(path))
    targets = {_room_imported(name) for name in imports(path.read_text())} - {room}
    wrong = {target for target in targets if HEIGHT[target] >= HEIGHT[room]}

    assert room in HEIGHT, f"{room} has no floor yet"
    assert wrong == set()


def test_no_two_files_import_each_other() -> None:
    """Nor do three or more in a ring: every file can be read with those alone that it imports."""
    names = {_name(path) for path in MODULES}
    found = {_name(path): imports(path.read_text()) for path in MODULES}
    files = {
        name: {each if each in names else each.rpartition(".")[0] for each in targets} - {name}
        for name, targets in found.items()
    }

    assert len(list(TopologicalSorter(files).static_order())) >= len(names)


def test_no_room_is_most_of_the_house() -> None:
    """Each has less than a fifth of all lines: what grows beyond that is two subjects."""
    lines: Counter[str] = Counter()
    for path in (*MODULES, *(ROOT / PACKAGE).rglob("*.lua")):
        lines[_room(_name(path))] += path.read_text().count("\n")

    assert [room for room, count in lines.items() if count * 5 >= lines.total()] == []


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_no_import_is_relative(path: Path) -> None:
    """Imports name their module in full, so that the direction can be read from each line."""
    nodes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom))

    assert [node.lineno for node in nodes if node.level] == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("import dapr_state.api.state", {"dapr_state.api.state"}),
        ("from dapr_state import errors, clock", {"dapr_state.errors", "dapr_state.clock"}),
        (
            "if TYPE_CHECKING:\n    from dapr_state.stores.model import StoredValue",
            {"dapr_state.stores.model.StoredValue"},
        ),
        ("def f():\n    import dapr_state.cli", {"dapr_state.cli"}),
        ("import dapr_state_proto.runtime", set()),
    ],
)
def test_every_form_of_import_is_seen(source: str, found: set[str]) -> None:
    """Imports inside functions and for the type checker count as the others."""
    assert imports(source) == found
