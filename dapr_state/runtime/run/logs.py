"""`logs`: what an application of a run file has written, and its sidecar, of this run or the last one."""

from __future__ import annotations

import os
import sys
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Final

from dapr_state.clock import WAITING
from dapr_state.runtime import registry

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

PERIOD: Final = 0.2  # seconds between two looks whether more was written
AT_ONCE: Final = 65_536  # octets


def folder(environ: Mapping[str, str]) -> Path:
    """That of all runs, each of which has one in it."""
    base = environ.get("XDG_STATE_HOME") or Path(environ.get("HOME") or "/nonexistent") / ".local/state"
    return Path(base) / "dapr-state" / "logs"


def find(app_id: str, environ: Mapping[str, str], *, of_sidecar: bool) -> Path | None:
    """Where it writes now, else the newest of its files."""
    for entry in registry.entries(environ):
        path = entry.sidecar_log if of_sidecar else entry.app_log
        if entry.app_id == app_id and path:
            return Path(path)
    name = f"{app_id}_{'daprd' if of_sidecar else 'app'}.log"
    found = [path / name for path in folder(environ).glob("*") if (path / name).is_file()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def show(path: Path, lines: int, *, follows: bool) -> None:
    """Write the last lines, then what comes, until somebody has enough of it. Raises OSError."""
    with path.open("rb") as file:
        for line in deque(file, lines):
            _write(line)
        if not follows:
            return
        for piece in _coming(file, path):
            _write(piece)


def _coming(file: BinaryIO, path: Path) -> Iterator[bytes]:
    """Also of the next run, whose file takes the place of this one."""
    while True:
        while piece := file.read(AT_ONCE):
            yield piece
        WAITING.block(PERIOD)
        if path.exists() and not os.path.samestat(os.fstat(file.fileno()), path.stat()):
            yield from iter(lambda: file.read(AT_ONCE), b"")
            with path.open("rb") as after:
                yield from _coming(after, path)


def _write(octets: bytes) -> None:
    sys.stdout.buffer.write(octets)
    sys.stdout.buffer.flush()
