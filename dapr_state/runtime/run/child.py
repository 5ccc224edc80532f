"""One child in a process group of its own: started, waited for, ended with all that it has started itself."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import threading
from contextlib import suppress
from functools import partial
from typing import IO, TYPE_CHECKING, Any, Final

from dapr_state.clock import WAITING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

CHECK_INTERVAL: Final = 0.02  # seconds between two looks whether a group has ended
REST: Final = 1.0  # seconds for those of the group who are left when the child has ended


class Child:
    """`ended` has its exit code, or minus the signal that ended it."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        on_stopped: Callable[[Child], object] = lambda _: None,
        **streams: Any,
    ) -> None:
        """`on_stopped` is called when it was stopped, as by Ctrl-Z. Raises OSError where it cannot be started."""
        self._process = subprocess.Popen(command, env=environment, process_group=0, **streams)  # noqa: S603 - the user's own command
        self.pid = self._process.pid  # and the number of its group
        self._loop = asyncio.get_running_loop()
        self._on_stopped = on_stopped
        self.ended: asyncio.Future[int] = self._loop.create_future()
        self._is_over = False  # its group has ended: another one may have its number
        threading.Thread(target=self._wait, daemon=True).start()

    @property
    def output(self) -> IO[bytes]:
        """Of one that was started with a pipe."""
        if self._process.stdout is None:
            raise ValueError("it writes elsewhere")
        return self._process.stdout

    def __repr__(self) -> str:
        return f"<Child {self.pid}{' ended' if self.ended.done() else ''}>"

    def send(self, number: int) -> None:
        """To its whole group."""
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, number)

    async def end(self, number: int, grace: float) -> bool:
        """Ask it to end with this signal, and after the grace make it; False if that was needed. Once for all."""
        if self._is_over:
            return True
        self.send(number)
        self.send(signal.SIGCONT)
        await WAITING.wait([self.ended], timeout=grace)
        is_willing = self.ended.done()
        if is_willing:
            await self._end_rest()
        self.send(signal.SIGKILL)
        await self.ended
        self._is_over = True
        return is_willing

    async def _end_rest(self) -> None:
        """What the child has started may still run."""
        until = WAITING.monotonic() + REST
        self.send(signal.SIGTERM)
        while self._is_left() and WAITING.monotonic() < until:
            await WAITING.sleep(CHECK_INTERVAL)

    def _is_left(self) -> bool:
        try:
            os.killpg(self.pid, 0)
        except (ProcessLookupError, PermissionError):
            return False
        return True

    def _wait(self) -> None:
        while True:
            _, status = os.waitpid(self.pid, os.WUNTRACED)
            if not os.WIFSTOPPED(status):
                break
            if os.WSTOPSIG(status) == signal.SIGTSTP:
                self._tell(partial(self._on_stopped, self))
        self._process.returncode = os.waitstatus_to_exitcode(status)
        self._tell(self._settle)

    def _tell(self, what: Callable[[], object]) -> None:
        with suppress(RuntimeError):  # the loop has ended
            self._loop.call_soon_threadsafe(what)

    def _settle(self) -> None:
        if not self.ended.done():
            self.ended.set_result(self._process.returncode)
