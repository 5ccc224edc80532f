"""How soon a sidecar gives its first answer, over many runs of whole processes; and what its imports take.

Each run starts the process, asks /v1.0/healthz/outbound every 2 ms until it is answered, waits on another connection
for the first frame of the gRPC server, and kills it. The processor's time until then stands beside the clock's: on a
busy machine only that says something.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from tests.support import oracle
from tests.support.processes import free_port

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes((0, 0, 0, 4, 0, 0, 0, 0, 0))
REQUEST: Final = b"GET /v1.0/healthz/outbound HTTP/1.1\r\nHost: localhost\r\n\r\n"
STEP: Final = 0.002  # seconds
OURS: Final = ("--app-id", "app", "--enable-metrics=false", "--log-level", "error")


def first_answer(command: list[str], home: str) -> tuple[float, float, float]:
    """Seconds of the clock until HTTP answers, and gRPC; and of the processor until both did."""
    port, grpc_port = free_port(), free_port()
    words = [*command, "--dapr-http-port", str(port), "--dapr-grpc-port", str(grpc_port)]
    environment = {"HOME": home, "PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    with subprocess.Popen(words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        while not _answers(port):
            if process.poll() is not None:
                raise SystemExit(f"{command[0]} ended with {process.returncode}")
            time.sleep(STEP)
        seconds = time.perf_counter() - began
        with socket.create_connection(("127.0.0.1", grpc_port), 10) as connection:
            connection.sendall(PREFACE)
            if not connection.recv(1):
                raise SystemExit(f"{command[0]} does not answer over gRPC")
        grpc_seconds = time.perf_counter() - began
        process.kill()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return seconds, grpc_seconds, after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), 1) as connection:
            connection.sendall(REQUEST)
            return b" 204 " in connection.recv(1000)
    except OSError:
        return False


def measure(name: str, command: list[str], runs: int) -> None:
    with tempfile.TemporaryDirectory() as home:
        first_answer(command, home)  # compiles what is imported, makes the folder
        found = [first_answer(command, home) for _ in range(runs)]
    for what, values in zip(("HTTP answers", "gRPC answers", "processor"), zip(*found, strict=True), strict=True):
        print(f"{name:<12}{what:<18}{min(values):.3f}  {statistics.median(values):.3f}  {max(values):.3f}")


def imports(least: int) -> None:
    """All that take so many microseconds or more, with what they import in turn."""
    words = [sys.executable, "-X", "importtime", "-c", "import dapr_state.runtime.sidecar"]
    lines = subprocess.run(words, capture_output=True, text=True, check=True, cwd=ROOT).stderr.splitlines()
    for line in reversed(lines):
        found = re.fullmatch(r"import time:\s+(\d+) \|\s+(\d+) \|( +)(\S+)", line)
        if found and int(found[2]) >= least:
            print(f"{int(found[2]) / 1000:8.1f} ms {found[3]}{found[4]}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=20)
    parser.add_argument("--imports", type=float, metavar="MS", help="show what takes so long to import, and end")
    parser.add_argument("flags", nargs="*", help="more flags for our sidecar, behind --")
    given = parser.parse_args()
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if given.imports is not None:
        imports(int(given.imports * 1000))
        return
    print(f"{'seconds':<30}  min  median    max   of {given.runs} runs")
    measure("dapr-state", [sys.executable, "-m", "dapr_state", "serve", *OURS, *given.flags], given.runs)
    if daprd := oracle.find("daprd"):
        folder = tempfile.mkdtemp()
        nobody = ["--resources-path", folder, "--placement-host-address", "", "--scheduler-host-address", ""]
        ports = ["--dapr-internal-grpc-port", str(free_port())]
        measure("daprd", [str(daprd), *OURS, *nobody, *ports], given.runs)
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
