"""A small application in a process of its own that misbehaves when it is told to.

A rule is a dict: `match` is looked for in "PUT /actors/T/ID/method/M"; `times` says how often it holds (for ever, if
not given). Before it answers, the application can `hold` (until `release`), `delay` (seconds), `die`, `drop` or `reset`
the connection. The answer has `status`, `reason`, `headers` (pairs), `lines` (raw), `body` or `size` (so many zeros),
`interim` (statuses sent before), `version`; it is `chunked`, or ends `until_close`, or is `raw` (every byte of it); it
says `close`, or closes without a word (`hang_up`), or is `cut` after so many bytes, or comes `early`, before the body
is read.
"""

from __future__ import annotations

import json
import ssl
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.support.processes import Process, free_port
from tests.support.waiting import until

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PROGRAM = Path(__file__).with_name("rawapp_server.py")


@dataclass(frozen=True)
class Seen:
    """One request that the application was sent. `began` and `ended` number its events; None: not answered (yet)."""

    method: str
    target: str
    headers: Sequence[tuple[str, str]]
    body: str  # bytes as latin-1
    connection: int
    began: int
    ended: int | None

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key.lower() == name.lower()), None)


class RawApp(Process):
    """`config` is what `/dapr/config` answers; without one it answers 404."""

    def __init__(
        self, folder: Path, config: Mapping[str, Any] | str = "", *, port: int = 0, tls: tuple[Path, Path] | None = None
    ) -> None:
        self.port = port or free_port()
        text = config if isinstance(config, str) else json.dumps(config)
        super().__init__([sys.executable, PROGRAM, str(self.port), text, *(tls or ())], folder / f"app-{self.port}.log")
        self._tls = tls

    def is_ready(self) -> bool:
        try:
            self._control("seen")
        except OSError:
            return False
        return True

    def obey(self, *rules: Mapping[str, Any]) -> None:
        """Follow these rules from now on, and no others; the first that matches counts."""
        self._control("rules", rules)

    def release(self) -> None:
        """Answer all that is held."""
        self._control("release")

    def holding(self, number: int = 1) -> None:
        """Wait until so many requests are held."""
        until(lambda: self._control("holding") >= number, what=f"{number} requests are held")

    def forget(self) -> None:
        self._control("forget")

    def seen(self, part: str = "") -> list[Seen]:
        """What it was asked, in order; only targets with this part."""
        found = [Seen(**each) for each in self._control("seen")]
        return [each for each in found if part in each.target]

    def _control(self, what: str, body: object = None) -> Any:
        scheme = "https" if self._tls else "http"
        url = f"{scheme}://127.0.0.1:{self.port}/control/{what}"
        request = urllib.request.Request(url, json.dumps(body).encode(), method="POST")
        with urllib.request.urlopen(request, timeout=20, context=_trusting() if self._tls else None) as answer:
            return json.load(answer)


def _trusting() -> ssl.SSLContext:
    return ssl._create_unverified_context()
