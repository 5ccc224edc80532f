"""The daprd processes of this machine, found as the dapr command finds them: by name, and by their command lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_NAME: Final = "daprd"
_FLAGS: Final = {
    "app-id": "appId",
    "dapr-http-port": "httpPort",
    "dapr-grpc-port": "grpcPort",
    "app-port": "appPort",
}


def found() -> Iterator[dict[str, Any]]:
    """What each says of itself, by the names of the list; none where there is no /proc."""
    for place in sorted(Path("/proc").glob("[0-9]*")):
        try:
            if (place / "comm").read_text().strip() != _NAME:
                continue
            words = (place / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has just ended, or is not ours to look at
            continue
        if (flags := _flags(words)).get("appId"):
            yield {**flags, "daprdPid": int(place.name), "status": "not ours"}


def _flags(words: list[str]) -> dict[str, Any]:
    said: dict[str, Any] = {}
    for word, after in zip(words, [*words[1:], ""], strict=True):
        name, equals, text = word.lstrip("-").partition("=")
        if word.startswith("-") and name in _FLAGS:
            value = text if equals else after
            said[_FLAGS[name]] = int(value) if value.isdecimal() and name != "app-id" else value
    return said
