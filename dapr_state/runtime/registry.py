"""The sidecars of this user on this machine: each keeps a file, locked while it lives, by which others find it.

A file whose lock can be had is left over from one that was killed, and whoever notices removes it.
"""

from __future__ import annotations

import fcntl
import json
import os
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from msgspec import Struct, structs

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


class Entry(Struct, frozen=True):
    """One sidecar. No secret is in it; `run_pid` is 0 where no `run` has started it."""

    pid: int
    app_id: str
    started_at: float  # seconds since 1970
    http_port: int
    grpc_port: int
    sockets: str  # the folder, where there are no ports
    metrics_port: int
    app_port: int
    run_pid: int
    run_file: str
    run_name: str
    command: str
    max_body_size: int
    read_buffer_size: int
    token_needed: bool
    app_log: str  # the file, where there is one
    sidecar_log: str


class Registered:
    """While entered, this process can `be` in the registry; where no file can be kept it is not, and works."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self._path = folder(environ) / f"{os.getpid()}.json"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        if self._file:
            with suppress(OSError):
                self._path.unlink()
            self._file.close()

    def be(self, entry: Entry) -> None:
        """Again, in place of what it was before a restart."""
        before = self._file
        with suppress(OSError):
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            new = self._path.with_suffix(".new")
            self._file = os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w")
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            json.dump(structs.asdict(entry), self._file)
            self._file.flush()
            new.rename(self._path)  # only now it can be found: whole, and locked
        if before:
            before.close()


def folder(environ: Mapping[str, str]) -> Path:
    base = environ.get("XDG_RUNTIME_DIR")
    return (Path(base) if base else Path(environ.get("HOME") or "/nonexistent") / ".local/state") / "dapr-state" / "run"


def entries(environ: Mapping[str, str]) -> Iterator[Entry]:
    """Those that live, by their ids."""
    found = (_read(path) for path in folder(environ).glob("*.json"))
    yield from sorted(filter(None, found), key=lambda entry: (entry.app_id, entry.pid))


def _read(path: Path) -> Entry | None:
    try:
        with path.open() as file:
            if _is_left_over(file):
                if os.path.samestat(os.fstat(file.fileno()), path.stat()):  # and not that of a new process
                    path.unlink()
                return None
            values = json.load(file)
        known = {field.name for field in structs.fields(Entry)}
        return Entry(**{name: value for name, value in values.items() if name in known})
    except (OSError, ValueError, TypeError, AttributeError):
        return None


def _is_left_over(file: IO[str]) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
