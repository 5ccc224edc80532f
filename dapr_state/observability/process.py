"""What the operating system says about this process, in the metrics that every Prometheus client calls the same."""

from __future__ import annotations

import os
import platform
import resource
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_STAT: Final = Path("/proc/self/stat")
_FDS: Final = Path("/proc/self/fd")
_BOOT: Final = Path("/proc/stat")
# positions in /proc/self/stat behind the program's name: see proc_pid_stat(5)
_START, _VIRTUAL, _RESIDENT = 19, 20, 21


def lines() -> Iterator[str]:
    """The metrics as text. What this system does not tell is left out."""
    version = platform.python_version()
    yield _metric("python_info", "gauge", "The Python that runs this.", 1, f'{{version="{version}"}}')
    used = resource.getrusage(resource.RUSAGE_SELF)
    cpu = round(used.ru_utime + used.ru_stime, 6)
    yield _metric("process_cpu_seconds_total", "counter", "CPU time of user and system.", cpu)
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield _metric("process_max_fds", "gauge", "How many files may be open.", limit)
    with suppress(OSError):  # what follows is told by Linux only
        yield _metric("process_open_fds", "gauge", "How many files are open.", len(list(_FDS.iterdir())))
        yield from _memory_and_start()


def _memory_and_start() -> Iterator[str]:
    fields = _STAT.read_text().rpartition(")")[2].split()
    resident = int(fields[_RESIDENT]) * resource.getpagesize()
    yield _metric("process_virtual_memory_bytes", "gauge", "Size of the address space.", int(fields[_VIRTUAL]))
    yield _metric("process_resident_memory_bytes", "gauge", "Memory that is in use.", resident)
    boot = next(line for line in _BOOT.read_text().splitlines() if line.startswith("btime "))
    start = int(boot.split()[1]) + int(fields[_START]) / os.sysconf("SC_CLK_TCK")
    yield _metric("process_start_time_seconds", "gauge", "When it started, in seconds since 1970.", start)


def _metric(name: str, kind: str, text: str, value: float, labels: str = "") -> str:
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{name}{labels} {value}\n"
