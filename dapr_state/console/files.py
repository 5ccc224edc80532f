"""The files of the page, read once: what is not in this table is not served, whatever a path says."""

from __future__ import annotations

import gzip
import hashlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

INDEX: Final = "index.html"
TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

log = logging.getLogger("dapr.runtime.http")


class File(NamedTuple):
    """One file, as it is and compressed, each with an etag of its own."""

    content_type: str
    body: bytes
    zipped: bytes
    etag: str

    @property
    def zipped_etag(self) -> str:
        return f'{self.etag[:-1]}-gzip"'

    @classmethod
    def of(cls, content_type: str, body: bytes) -> File:
        etag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        return cls(content_type, body, gzip.compress(body, mtime=0), etag)


def load() -> Mapping[str, File]:
    """All files by their paths; none, and a line in the log, where the package was installed without them."""
    static = Path(__file__).with_name("static")
    found = dict(_below(static, "")) if static.is_dir() else {}
    if INDEX not in found:
        log.warning("The console has no page: the files of dapr_state/console/static are not installed")
    return found


def _below(folder: Path, before: str) -> Iterator[tuple[str, File]]:
    for entry in folder.iterdir():
        path = before + entry.name
        if entry.is_dir():
            yield from _below(entry, f"{path}/")
        elif content_type := TYPES.get(path[path.rfind(".") :]):
            yield path, File.of(content_type, entry.read_bytes())
