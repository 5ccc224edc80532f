"""The sample component files."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from dapr_state.resources.loader import load, parse
from dapr_state.resources.resolve import Environment
from dapr_state.stores import registry

SAMPLES = Path(__file__).resolve().parents[2] / "components"


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_sample_is_without_fault(path: Path) -> None:
    """Each file is read without a complaint, and says at its top what it is for."""
    manifests, problems = parse(path.read_text(), str(path))

    assert problems == []
    (kind,) = (each.type for each in manifests if each.type.startswith("state."))
    assert f"state.{path.stem}".startswith(kind)
    assert re.match(r"# .+\.\n", path.read_text())


def test_the_samples_may_be_loaded_together() -> None:
    """The folder as a whole is a good --resources-path: names differ, and each type has its store."""
    components = load([str(SAMPLES)], Environment("app", {"REDIS_PASSWORD": "pw"})).components

    stores = {component.name: type(registry.create(component)).__name__ for component in components}

    assert stores == {
        "memory": "MemoryStore",
        "postgresql": "PostgresV2",
        **dict.fromkeys(("redis", "redis-cluster", "redis-sentinel"), "RedisStore"),
        "statestore": "SqliteStore",
    }
    assert next(each for each in components if each.name == "redis").properties["redisPassword"] == "pw"
