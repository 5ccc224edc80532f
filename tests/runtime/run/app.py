"""Programs for the tests of `run`: the first word says which."""

# ruff: noqa: T201, T100 - what they do is to print
from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


def say(*words: object) -> None:
    """At once: a handler of signals that prints while another line is printed fails."""
    os.write(1, f"{' '.join(map(str, words))}\n".encode())


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
    say("waiting", os.getpid())
    while True:
        time.sleep(60)


def fails_when(path: str, code: str) -> None:
    """As soon as this file is there."""
    say("waiting")
    while not os.path.exists(path):  # noqa: PTH110
        time.sleep(0.01)
    sys.exit(int(code))


def saves() -> None:
    """At a signal call the sidecar once more, and end with 0."""

    def save(*_: object) -> None:
        url = f"http://127.0.0.1:{os.environ['DAPR_HTTP_PORT']}/v1.0/healthz"
        say("at the end", urllib.request.urlopen(url).status)
        sys.exit(0)

    signal.signal(signal.SIGTERM, save)
    signal.signal(signal.SIGINT, save)
    waits()


def asks_again() -> None:
    """At the first SIGINT; the second one ends it."""

    def ask(*_: object) -> None:
        say("sure?")
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
    say("child", child.pid)


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
    signal.signal(signal.SIGWINCH, lambda *_: say("columns", os.get_terminal_size().columns))
    waits()


class _Actors(BaseHTTPRequestHandler):
    """Each call is answered with the types; the end of an actor is said."""

    protocol_version = "HTTP/1.1"
    types: tuple[str, ...] = ()

    def answer(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.command == "DELETE":
            say("ended", self.path)
        body = json.dumps({"entities": self.types} if "config" in self.path else self.types).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    do_GET = do_PUT = do_POST = do_DELETE = answer  # noqa: N815 - the names that the server looks for

    def log_message(self, *_: object) -> None:
        """Nothing."""


def hosts(port: str, *types: str) -> None:
    """Actors of these types."""
    _Actors.types = types
    ThreadingHTTPServer.allow_reuse_address = True
    ThreadingHTTPServer(("127.0.0.1", int(port)), _Actors).serve_forever()


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
