"""The program of watched.py: `dapr-state` as it is, with a watchdog on its event loop.

    watched_program.py HOLDS BEATS serve [flags]

A timer of the loop beats every millisecond. What passes between two beats is one turn of the loop and at most a
millisecond more; of that, the time counts in which the loop's thread ran or was blocked, and not the time in which it
could have run but for other processes (schedstat). Nor does the time count in which another thread of the process could
have: it may hold the interpreter's lock, and beside ten busy programs one held it for 80 ms, of which it ran 2.
Each turn worth telling is a line of JSON in HOLDS, with the stack that a second thread saw meanwhile; BEATS holds the
number of beats. Nothing of this is in the product.
"""

from __future__ import annotations

import asyncio
import gc
import json
import mmap
import os
import sys
import threading
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from dapr_state import cli

if TYPE_CHECKING:
    from collections.abc import Coroutine, Iterable
    from types import FrameType

BEAT = 0.001  # seconds; uvloop's timers count whole milliseconds
WORTH_TELLING = 0.005  # seconds
LATE = 0.004  # seconds without a beat after which the stack is looked at
FRAMES = 8  # innermost ones of a stack that are told

run = uvloop.run


class Watchdog:
    """Lives on the loop's thread, but for `_look`."""

    def __init__(self, holds: Path, beats: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._thread = threading.get_ident()
        self._holds = holds.open("a", buffering=1)
        with beats.open("r+b") as file:
            self._beats = mmap.mmap(file.fileno(), 8)
        self._schedstat = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
        self._native = str(threading.get_native_id())
        self._schedstats: dict[str, int] = {}  # of the other threads
        self._count = 0
        self._seen: list[str] = []
        self._used: dict[int, float] = {}  # of a processor, by other threads
        self._collecting = 0.0
        gc.callbacks.append(self._on_collection)
        self._begin()
        threading.Thread(target=self._look, daemon=True).start()
        self._loop.call_later(BEAT, self._beat)

    def _begin(self) -> None:
        """The turn begins when all is read: each read lets go of the interpreter's lock, and may wait 5 ms for it."""
        self._others = self._others_waited()
        self._waited = _waited(self._schedstat)
        self._last = time.perf_counter(), time.thread_time()

    def _others_waited(self) -> dict[str, float]:
        """How long each other thread has waited for a processor."""
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - a thousand times a second
            if thread not in self._schedstats and thread != self._native:
                with suppress(FileNotFoundError):  # it has ended
                    self._schedstats[thread] = os.open(f"/proc/self/task/{thread}/schedstat", os.O_RDONLY)
        waited = {}
        for thread, file in list(self._schedstats.items()):
            try:
                waited[thread] = _waited(file)
            except ProcessLookupError:
                os.close(self._schedstats.pop(thread))
        return waited

    def _beat(self) -> None:
        clock, used = (
            late - early for late, early in zip((time.perf_counter(), time.thread_time()), self._last, strict=True)
        )
        if clock > WORTH_TELLING:
            waited = _waited(self._schedstat) - self._waited
            before = self._others
            now = self._others_waited()
            others = max((late - before[each] for each, late in now.items() if each in before), default=0.0)
            held = max(used, clock - waited - others)
            if held > WORTH_TELLING:
                found = Counter(self._seen).most_common(4)
                told = {"held": held, "used": used, "clock": clock, "waited": waited, "collecting": self._collecting}
                self._holds.write(json.dumps({**told, "stacks": found}) + "\n")
        self._seen.clear()
        self._collecting = 0.0
        self._count += 1
        self._beats[:8] = self._count.to_bytes(8, "little")
        self._loop.call_later(BEAT, self._beat)
        self._begin()

    def _look(self) -> None:
        while True:
            time.sleep(LATE)
            if time.perf_counter() - self._last[0] < LATE + BEAT:
                continue
            frames = sys._current_frames()
            self._seen.append(_told(frames.pop(self._thread)))
            self._seen += [f"in another thread:\n{_told(frames[each])}" for each in self._busy(frames)]

    def _busy(self, threads: Iterable[int]) -> list[int]:
        """Those that have run since the last look: the interpreter runs one at a time."""
        before, self._used = self._used, {each: _used(each) for each in threads if each != threading.get_ident()}
        return [each for each, used in self._used.items() if used > before.get(each, 0.0) + LATE / 2]

    def _on_collection(self, phase: str, _: Any) -> None:
        if threading.get_ident() == self._thread:
            self._collecting += time.perf_counter() * (1 if phase == "stop" else -1)


def _waited(schedstat: int) -> float:
    return int(os.pread(schedstat, 64, 0).split()[1]) / 1e9


def _used(thread: int) -> float:
    return time.clock_gettime(time.pthread_getcpuclockid(thread))


def _told(innermost: FrameType) -> str:
    lines: list[str] = []
    frame: FrameType | None = innermost
    while frame is not None and len(lines) < FRAMES:
        lines.append(f"{frame.f_code.co_filename}:{frame.f_lineno} {frame.f_code.co_qualname}")
        frame = frame.f_back
    return "\n".join(lines)


def watched(main: Coroutine[Any, Any, int]) -> int:
    async def inside() -> int:
        watchdog = Watchdog(Path(sys.argv[1]), Path(sys.argv[2]))
        try:
            return await main
        finally:
            del watchdog

    return int(run(inside()))


def main() -> int:
    uvloop.run = watched
    return cli.main(sys.argv[3:])


if __name__ == "__main__":
    sys.exit(main())
