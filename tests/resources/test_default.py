"""The store of a sidecar without component files."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote

import pytest

from dapr_state.resources.default import default_store


def _file(app_id: str, environ: dict[str, str]) -> Path:
    return Path(unquote(default_store(app_id, environ).properties["connectionString"]))


def test_it_is_a_sqlite_store_for_actors_too(tmp_path: Path) -> None:
    """Without any set-up, actors can keep their state as well."""
    component = default_store("app", {"XDG_DATA_HOME": str(tmp_path)})

    assert component.display == "statestore (state.sqlite/v1)"
    assert component.properties["actorStateStore"] == "true"


def test_its_file_lies_in_the_data_folder(tmp_path: Path) -> None:
    """Each application has a file of its own, in a folder that nobody else may read."""
    file = _file("my app", {"XDG_DATA_HOME": str(tmp_path)})

    assert file == tmp_path / "dapr-state" / "my app.db"
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("data_home", ["", "relative/path"])
def test_without_a_data_folder_it_is_below_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, data_home: str
) -> None:
    """XDG_DATA_HOME that is unset, or not absolute, means ~/.local/share."""
    monkeypatch.setenv("HOME", str(tmp_path))

    file = _file("app", {"XDG_DATA_HOME": data_home})

    assert file == tmp_path / ".local" / "share" / "dapr-state" / "app.db"


def test_an_app_id_does_not_leave_the_folder(tmp_path: Path) -> None:
    """Characters with a meaning in paths are written otherwise."""
    file = _file("../../etc/passwd", {"XDG_DATA_HOME": str(tmp_path)})

    assert file.parent == tmp_path / "dapr-state"
