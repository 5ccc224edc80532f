"""What the plugin asks the sidecar, over HTTP: on connections that are kept, and opened anew when they are lost."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlencode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

BASE: Final = "/dapr-state/v1/"
NO_CONTENT: Final = 204
NOT_FOUND: Final = 404
FIRST_ERROR: Final = 400
ANSWER: Final = 60.0  # seconds for what takes place between tests, though an application and a store may be slow
LOOKS: Final = "dapr-state-test"
HEADERS: Final = {
    "Content-Type": "application/json",
    "x-dapr-state": "1",  # as the administration API asks of whoever changes something
    LOOKS: "1",  # whoever only looks or arranges meets no fault, and is no call of the test
}


class DaprError(Exception):
    """The sidecar has refused; the text is its own."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class SidecarEnded(Exception):
    """There is no sidecar any more; the text says how it ended."""


class Client:
    """`why_gone` says what has become of the sidecar where it cannot be reached."""

    def __init__(self, port: int, why_gone: Callable[[], str], token: str = "") -> None:
        self._port = port
        self._why_gone = why_gone
        self._headers = {**HEADERS, **({"dapr-api-token": token} if token else {})}
        self._idle: list[http.client.HTTPConnection] = []

    def ask(self, verb: str, path: str, body: Any = None, *, within: float | None = None, **query: Any) -> Any:
        """What a call of the administration API answers, as Python's objects. Raises DaprError or SidecarEnded.

        `within` so many seconds; without, for as long as it takes: what a test waits for may take long.
        """
        given = {name: value for name, value in query.items() if value not in (None, "", False)}
        target = BASE + path + (f"?{urlencode(given)}" if given else "")
        status, _, answer = self.send(verb, target, b"" if body is None else json.dumps(body).encode(), within=within)
        if status >= FIRST_ERROR:
            raise error_of(status, answer)
        return json.loads(answer) if answer else {}

    def send(
        self, verb: str, target: str, body: bytes = b"", *, as_client: bool = False, within: float | None = None
    ) -> tuple[int, Mapping[str, str], bytes]:
        """Status, headers and body of any answer. Raises SidecarEnded. A client's call meets faults, and counts."""
        headers = {name: value for name, value in self._headers.items() if not (as_client and name == LOOKS)}
        for attempt in (1, 2):
            # a client's call is made once: on a connection of its own, so that none is asked again
            connection, is_used = (self._new(), False) if as_client else self._take()
            connection.timeout = within
            if connection.sock:
                connection.sock.settimeout(within)
            try:
                connection.request(verb, target, body or None, headers)
                response = connection.getresponse()
                answer = response.read()
            except TimeoutError:
                connection.close()
                raise SidecarEnded(f"the sidecar has not answered for {within:g} s") from None
            except (OSError, http.client.HTTPException) as error:
                connection.close()
                if is_used and attempt == 1:  # one that was kept may have been closed meanwhile
                    self.close()
                    continue
                raise SidecarEnded(self._why_gone() or f"the sidecar cannot be reached: {error!r}") from error
            if as_client:
                connection.close()
            else:
                self._idle.append(connection)
            return response.status, {name.lower(): value for name, value in response.getheaders()}, answer
        raise AssertionError  # never: the second attempt returns or raises

    def _take(self) -> tuple[http.client.HTTPConnection, bool]:
        """One for this thread alone, and whether it was used before."""
        try:
            return self._idle.pop(), True
        except IndexError:
            return self._new(), False

    def _new(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self._port)

    def close(self) -> None:
        """Close those that nobody uses."""
        while self._idle:
            self._idle.pop().close()


def error_of(status: int, answer: bytes) -> DaprError:
    try:
        told = json.loads(answer)
        return DaprError(status, told["errorCode"], told["message"])
    except (ValueError, KeyError, TypeError):
        return DaprError(status, "", answer.decode(errors="replace").strip() or f"HTTP status {status}")


def segment(text: str) -> str:
    """A part of a path."""
    return quote(text, safe="")
