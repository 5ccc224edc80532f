"""Log lines in daprd's three forms: text, JSON, and coloured for a terminal.

One record is one line (on a terminal the others are set in), whatever a client has written into it: control characters
and octets that are not UTF-8 are escaped, and what is endless is cut.

A logger's name is the scope of its lines ("dapr.runtime"). Further fields of one line are given as
`extra={"fields": {"component": "statestore (state.redis/v1)"}}`.
"""

from __future__ import annotations

import json
import logging
import os
import re
import socket
import sys
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from dapr_state import __version__
from dapr_state.observability.output import OutputHandler

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import TextIO

ROOT: Final = "dapr"
LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
_NAMES: Final = {
    logging.DEBUG: "debug",
    logging.INFO: "info",
    logging.WARNING: "warning",
    logging.ERROR: "error",
    logging.CRITICAL: "fatal",
}
_GRAY, _RED, _YELLOW, _CYAN = 37, 31, 33, 36
_COLOURS: Final = {
    logging.DEBUG: _GRAY,
    logging.INFO: _CYAN,
    logging.WARNING: _YELLOW,
    logging.ERROR: _RED,
    logging.CRITICAL: _RED,
}
MAX_VALUE: Final = 16 * 1024  # characters of one value: a traceback is shorter, what a client sends may not be
_SURROGATE: Final = re.compile(
    "[\ud800-\udfff]"
)  # mostly: what octets that are not UTF-8 became when they were decoded
_BARE: Final = re.compile(r"[A-Za-z0-9\-._/@^+]*")


class LogOptionsError(ValueError):
    """Logging cannot be set up so; the text is daprd's last log line."""


def configure(*, app_id: str, level: str = "info", as_json: bool = False, file: str = "") -> None:
    """Send every log line of the process to stdout, or to a file that is appended to.

    When the level or the file is refused, lines still go to stdout, so that the refusal can be told.
    """
    _install(_stream_handler(sys.stdout, app_id, as_json=as_json), logging.INFO)
    if level.lower() not in LEVELS:
        raise LogOptionsError(f"invalid value for --log-level: {level}")
    if file:
        _install(_file_handler(file, app_id, as_json=as_json), LEVELS[level.lower()])
    else:
        logging.getLogger(ROOT).setLevel(LEVELS[level.lower()])


class DaprFormatter(logging.Formatter):
    """The fields of a line, which the subclasses lay out."""

    def __init__(self, app_id: str, instance: str | None = None) -> None:
        super().__init__()
        self._common = {"instance": socket.gethostname() if instance is None else instance, "type": "log"}
        self._common["ver"] = __version__
        if app_id:
            self._common["app_id"] = app_id

    def fields(self, record: logging.LogRecord) -> dict[str, Any]:
        """Everything but time, level and message, sorted by name."""
        extra: Mapping[str, Any] = getattr(record, "fields", {})
        return dict(sorted((self._common | {"scope": record.name} | dict(extra)).items()))

    def message(self, record: logging.LogRecord) -> str:
        text = record.getMessage()
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


class TextFormatter(DaprFormatter):
    """`time="…" level=info msg="…" app_id=…`."""

    def format(self, record: logging.LogRecord) -> str:
        first = {"time": _time(record), "level": _NAMES.get(record.levelno, "info"), "msg": self.message(record)}
        return " ".join(f"{name}={_value(value)}" for name, value in (first | self.fields(record)).items())


class JsonFormatter(DaprFormatter):
    """One JSON object with sorted keys."""

    def format(self, record: logging.LogRecord) -> str:
        first = {"time": _time(record), "level": _NAMES.get(record.levelno, "info"), "msg": self.message(record)}
        first |= self.fields(record)
        shown = {name: _utf8(value) if isinstance(value, str) else value for name, value in first.items()}
        return json.dumps(shown, sort_keys=True, ensure_ascii=False, separators=(",", ":"))


class TerminalFormatter(DaprFormatter):
    """What `dapr run` shows: the level in four coloured letters, seconds since the start, the message."""

    def format(self, record: logging.LogRecord) -> str:
        colour = _COLOURS.get(record.levelno, _CYAN)
        level = _NAMES.get(record.levelno, "info")[:4].upper()
        seconds = int(record.relativeCreated / 1000)
        fields = "".join(f" \x1b[{colour}m{name}\x1b[0m={_value(value)}" for name, value in self.fields(record).items())
        text, *more = map(_escaped, _cut(self.message(record)).split("\n"))
        # further lines are set in: none looks like another record
        return "\n    ".join((f"\x1b[{colour}m{level}\x1b[0m[{seconds:04d}] {text:<44} {fields}", *more))


def _stream_handler(stream: TextIO | None, app_id: str, *, as_json: bool) -> logging.Handler:
    if stream is None:  # the process was started without one
        return logging.NullHandler()
    handler = OutputHandler(stream.fileno())
    kind = JsonFormatter if as_json else TerminalFormatter if stream.isatty() else TextFormatter
    handler.setFormatter(kind(app_id))
    return handler


def _file_handler(path: str, app_id: str, *, as_json: bool) -> logging.Handler:
    try:
        handler = OutputHandler(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644))
    except OSError as error:
        reason = str(error.strerror).lower()
        raise LogOptionsError(f'failed to open log file "{path}": open {path}: {reason}') from None
    handler.setFormatter((JsonFormatter if as_json else TextFormatter)(app_id))
    return handler


def _install(handler: logging.Handler, level: int) -> None:
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    root.addHandler(handler)
    # libraries speak up from warnings on; our own scopes have the level that was asked for
    root.setLevel(logging.WARNING)
    logging.getLogger(ROOT).setLevel(level)


def _time(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC).astimezone()
    fraction = f"{moment.microsecond:06d}".rstrip("0")
    zone = moment.strftime("%z")
    zone = "Z" if zone == "+0000" else f"{zone[:3]}:{zone[3:5]}"
    return f"{moment:%Y-%m-%dT%H:%M:%S}{'.' + fraction if fraction else ''}{zone}"


def _value(value: Any) -> str:
    text = _cut(value) if isinstance(value, str) else json.dumps(value)
    if _BARE.fullmatch(text):
        return text
    return '"' + _escaped(text.replace("\\", r"\\").replace('"', r"\"")) + '"'


def _escaped(text: str) -> str:
    """What cannot be printed, as Go shows it in a quoted string: a line break is not one, nor does a code colour."""
    return text if text.isprintable() else "".join(char if char.isprintable() else _escape(char) for char in text)


def _escape(char: str) -> str:
    octet = char.encode("utf-8", "surrogateescape") if "\udc80" <= char <= "\udcff" else b""
    return f"\\x{octet.hex()}" if octet else char.encode("unicode_escape").decode()


def _utf8(text: str) -> str:
    return _SURROGATE.sub("\ufffd", _cut(text))


def _cut(text: str) -> str:
    beyond = len(text) - MAX_VALUE
    return f"{text[:MAX_VALUE]}... and {beyond} more characters" if beyond > 0 else text
