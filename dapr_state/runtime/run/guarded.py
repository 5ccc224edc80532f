"""The process that ends the groups which are left when this one is killed, as `run` sees it; see `guardian.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import suppress
from typing import Self


class Guardian:
    """While entered, it watches the groups that it is told of."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "dapr_state.runtime.run.guardian"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is not for it
        )
        self._pipe = self._process.stdin.fileno() if self._process.stdin else -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        with suppress(OSError):
            self._process.communicate()

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        with suppress(OSError):  # somebody has killed it
            os.write(self._pipe, line.encode())
