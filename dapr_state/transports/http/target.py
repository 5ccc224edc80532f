"""What a request asks for: its path, cleaned and in segments, and its query (state-api.md 8).

Paths stay bytes until a segment is decoded, so that `%2F` never splits one.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

METADATA = "metadata."
ADMIN_ROOT = b"/dapr-state/v1/"  # what the administration answers begins so

_ABSOLUTE = re.compile(rb"[A-Za-z][A-Za-z0-9+.\-]*://[^/?]*")
_BAD_PERCENT = re.compile(rb"%(?![0-9A-Fa-f]{2})")


def split(target: bytes) -> tuple[bytes, bytes]:
    """The raw path and the raw query."""
    path, _, query = target.partition(b"?")
    if not path.startswith(b"/") and (absolute := _ABSOLUTE.match(path)):
        path = path[absolute.end() :] or b"/"
    return path, query


def segments(path: bytes) -> list[bytes]:
    """The parts between the slashes; empty parts and `.` are dropped, `..` takes back the part before it."""
    if b"/." not in path and b"//" not in path and path[:1] == b"/" != path[-1:]:
        return path[1:].split(b"/")  # nothing to clean
    found: list[bytes] = []
    for part in path.split(b"/"):
        if part == b"..":
            del found[-1:]
        elif part not in {b"", b"."}:
            found.append(part)
    return found


def decode(segment: bytes) -> str:
    """A path parameter or a part of the query: `+` is a blank. Bytes that are not UTF-8 survive as surrogates."""
    if b"%" in segment or b"+" in segment:
        segment = unquote_to_bytes(segment.replace(b"+", b" "))
    return segment.decode("utf-8", "surrogateescape")


def parameters(query: bytes) -> dict[str, str]:
    """The query's parameters; of those with one name the first. Malformed ones are dropped, as Go does."""
    found: dict[str, str] = {}
    for name, value in _pairs(query) if query else ():
        found.setdefault(name, value)
    return found


def metadata(given: Mapping[str, str]) -> dict[str, str]:
    """The request metadata among the query's parameters."""
    return {name.removeprefix(METADATA): value for name, value in given.items() if name.startswith(METADATA)}


def _pairs(query: bytes) -> Iterator[tuple[str, str]]:
    for pair in query.split(b"&"):
        if not pair or b";" in pair or _BAD_PERCENT.search(pair):
            continue
        name, _, value = pair.partition(b"=")
        yield decode(name), decode(value)
