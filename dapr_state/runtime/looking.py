"""The commands that show what a running sidecar keeps: thin ones, over its administration API."""

# ruff: noqa: T201 - what a command says goes to its outputs
from __future__ import annotations

import base64
import json
import os
import socket
import sys
from argparse import ArgumentParser
from contextlib import closing, contextmanager
from datetime import datetime
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException, IncompleteRead
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self
from unicodedata import combining, east_asian_width
from urllib.parse import quote, urlencode

from dapr_state.clock import WAITING
from dapr_state.runtime import registry

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from http.client import HTTPResponse

DEFAULT_PORT: Final = 3500
PAGE: Final = 1000  # keys, actors or reminders that are asked for together
PART: Final = 1 << 20  # octets of a large value that are asked for together
QUIET: Final = 40.0  # seconds without a word from a stream that says one every 15: it is gone
AGAIN: Final = 1.0  # seconds before a sidecar that has gone is asked again
SAID: Final = 300  # letters of an answer that is none of a sidecar's
TOLD_EVERY: Final = 0.2  # seconds between two words of progress
_DAY: Final = 86_400  # seconds
_STEPS: Final = ((1, "s", 60), (60, "m", 3600), (3600, "h", _DAY), (_DAY, "d", float("inf")))


class LookError(Exception):
    """It cannot be shown; the text says why."""


class GoneError(LookError):
    """The sidecar does not answer, or its answer was cut; asked again it may."""


