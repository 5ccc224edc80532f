"""Where log lines go when nobody reads them, when the disk is full, and whatever the locale is."""

from __future__ import annotations

import logging
import os
import re
import subprocess
import sys
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from dapr_state.observability.output import MAX_WAITING, OutputHandler
from tests.support.components import component
from tests.support.http import Socket, ask, request
from tests.support.sidecar import Sidecar

if TYPE_CHECKING:
    from collections.abc import Iterator

GET = "/v1.0/state/mem/k"
NOT_UTF8 = b"GET %b HTTP/1.1\r\nHost: localhost\r\nUser-Agent: a\xffb \xe6\x97\xa5\r\n\r\n" % GET.encode()


class Elsewhere(Sidecar):
    """Its lines may go where nobody sees that it is ready."""

    def is_ready(self) -> bool:
        with suppress(OSError):
            return ask(self.http_port, "GET", "/v1.0/healthz").code == 204
        return False


class Unread(Elsewhere):
    """Its output is a pipe that only `read` reads."""

    def launch(self) -> Unread:
        self._running = subprocess.Popen(
            self.command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            env=self._environment,
        )
        return self

    def close(self) -> None:
        super().close()
        if self._running and self._running.stdout:
            self._running.stdout.close()

    def read(self) -> str:
        output = self._process.stdout
        assert output
        with output:
            return output.read().decode()


def unread(folder: Path) -> Unread:
    return Unread(folder, [component("mem", "state.in-memory")], flags=["--enable-api-logging"])


def call(sidecar: Sidecar, times: int) -> None:
    """Make calls one after another, each of which leaves a line."""
    with Socket(sidecar.http_port) as connection:
        for _ in range(times):
            assert connection.send(request("GET", GET)).answer().code == 204


def test_a_pipe_that_nobody_reads_holds_no_call_up_and_loses_nothing(tmp_path: Path) -> None:
    """Lines beyond what the pipe holds wait; who reads it at last, at the end, finds all of them."""
    with unread(tmp_path) as sidecar:
        call(sidecar, 3000)  # 600 kB of lines; a pipe holds 64
        sidecar.signal(15)
        written = sidecar.read()
        assert sidecar.wait() == 0

    assert written.count("HTTP API Called") >= 3000
    assert "Daprd shutdown gracefully" in written.splitlines()[-1]
    assert "lines were lost" not in written


def test_a_pipe_that_nobody_ever_reads_does_not_keep_the_process(tmp_path: Path) -> None:
    """At the end what waits is given up after a while."""
    with unread(tmp_path) as sidecar:
        call(sidecar, 1000)

        assert sidecar.stop() == 0


def test_a_reader_that_has_gone_takes_nobody_along(tmp_path: Path) -> None:
    """`dapr-state serve | head` goes on serving when `head` has ended."""
    with unread(tmp_path) as sidecar:
        assert sidecar._process.stdout
        sidecar._process.stdout.close()
        call(sidecar, 10)

        assert sidecar.stop() == 0


@contextmanager
def piped() -> Iterator[tuple[OutputHandler, int]]:
    """A handler that writes to a pipe, and the end to read from."""
    reading, writing = os.pipe()
    handler = OutputHandler(writing)
    try:
        yield handler, reading
    finally:
        os.close(reading)
        handler.flush()
        os.close(writing)


def record(text: str) -> logging.LogRecord:
    return logging.LogRecord("dapr", logging.INFO, __file__, 0, text, (), None)


def test_the_oldest_lines_are_lost_and_the_place_says_so() -> None:
    """Beyond the bound the last lines stay whole, behind a line that counts what stood there; none is mixed up."""
    count, filling = 2 * MAX_WAITING // 1000, "x" * 990
    with piped() as (handler, reading):
        for number in range(count):
            handler.emit(record(f"{number:08d} {filling}"))
        read = b""
        while not read.endswith(b"%08d %b\n" % (count - 1, filling.encode())):
            read += os.read(reading, 1 << 16)

    lines = read.decode().splitlines()
    (note,) = (number for number, line in enumerate(lines) if "were lost" in line)
    lost = int(lines[note].split()[0])
    numbers = [int(line.split()[0]) for line in lines[:note] + lines[note + 1 :]]
    assert numbers == [*range(note), *range(note + lost, count)]
    assert all(len(line) == 999 for line in lines[:note] + lines[note + 1 :])
    assert MAX_WAITING - 1000 <= len(read) - 1000 * note <= MAX_WAITING + 2000


def test_a_disk_that_was_full_is_told_of_once_there_is_room(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """No traceback goes anywhere; the first line that can be written again counts those that could not."""
    with Path("/dev/full").open("wb", buffering=0) as full, (tmp_path / "log").open("wb") as log:
        handler = OutputHandler(full.fileno())
        for _ in range(3):
            handler.emit(record("lost"))
        os.dup2(log.fileno(), full.fileno())
        handler.emit(record("seen"))

    assert (tmp_path / "log").read_text() == "3 log lines were lost: No space left on device\nseen\n"
    assert capfd.readouterr() == ("", "")


def test_a_mistake_in_a_line_is_told_in_its_place(tmp_path: Path) -> None:
    """Arguments that do not fit cost a line, not a traceback on stderr."""
    with (tmp_path / "log").open("wb") as log:
        mistaken = logging.LogRecord("dapr", logging.INFO, __file__, 0, "%d", ("x",), None)
        OutputHandler(log.fileno()).emit(mistaken)

    assert (tmp_path / "log").read_text().startswith("a log line could not be written: %d format")


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8:strict"])
@pytest.mark.parametrize("to_file", [False, True], ids=["stdout", "--log-file"])
def test_a_user_agent_that_is_not_utf8_has_its_line(tmp_path: Path, encoding: str, to_file: bool) -> None:
    """Whatever the encoding of the process's output is; the line is UTF-8, and the octet is escaped as by daprd."""
    path = tmp_path / "log"
    flags = ["--enable-api-logging", *(["--log-file", str(path)] if to_file else [])]
    environment = {"PYTHONIOENCODING": encoding}
    with Elsewhere(tmp_path, [component("mem", "state.in-memory")], flags=flags, environment=environment) as sidecar:
        with Socket(sidecar.http_port) as connection:
            assert connection.send(NOT_UTF8).answer().code == 204
        sidecar.stop()
        written = sidecar.log() + (path.read_text() if to_file else "")

    assert re.search(r'API Called.* useragent="a\\xffb 日" ', written)
    assert "Traceback" not in written


def test_a_process_without_an_output_runs() -> None:
    """One that was started with its stdout closed, as some supervisors do, has no lines."""
    code = "import logging; from dapr_state.observability import logs; logs.configure(app_id='a'); logging.error('x')"
    ended = subprocess.run(["/bin/sh", "-c", f'exec "{sys.executable}" -c "{code}" >&-'], check=False)

    assert ended.returncode == 0
