"""HTTP as bytes on a socket: what is sent is exactly what the test says, and what comes back is all that came."""

from __future__ import annotations

import json
import re
import socket
from dataclasses import dataclass
from typing import Any, Self

TIMEOUT = 20  # seconds; what takes longer hangs


@dataclass(frozen=True)
class Answer:
    """One answer; `lines` are the header lines as they were sent, without the Date."""

    status: str
    lines: tuple[str, ...]
    body: bytes

    @property
    def code(self) -> int:
        return int(self.status.split()[1])

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        return next((line.partition(": ")[2] for line in self.lines if line.startswith(f"{name}: ")), None)


class Socket:
    """One connection, over TCP or to a socket file."""

    def __init__(self, where: int | str) -> None:
        kind = socket.AF_INET if isinstance(where, int) else socket.AF_UNIX
        self.raw = socket.socket(kind, socket.SOCK_STREAM)
        self.raw.settimeout(TIMEOUT)
        self._seen = b""
        try:
            self.raw.connect(("127.0.0.1", where) if isinstance(where, int) else where)
        except OSError:
            self.raw.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.raw.close()

    def send(self, data: bytes) -> Socket:
        self.raw.sendall(data)
        return self

    def end(self) -> Socket:
        """Say that nothing more will be sent."""
        self.raw.shutdown(socket.SHUT_WR)
        return self

    def answer(self, method: str = "GET") -> Answer:
        """The next answer; one to HEAD has no body."""
        head, _, self._seen = self._until(b"\r\n\r\n").partition(b"\r\n\r\n")
        status, *lines = head.decode("latin-1").split("\r\n")
        kept = tuple(line for line in lines if not line.startswith("Date: "))
        code = status.split()[1]
        if method == "HEAD" or code in {"100", "204", "304"}:
            return Answer(status, kept, b"")
        return Answer(status, kept, self._body(Answer(status, kept, b"")))

    def is_closed(self) -> bool:
        """Whether the other side closes; waits for it."""
        try:
            return not self._seen and not self.raw.recv(1)
        except ConnectionError:
            return True

    def _body(self, head: Answer) -> bytes:
        if head.header("Transfer-Encoding") == "chunked":
            return self._chunks()
        length = head.header("Content-Length")
        return self._exactly(int(length)) if length is not None else self._rest()

    def _chunks(self) -> bytes:
        body = b""
        while True:
            size, _, self._seen = self._until(b"\r\n").partition(b"\r\n")
            body += self._exactly(int(size, 16))
            self._exactly(2)
            if not int(size, 16):
                return body

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._seen:
            self._more()
        return self._seen

    def _exactly(self, count: int) -> bytes:
        while len(self._seen) < count:
            self._more()
        taken, self._seen = self._seen[:count], self._seen[count:]
        return taken

    def _rest(self) -> bytes:
        while data := self.raw.recv(65536):
            self._seen += data
        taken, self._seen = self._seen, b""
        return taken

    def _more(self) -> None:
        data = self.raw.recv(65536)
        if not data:
            raise ConnectionError(f"closed after {self._seen!r}")
        self._seen += data


def request(method: str, target: str | bytes, body: bytes | str | None = None, **headers: str) -> bytes:
    """The bytes of a request; `If_Match="1"` is the header If-Match."""
    path = target.encode() if isinstance(target, str) else target
    content = body.encode() if isinstance(body, str) else body
    lines = [b"Host: localhost"]
    lines += [f"{name.replace('_', '-')}: {value}".encode() for name, value in headers.items()]
    if content is not None:
        lines.append(b"Content-Length: %d" % len(content))
    return b"\r\n".join((method.encode() + b" " + path + b" HTTP/1.1", *lines, b"", b"")) + (content or b"")


def ask(where: int | str, method: str, target: str | bytes, body: bytes | str | None = None, **headers: str) -> Answer:
    """One request on a connection of its own."""
    with Socket(where) as connection:
        return connection.send(request(method, target, body, **headers)).answer(method)


_CHANGING = (
    (re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), b"UUID"),
    (re.compile(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ"), b"TIME"),
)


def plain(text: bytes) -> bytes:
    """With its random and its moving parts under names, so that two servers' texts compare."""
    for pattern, name in _CHANGING:
        text = pattern.sub(name, text)
    return text
