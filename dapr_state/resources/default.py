"""The state store of a sidecar that is given no component folder: SQLite in the user's data folder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from dapr_state.resources.component import Component
from dapr_state.resources.properties import Properties

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "statestore"


def default_store(app_id: str, environ: Mapping[str, str]) -> Component:
    """Create the folder where it is missing. One file per application: SQLite has one writer at a time."""
    folder = _data_home(environ) / "dapr-state"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = folder / f"{quote(app_id, safe=' ')}.db"
    # the store reads its path as part of a URI
    properties = Properties({"connectionString": quote(str(file)), "actorStateStore": "true"})
    return Component(name=NAME, type="state.sqlite", version="v1", properties=properties)


def _data_home(environ: Mapping[str, str]) -> Path:
    given = environ.get("XDG_DATA_HOME", "")
    # a relative path is to be ignored: XDG Base Directory Specification
    return Path(given) if given.startswith("/") else Path.home() / ".local" / "share"
