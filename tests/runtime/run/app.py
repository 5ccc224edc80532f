"""Programs for the tests of `run`: the first word says which."""

# ruff: noqa: T201, T100 - what they do is to print
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request


def ends(code: str) -> None:
    """End with this code."""
    sys.exit(int(code))


def calls() -> None:
    """Call the sidecar in the first line, over both APIs."""
    url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/healthz/outbound"
    print("status", urllib.request.urlopen(url).status)
    socket.create_connection(("127.0.0.1", int(os.environ["DAPR_GRPC_PORT"]))).close()


def shows(*names: str) -> None:
    """Say what these variables are."""
    for name in names:
        print(f"{name}={os.environ.get(name)}")


def waits() -> None:
    """Until a signal ends it."""
    print("waiting", os.getpid(), flush=True)
    while True:
        time.sleep(60)


def saves() -> None:
    """At a signal call the sidecar once more, and end with 0."""

    def save(*_: object) -> None:
        url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/healthz"
        print("at the end", urllib.request.urlopen(url).status, flush=True)
        sys.exit(0)

    signal.signal(signal.SIGTERM, save)
    signal.signal(signal.SIGINT, save)
    waits()


def asks_again() -> None:
    """At the first SIGINT; the second one ends it."""

    def ask(*_: object) -> None:
        print("sure?", flush=True)
        signal.signal(signal.SIGINT, signal.SIG_DFL)

    signal.signal(signal.SIGINT, ask)
    waits()


def ignores() -> None:
    """SIGTERM and SIGINT."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    waits()


def parent() -> None:
    """Start another that lives on, and end."""
    child = subprocess.Popen([sys.executable, __file__, "waits"])
    print("child", child.pid, flush=True)


def asks() -> None:
    """Read the terminal."""
    print("got", input("name? "))


def breaks() -> None:
    """Stop in the debugger."""
    answer = 41
    breakpoint()
    print("answer", answer)


def resized() -> None:
    """Say how wide the terminal is, each time that it changes."""
    signal.signal(signal.SIGWINCH, lambda *_: print("columns", os.get_terminal_size().columns, flush=True))
    waits()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
