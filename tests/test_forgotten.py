"""How to add (CONTRIBUTING): a forgotten step fails a test. Those of operations are in test_operations.py."""

from __future__ import annotations

import ast
import importlib
import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from dapr_state import errors
from dapr_state.api.metadata import CAPABILITIES
from dapr_state.errors import ErrorRow
from dapr_state.observability.exposition import CountOf, Family
from dapr_state.observability.metrics import Metrics
from dapr_state.runtime import flags
from dapr_state.runtime.options import Options
from dapr_state.stores import registry
from dapr_state.stores.wrapper import Wrapper

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "dapr_state"
SOURCES = {path.relative_to(PACKAGE): path.read_text() for path in PACKAGE.rglob("*.py")}


def used_outside(own: str, names: set[str]) -> set[str]:
    """Those of the names that are attributes, imports or words of another module than their own."""
    rest = "\n".join(text for path, text in SOURCES.items() if path != Path(own))
    return names & set(re.findall(r"\w+", rest))


def test_every_error_is_raised_somewhere() -> None:
    """A row that nobody raises is an error that was forgotten, or one that is gone."""
    rows = {name for name, value in vars(errors).items() if isinstance(value, ErrorRow)}
    makers = "\n".join(ast.unparse(node) for node in ast.parse(SOURCES[Path("errors.py")]).body if _is_function(node))

    assert rows - used_outside("errors.py", rows) - set(re.findall(r"\w+", makers)) == set()


def _is_function(node: ast.stmt) -> bool:
    return isinstance(node, ast.FunctionDef)


def test_every_metric_is_counted_somewhere() -> None:
    """A family that nobody touches is a line of zeros, which is worse than none."""
    families = [name for name, value in vars(Metrics("app")).items() if isinstance(value, Family | CountOf)]
    attributes = Counter(re.findall(r"\.(\w+)\b", "\n".join(SOURCES.values())))  # the first is where it is made

    assert families
    assert [name for name in families if attributes[name] < 2] == []


# daprd's, taken so that its command lines work unchanged: they are about what this sidecar does not have
WITHOUT_EFFECT = {
    "control-plane-address",
    "disable-builtin-k8s-secret-store",
    "reminders-service",
    "sentry-request-jwt-audiences",
}


def test_every_flag_is_read() -> None:
    """A row of the table that nobody reads would be taken, and mean nothing."""
    readers = SOURCES[Path("runtime/options.py")] + SOURCES[Path("cli.py")]

    assert {each.name for each in flags.FLAGS} - set(re.findall(r'"([a-z0-9-]+)"', readers)) <= WITHOUT_EFFECT


# what is checked as daprd checks it, for what this sidecar does not have
UNASKED = {"profile_port"}


def test_every_option_is_asked_for() -> None:
    """A field that nobody reads is a flag without effect."""
    fields = set(Options.__struct_fields__)

    assert fields - used_outside("runtime/options.py", fields) <= UNASKED


PLACES = sorted({place for versions in registry._STORES.values() for place in versions.values()})


@pytest.mark.parametrize("place", PLACES)
def test_every_store_is_tested_and_shown(place: str) -> None:
    """It has a declaration for the contract, a sample, a line of its abilities, and a word in the README."""
    module, name = place.split(":")
    package = module.split(".")[0]
    types = {type_ for type_, versions in registry._STORES.items() if place in versions.values()}
    samples = "\n".join(path.read_text() for path in (ROOT / "components").glob("*.yaml"))

    assert getattr(importlib.import_module(f"dapr_state.stores.{module}"), name)
    assert re.search(rf'Declaration\(\s*"{package}', (ROOT / "tests/stores/conftest.py").read_text())
    assert {f"state.{each}" for each in types} <= set(CAPABILITIES)
    assert any(f"state.{each}" in samples for each in types)
    assert any(f"state.{each}" in (ROOT / "README.md").read_text() for each in types)


def test_every_wrapper_is_put_on_and_tested() -> None:
    """build.py or the test mode makes it, and the contract is declared for a store in it."""
    made = SOURCES[Path("stores/build.py")] + SOURCES[Path("testmode/service.py")]
    for path in (*(PACKAGE / "stores").rglob("*.py"), *(PACKAGE / "testmode").rglob("*.py")):
        importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    wrappers = {each.__name__ for each in _all(Wrapper) if each.__module__.startswith("dapr_state.")}
    declared = (ROOT / "tests/stores/conftest.py").read_text()

    assert wrappers
    assert {each for each in wrappers if f"{each}(" not in made} == set()
    assert {each for each in wrappers if f"{each}(" not in declared} == set()


def _all(kind: Any) -> set[Any]:
    return {kind, *(each for sub in kind.__subclasses__() for each in _all(sub))} - {Wrapper}
