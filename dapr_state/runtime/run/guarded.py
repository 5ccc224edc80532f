"""The process that ends the groups which are left when this one is killed, as `run` sees it; see `guardian.py`."""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Self

from dapr_state.runtime.supervised import RUN

if TYPE_CHECKING:
    from collections.abc import Iterator


class Guardian:
    """While entered, it watches the groups that it is told of."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(  # noqa: S603 - our own
            [sys.executable, "-m", "dapr_state.runtime.run.guardian", f"{RUN}={os.getpid()}"],
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

    @contextmanager
    def starting(self) -> Iterator[None]:
        """Around the start of a child: until `watch` is called it has no number, and `run` may be killed."""
        self._tell("?\n")
        try:
            yield
        finally:
            self._tell("!\n")

    def watch(self, group: int) -> None:
        self._tell(f"+{group}\n")

    def forget(self, group: int) -> None:
        self._tell(f"-{group}\n")

    def _tell(self, line: str) -> None:
        with suppress(OSError):  # somebody has killed it
            os.write(self._pipe, line.encode())
