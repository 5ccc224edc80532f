"""The sample component files."""

from __future__ import annotations

import re
import socket
from pathlib import Path

import pytest

from dapr_state.resources.loader import load, parse
from dapr_state.resources.resolve import Environment
from dapr_state.stores import registry
from dapr_state.stores.pluggable import sockets

SAMPLES = Path(__file__).resolve().parents[2] / "components"


@pytest.mark.parametrize("path", sorted(SAMPLES.iterdir()), ids=lambda path: path.name)
def test_a_sample_is_without_fault(path: Path) -> None:
    """Each file is read without a complaint, and says at its top what it is for."""
    file = parse(path.read_text(), str(path))

    assert file.is_good
    (kind,) = (each.type for each in file.manifests if each.type.startswith("state."))
    assert f"state.{path.stem}".startswith(kind) or path.name == "pluggable.yaml"  # whose type is its own
    assert re.match(r"# .+\.\n", path.read_text())


def test_the_samples_may_be_loaded_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder as a whole is a good --resources-path: names differ, and each type has its store."""
    components = load([str(SAMPLES)], Environment("app", {"REDIS_PASSWORD": "pw"})).components
    monkeypatch.setenv(sockets.FOLDER_VARIABLE, str(tmp_path))

    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(tmp_path / "my-store.sock"))
        listening.listen()
        stores = {component.name: type(registry.create(component)).__name__ for component in components}

    assert stores == {
        "memory": "MemoryStore",
        "plugged": "PluggableStore",
        "postgresql": "PostgresV2",
        **dict.fromkeys(("redis", "redis-cluster", "redis-sentinel"), "RedisStore"),
        "statestore": "SqliteStore",
    }
    assert next(each for each in components if each.name == "redis").properties["redisPassword"] == "pw"
