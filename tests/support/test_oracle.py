"""Where the real programs are looked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import oracle

if TYPE_CHECKING:
    from pathlib import Path


def put(path: Path, version: str = "1.18.1") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\necho {version}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(autouse=True)
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No daprd but those of the test."""
    monkeypatch.setattr(oracle, "UNPACK", tmp_path / "none")
    monkeypatch.delenv("DAPRD", raising=False)
    monkeypatch.setenv("PATH", f"{tmp_path / 'path'}:/usr/bin:/bin")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def find(name: str) -> Path | None:
    return oracle.find.__wrapped__(name)


def test_each_place_is_looked_at_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What DAPRD names, a file or a folder, goes before PATH, and PATH before where `dapr init --slim` puts it."""
    assert find("daprd") is None
    at_home = put(tmp_path / "home/.dapr/bin/daprd")
    assert find("daprd") == at_home
    on_path = put(tmp_path / "path/daprd")
    assert find("daprd") == on_path
    named = put(tmp_path / "named/daprd")
    monkeypatch.setenv("DAPRD", str(named))
    assert find("daprd") == named
    monkeypatch.setenv("DAPRD", str(named.parent))
    assert find("daprd") == named


def test_a_daprd_of_another_version_is_none(tmp_path: Path) -> None:
    """Its answers are others; one that was built by hand does not say which it is."""
    daprd = put(tmp_path / "path/daprd", "1.15.0")
    assert find("daprd") is None
    assert find(put(tmp_path / "path/placement").name)
    put(daprd, "edge")
    assert find("daprd") == daprd


def test_a_skip_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """And in the words by which .ci/run tells it from other skips."""
    monkeypatch.setattr(oracle, "find", lambda _: None)
    with pytest.raises(pytest.skip.Exception, match="the real daprd is not here: `dapr init --slim"):
        oracle.program("daprd")
