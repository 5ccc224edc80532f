"""What daprd says about tracing while no exporter is set: it echoes the caller's context, or a void one.

state-api.md 7.6. `CHECK` and `after` are for the handler; a tracer that is on brings its own two instead. What they say
follows from the headers, but for the path of health: so it is found once for all requests with the same headers.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, NamedTuple

from dapr_state.golang.quoting import quote
from dapr_state.observability import tracecontext
from dapr_state.serving.http.response import line, text
from dapr_state.serving.http.service import HeaderCheck

if TYPE_CHECKING:
    from collections.abc import Mapping

    from dapr_state.serving.http.request import Request
    from dapr_state.serving.http.response import Line, Response
    from dapr_state.wire.http1.request import Fields

VOID = line("Traceparent", tracecontext.VOID)

_HEALTH = b"/healthz"  # daprd traces no path that has this in it, be it a key

# W3C baggage, as OpenTelemetry for Go reads it
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_PROPERTY = re.compile(rf"[ \t]*(?:{_TOKEN.pattern}[ \t]*(?:=[ \t]*{_VALUE.pattern}[ \t]*)?)?")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2}).{0,2}")


class _Echo(NamedTuple):
    """What is made of a caller's headers: why they are refused, or else the lines that every answer brings back."""

    problem: str
    lines: tuple[Line, ...]


def _check(request: Request) -> Response | None:
    """Refuse baggage that is none."""
    echo = request.fields.parsed or _learn(request.fields)
    if echo.problem and not is_untraced(request):
        return text(400, f"invalid baggage header: {echo.problem}")
    return None


def _finds_usual(fields: Fields) -> bool:
    return not (fields.parsed or _learn(fields)).problem


CHECK = HeaderCheck(_check, _finds_usual)


def after(request: Request, response: Response) -> None:
    if _HEALTH in request.target and is_untraced(request):
        return
    echo = request.fields.parsed or _learn(request.fields)
    response.lines.extend(echo.lines)


def _learn(fields: Fields) -> _Echo:
    fields.parsed = echo = _read(fields.values, fields.baggage)
    return echo


def _read(headers: Mapping[str, str], baggage: str) -> _Echo:
    if baggage and (problem := _problem(baggage)):
        return _Echo(problem, ())
    lines = [VOID]
    if caller := tracecontext.of_headers(headers):
        lines = [line("Traceparent", str(caller))]
        if caller.state:
            lines.append(line("Tracestate", caller.state))
    if baggage:
        lines.append(line("Baggage", baggage))
    return _Echo("", tuple(lines))


def is_untraced(request: Request) -> bool:
    return _HEALTH in request.target and _HEALTH in request.target.partition(b"?")[0]


def _problem(baggage: str) -> str:
    for member in baggage.split(","):
        pair, *properties = member.split(";")
        name, equals, value = (part.strip(" \t") for part in pair.partition("="))
        if not equals:
            return f'invalid baggage list-member: "{member}"'
        if not _TOKEN.fullmatch(name):
            return f'invalid key: "{name}"'
        if not _VALUE.fullmatch(value):
            return f"invalid value: {quote(value)}"
        if bad := _BAD_ESCAPE.search(value):
            return f"invalid value: invalid URL escape {quote(bad[0])}"
        for each in properties:
            if not _PROPERTY.fullmatch(each):
                return f"invalid baggage list-member property: {quote(each)}"
    return ""