def run(command: str, argv: Sequence[str], environ: Mapping[str, str]) -> int:
    """Run one of COMMANDS, and return the exit code of the process."""
    arguments = ArgumentParser(f"dapr-state {command}", description=(COMMANDS[command].__doc__ or "").strip())
    arguments.add_argument("--app-id", help="whose sidecar; not needed where only one runs")
    arguments.add_argument("--port", type=int, help="the HTTP port of the sidecar, or of its console")
    arguments.add_argument("--json", action="store_true", help="as the API says it, an object on each line")
    _ARGUMENTS[command](arguments)
    given = arguments.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a key may have letters that a terminal has not
    try:
        COMMANDS[command](_Sidecar.of(given, environ), given)
    except LookError as error:
        print(f"dapr-state: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:  # whoever read it has had enough
        sys.stdout = None  # nothing is flushed at the end
        return 0
    except KeyboardInterrupt:
        return 130
    return 0


class _Sidecar:
    def __init__(self, port: int, path: Path | None, token: str) -> None:
        self._port = port
        self._path = path
        self._headers = {"dapr-api-token": token.encode()} if token else {}

    @classmethod
    def of(cls, given: Namespace, environ: Mapping[str, str]) -> _Sidecar:
        token = environ.get("DAPR_API_TOKEN", "")
        if given.port:
            return cls(given.port, None, token)
        found = [each for each in registry.entries(environ) if given.app_id in {None, each.app_id}]
        if len(found) > 1 and not given.app_id and "DAPR_HTTP_PORT" not in environ:
            raise LookError(f"which sidecar? give --app-id: {', '.join(sorted({each.app_id for each in found}))}")
        if found and (given.app_id or "DAPR_HTTP_PORT" not in environ):
            first = found[0]
            path = Path(first.sockets) / f"dapr-{first.app_id}-http.socket" if first.sockets else None
            return cls(first.http_port, path, token)
        if given.app_id:
            raise LookError(f"no sidecar of {given.app_id} runs here: dapr-state list shows those that do")
        port = environ.get("DAPR_HTTP_PORT") or str(DEFAULT_PORT)
        if not (port.isascii() and port.isdigit()):
            raise LookError(f"DAPR_HTTP_PORT is no port: {port}")
        return cls(int(port), None, token)

    def ask(self, path: str, **query: Any) -> Any:
        with self._talking(), closing(self._connect()) as connection:
            return json.loads(self._answer(connection, path, query).read())

    def lines(self, path: str, *, seen: str = "", **query: Any) -> Iterator[str]:
        """Of an answer that goes on."""
        with self._talking(), closing(self._connect()) as connection:
            for line in self._answer(connection, path, query, {"last-event-id": seen} if seen else {}):
                yield line.decode().rstrip("\n")

    @contextmanager
    def _talking(self) -> Iterator[None]:
        where = self._path or f"port {self._port}"
        try:
            yield
        except IncompleteRead as error:
            raise GoneError(f"the sidecar on {where} has gone in the middle of its answer") from error
        except (OSError, HTTPException) as error:
            raise GoneError(f"no sidecar answers on {where}: {error}") from error
        except ValueError as error:
            raise LookError(f"what answers on {where} is no sidecar: {error}") from error

    def _connect(self) -> HTTPConnection:
        connection = HTTPConnection("127.0.0.1", self._port, timeout=QUIET)
        if self._path:
            connection.sock = socket.socket(socket.AF_UNIX)
            connection.sock.settimeout(QUIET)
            connection.sock.connect(str(self._path))
        return connection

    def _answer(
        self, connection: HTTPConnection, path: str, query: Mapping[str, Any], headers: Mapping[str, str] = {}
    ) -> HTTPResponse:
        given = {name: _written(value) for name, value in query.items() if value not in {None, False}}
        target = f"/dapr-state/v1/{path}" + (f"?{urlencode(given)}" if given else "")
        connection.request("GET", target, headers={**self._headers, **headers, "Host": "localhost"})
        answer = connection.getresponse()
        if answer.status != HTTPStatus.OK:
            is_over = answer.status < HTTPStatus.INTERNAL_SERVER_ERROR
            raise (LookError if is_over else GoneError)(_reason(answer))
        return answer


def _reason(answer: HTTPResponse) -> str:
    text = answer.read().decode(errors="replace")
    try:
        told = json.loads(text)
    except ValueError:
        told = None
    if not isinstance(told, dict):
        return _printable(text.strip()[:SAID]) or f"HTTP {answer.status}"
    if told.get("errorCode") == "ERR_DIRECT_INVOKE":
        return "this sidecar does not show what it keeps: it was started with --console off, or by an older version"
    return str(told.get("message", text))


def _written(value: Any) -> str:
    return "true" if value is True else str(value)


def _store(sidecar: _Sidecar, given: Namespace) -> str:
    """The one that is meant, for a path."""
    if given.store:
        return quote(given.store, safe="")
    names = [store["name"] for store in sidecar.ask("overview")["stores"]]
    if len(names) != 1:
        raise LookError(f"which store? give --store: {', '.join(names) or 'there is none'}")
    return quote(names[0], safe="")


# Commands


def keys(sidecar: _Sidecar, given: Namespace) -> None:
    """Show the keys of a store: how long their values are, when they expire, and their etags."""
    store = _store(sidecar, given)
    if given.count:
        counted = sidecar.ask(f"state/{store}/count", prefix=given.prefix, space=given.space, budget="10s")
        about = "" if counted["complete"] else " or more"
        print(json.dumps(counted) if given.json else f"{counted['count']}{about}")
        return
    lines = sidecar.lines(f"state/{store}/keys.ndjson", prefix=given.prefix, space=given.space, withSizes=True)
    _show(given, map(_entry, lines), _Table("KEY", "SIZE", "EXPIRES", "ETAG"), _key, "no keys")


def _entry(line: str) -> Any:
    told = json.loads(line)
    if "error" in told and "key" not in told:  # of the whole list, which ends there
        raise LookError(told["error"]["message"])
    return told


def _key(entry: Mapping[str, Any]) -> tuple[object, ...]:
    return entry["key"], entry.get("size", ""), _left(entry.get("expiresAt")), entry["etag"] or entry["error"]


def get(sidecar: _Sidecar, given: Namespace) -> None:
    """Write a value as it is stored, whole, to the output."""
    store = _store(sidecar, given)
    first = sidecar.ask(f"state/{store}/entry", key=given.key, space=given.space, maxBytes=PART)
    if given.json:
        print(json.dumps(first))
        return
    total, out = first["totalSize"], sys.stdout.buffer
    octets = base64.b64decode(first["entry"].get("value", ""))
    etag, done = first["entry"]["etag"], len(octets)
    out.write(octets)
    with _Progress() as progress:
        while done < total:
            part = sidecar.ask(f"state/{store}/entry", key=given.key, space=given.space, offset=done, maxBytes=PART)
            if part["entry"]["etag"] != etag:
                raise LookError("the value has changed while it was read: ask again")
            octets = base64.b64decode(part["entry"]["value"])
            out.write(octets)
            done += len(octets)
            progress.tell(f"{done} of {total} octets")
    if sys.stdout.isatty() and not octets.endswith(b"\n"):
        out.write(b"\n")
    out.flush()


def watch(sidecar: _Sidecar, given: Namespace) -> None:
    """Show what this sidecar writes, as it happens; writes of others to the same store are not seen."""
    store, seen = _store(sidecar, given), ""
    while True:
        try:
            for line in sidecar.lines(
                f"state/{store}/watch",
                prefix=given.prefix,
                space=given.space,
                withValues=given.values,
                withSnapshot=given.snapshot,
                seen=seen,
            ):
                if line.startswith("id: "):
                    seen = line.removeprefix("id: ")
                elif line.startswith("data: "):
                    _tell_changes(line.removeprefix("data: "), given)
        except GoneError:
            if not seen:
                raise
        WAITING.block(AGAIN)  # it has stopped, or its connection is cut: where it was is known


def _tell_changes(data: str, given: Namespace) -> None:
    told = json.loads(data)
    if "errorCode" in told:
        raise GoneError(told["message"])
    if told["lost"]:
        print("dapr-state: changes were missed: the sidecar does not know them any more", file=sys.stderr)
    for change in told["changes"]:
        if given.json:
            print(json.dumps(change), flush=True)
            continue
        entry = change["entry"]
        about = f" {entry['size']} octets" if "size" in entry else ""
        value = f" {entry['json']}" if "json" in entry else ""
        at, kind = change.get("at", "")[11:19], change["kind"].lower()
        print(f"{at:8} {kind:8} {_printable(entry['key'] + about + value)}", flush=True)


def actors(sidecar: _Sidecar, given: Namespace) -> None:
    """Show the types of actors, the actors of a type, or all that is known of one: [TYPE[/ID]]."""
    actor_type, _, actor_id = given.actor.partition("/")
    if not actor_type:
        table = _Table("TYPE", "HOSTED", "ACTIVE", "BUSY", "WAITING", "REMINDERS", "TIMERS")
        _show(given, sidecar.ask("actors")["types"], table, _of_type, "no actors")
    elif not actor_id:
        found = _pages(sidecar, f"actors/{quote(actor_type, safe='')}", "actors", which=given.which)
        table = _Table("ID", "ACTIVE", "BUSY", "WAITING", "SINCE")
        _show(given, found, table, _of_actor, f"no actors of {actor_type}")
    else:
        path = f"actors/{quote(actor_type, safe='')}/{quote(actor_id, safe='')}"
        one = sidecar.ask(path)
        print(json.dumps(one) if given.json else _actor(one))


def _of_type(each: Mapping[str, Any]) -> tuple[object, ...]:
    counts = (each[name] for name in ("active", "busy", "waitingCalls", "reminders", "timers"))
    return each["name"], "yes" if each["hosted"] else "no", *counts


def _of_actor(each: Mapping[str, Any]) -> tuple[object, ...]:
    flags = ("yes" if each[name] else "no" for name in ("active", "busy"))
    return each["actor"]["id"], *flags, each["waitingCalls"], each.get("activeSince", "")


def _actor(one: Mapping[str, Any]) -> str:
    said = [f"{one['actor']['type']}/{one['actor']['id']}: {'active' if one['active'] else 'not active'}"]
    if "idleDeadline" in one:
        said.append(f"idle until {one['idleDeadline']}")
    for turn in one["turns"]:
        what = f"{turn['kind']} {turn['method']}".strip()
        said.append(f"{'waits' if turn['waiting'] else 'runs '}    {what} since {turn['beganAt']}")
    said += [f"state    {each['key']} ({each['size']} octets)" for each in one["state"]]
    said += [f"reminder {each['name']} {each.get('nextAt', '')} {each['period']}".rstrip() for each in one["reminders"]]
    said += [f"timer    {each['name']} {each.get('nextAt', '')} {each['period']}".rstrip() for each in one["timers"]]
    return "\n".join(map(_printable, said))


def reminders(sidecar: _Sidecar, given: Namespace) -> None:
    """Show reminders: when each fires next, how often it has fired, and what went wrong."""
    wish = {"type": given.type, "id": given.id, "failing": given.failing}
    table = _Table("ACTOR", "NAME", "NEXT", "PERIOD", "FIRED", "FAILED", "STATE")
    _show(given, _pages(sidecar, "reminders", "reminders", **wish), table, _reminder, "no reminders")


def _reminder(each: Mapping[str, Any]) -> tuple[object, ...]:
    actor = f"{each['actor']['type']}/{each['actor']['id']}"
    states = [name for name in ("firing", "paused", "parked") if each[name]]
    counts = each["period"], each["fired"], each["failures"]
    return actor, each["name"], _left(each.get("nextAt")), *counts, ", ".join(states) or each["lastError"]


COMMANDS: Final[Mapping[str, Callable[[_Sidecar, Namespace], None]]] = {
    "keys": keys,
    "get": get,
    "watch": watch,
    "actors": actors,
    "reminders": reminders,
}


def _of_store(arguments: ArgumentParser) -> None:
    arguments.add_argument("--store", help="not needed where there is only one")
    arguments.add_argument("--space", choices=("application", "actors", "store"), default="application")


def _of_keys(arguments: ArgumentParser) -> None:
    arguments.add_argument("prefix", nargs="?", default="", metavar="PREFIX")
    arguments.add_argument("--count", action="store_true", help="only how many there are")
    _of_store(arguments)


def _of_get(arguments: ArgumentParser) -> None:
    arguments.add_argument("key", metavar="KEY")
    _of_store(arguments)


def _of_watch(arguments: ArgumentParser) -> None:
    arguments.add_argument("prefix", nargs="?", default="", metavar="PREFIX")
    arguments.add_argument("--values", action="store_true", help="with the values, as far as 4096 octets")
    arguments.add_argument("--snapshot", action="store_true", help="begin with what there is")
    _of_store(arguments)


def _of_actors(arguments: ArgumentParser) -> None:
    arguments.add_argument("actor", nargs="?", default="", metavar="TYPE[/ID]")
    arguments.add_argument("--which", choices=("any", "active", "with_state", "with_reminders"), default="any")


def _of_reminders(arguments: ArgumentParser) -> None:
    arguments.add_argument("--type")
    arguments.add_argument("--id")
    arguments.add_argument("--failing", action="store_true")


_ARGUMENTS: Final[Mapping[str, Callable[[ArgumentParser], None]]] = {
    "keys": _of_keys,
    "get": _of_get,
    "watch": _of_watch,
    "actors": _of_actors,
    "reminders": _of_reminders,
}


# What is shown


def _pages(sidecar: _Sidecar, path: str, field: str, **query: Any) -> Iterator[Any]:
    token = ""
    while True:
        page = sidecar.ask(path, **query, pageSize=PAGE, pageToken=token)
        yield from page[field]
        token = page["nextPageToken"]
        if not token:
            return


def _show(
    given: Namespace, found: Iterable[Any], table: _Table, row: Callable[[Any], Iterable[object]], nothing: str
) -> None:
    """As they come: of a million the first are seen at once, and none is kept."""
    count = 0
    try:
        with _Progress() as progress:
            for count, each in enumerate(found, 1):
                if given.json:
                    print(json.dumps(each))
                else:
                    table.add(row(each))
                if not sys.stdout.isatty():  # else what is shown says how far it is
                    progress.tell(f"{count} so far")
    finally:
        table.flush()
    if not count and not given.json:
        print(nothing, file=sys.stderr)


class _Table:
    """Columns as wide as they need to be for some rows, and no narrower afterwards; on a terminal the head is bold."""

    def __init__(self, *head: str) -> None:
        self._head = head
        self._widths = [0] * len(head)
        self._rows: list[Sequence[str]] = []

    def add(self, cells: Iterable[object]) -> None:
        self._rows.append([_printable(str(cell)) for cell in cells])
        if len(self._rows) == PAGE:
            self.flush()

    def flush(self) -> None:
        """Print what has come."""
        if not self._rows:
            return
        is_first = not any(self._widths)
        rows = [self._head, *self._rows] if is_first else self._rows
        columns = zip(self._widths, zip(*rows, strict=True), strict=True)
        self._widths = [max(width, *map(_width, column)) for width, column in columns]
        for number, row in enumerate(rows):
            cells = (cell + " " * (width - _width(cell)) for cell, width in zip(row, self._widths, strict=True))
            text = "  ".join(cells).rstrip()
            print(f"\033[1m{text}\033[0m" if is_first and not number and _is_styled() else text)
        self._rows = []


def _is_styled() -> bool:
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def _width(text: str) -> int:
    """How many places of a terminal it takes."""
    if text.isascii():
        return len(text)
    return sum(0 if combining(each) else 2 if east_asian_width(each) in "WF" else 1 for each in text)


def _printable(text: str) -> str:
    """A key may hold what a terminal would take for an order."""
    if text.isprintable():
        return text
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in text)


class _Progress:
    """A word on a terminal now and then while something takes its time; elsewhere nothing."""

    def __init__(self) -> None:
        self._next = WAITING.monotonic() + 2 * TOLD_EVERY
        self._is_told = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_told:
            print("\r\033[K", end="", file=sys.stderr, flush=True)

    def tell(self, what: str) -> None:
        if sys.stderr.isatty() and WAITING.monotonic() > self._next:
            self._next, self._is_told = WAITING.monotonic() + TOLD_EVERY, True
            print(f"\r\033[K{what}…", end="", file=sys.stderr, flush=True)


def _left(moment: str | None) -> str:
    """How long it is until then."""
    if not moment:
        return ""
    seconds = datetime.fromisoformat(moment).timestamp() - WAITING.wall()
    if seconds < 0:
        return "now"
    return next(f"{seconds / size:.0f}{unit}" for size, unit, end in _STEPS if seconds < end)
