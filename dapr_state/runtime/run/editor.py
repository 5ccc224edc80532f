"""What an editor and a browser are given: the variables of an application that the editor starts, and the console."""

from __future__ import annotations

import shlex
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def lines(variables: Mapping[str, str], form: str) -> Iterator[str]:
    """For a shell, or as a .env file."""
    before = "" if form == "dotenv" else "export "
    for name, value in variables.items():
        yield f"{before}{name}={shlex.quote(value)}"


def show_console(port: str) -> None:
    """In whatever browser there is, which may take its time."""
    import webbrowser  # noqa: PLC0415 - for those who ask for it

    threading.Thread(target=webbrowser.open, args=(f"http://127.0.0.1:{port}/dapr-state/",), daemon=True).start()
