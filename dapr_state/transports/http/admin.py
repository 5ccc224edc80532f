"""The administration API over HTTP: the rows of its table as routes, its messages as JSON.

A message is read as protobuf's JSON: names in lowerCamelCase or as they are declared, bytes in base64, times as text.
It is written so, but that fields without a value are there too, that whole numbers are numbers, and that a value
which is JSON stands beside its octets as the text that it is.
"""

from __future__ import annotations

import asyncio
import binascii
import re
from contextlib import aclosing
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import msgspec
from google.protobuf import json_format

from dapr_state import errors
from dapr_state.admin import table
from dapr_state.admin.table import BASE
from dapr_state.clock import WAITING
from dapr_state.errors import DaprError
from dapr_state.golang import json
from dapr_state.golang.duration import parse_duration
from dapr_state.golang.marshal import encode
from dapr_state.serving.http.response import JSON, NO_SNIFF, Response, line
from dapr_state.serving.http.streaming import Streamed
from dapr_state.slices import Work
from dapr_state.transports.http import messages, target
from dapr_state.transports.http.router import APP_ID

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Mapping

    from dapr_state.admin.table import Answers, Rpc
    from dapr_state.serving.http.request import Request
    from dapr_state.transports.http.route import Answering

GUARD: Final = "x-dapr-state"  # no page of another origin can send it without being asked first
NO_STORE: Final = line("Cache-Control", "no-store")
OCTETS: Final = "application/octet-stream"
LINES: Final = "StreamKeys"  # the stream that is lines of JSON; the others are events
LAST_SEEN: Final = "last-event-id"  # what a browser's EventSource says when it comes back
ONLY_OWN: Final = line("X-Dapr-State-Watch", "writes of this sidecar only")
BEAT: Final = 15.0  # seconds without an event after which a comment is sent: proxies wait for a minute
SMALL: Final = 16 * 1024  # octets of a request that protobuf's own reader reads, in 2 ms at most
BASE64_AT_ONCE: Final = 64 * 1024  # octets of a text, a multiple of four: 0.2 ms
PART: Final = 16 * 1024  # octets of lines that are sent together
_BASE: Final = BASE.encode()
_SAFE: Final = frozenset({"GET", "HEAD"})
_PLACE: Final = re.compile(r"\{([a-z_.]+)\}")


class AdminRoutes:
    """Looked for after all of Dapr's routes."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers

    @cached_property
    def _routes(self) -> list[tuple[str, re.Pattern[bytes], list[str], Rpc, Any]]:
        """Made when the first request comes: a fiftieth of the start."""
        routes: list[tuple[str, re.Pattern[bytes], list[str], Rpc, Any]] = []
        for rpc, answer in table.served(self._answers):
            for verb, path in rpc.routes:
                fields = _PLACE.findall(path)
                pattern = "([^/]+)".join(map(re.escape, _PLACE.split(path)[::2]))
                routes.append((verb, re.compile(pattern.encode()), fields, rpc, answer))
        return routes

    def find(self, request: Request) -> Answering | None:
        """The answer, or None where there is no such route. A request for another application is never for this one."""
        if not request.target.startswith(_BASE) or APP_ID in request.headers:
            return None
        path, query = target.split(request.target)
        for verb, pattern, fields, rpc, answer in self._routes:
            if verb == request.method and (found := pattern.fullmatch(path, len(_BASE))):
                named = dict(zip(fields, map(_segment, found.groups()), strict=True))
                return _answer(request, rpc, answer, named, target.parameters(query))
        return None

    def name(self, verb: str, path: bytes) -> str:
        """What the API log calls a request in place of its path; "" for none of these."""
        if not path.startswith(_BASE):
            return ""
        found = (
            rpc.name for of, pattern, _, rpc, _ in self._routes if of == verb and pattern.fullmatch(path, len(_BASE))
        )
        return next(found, "")


def _segment(segment: bytes) -> str:
    return target.decode(segment.replace(b"+", b"%2B"))


async def _answer(
    request: Request, rpc: Rpc, answer: Any, named: Mapping[str, str], query: Mapping[str, str]
) -> Response:
    if request.method not in _SAFE:
        _check_guard(request)
    message = await _message(request, rpc, named, query)
    if rpc.is_stream:
        return await _stream(request, rpc, answer, message)
    told = await answer(message)
    if rpc.name == "GetEntry" and OCTETS in request.headers.get("accept", ""):
        lines = [line("Content-Type", OCTETS), line("ETag", f'"{told.entry.etag}"'), NO_SNIFF, NO_STORE]
        return Response(200, [*lines, line("Content-Disposition", "attachment")], told.entry.value)
    return Response(200, [JSON, NO_SNIFF, NO_STORE], await messages.encode(told))


async def _stream(request: Request, rpc: Rpc, answer: Any, message: Any) -> Response:
    """What is refused is refused before the answer begins; what fails later is told in its place in the stream."""
    is_events = rpc.name != LINES
    if is_events:
        request.needs_client = True
        if (seen := request.headers.get(LAST_SEEN, "")) and rpc.name == "Watch":
            message.from_revision = seen
    request.is_plain = False  # nor is the answer
    messages_of = answer(message)
    first = asyncio.ensure_future(anext(messages_of, None))
    if rpc.name != "Traffic":  # where the first may take its time
        await asyncio.wait([first])
        if first.exception():
            await first
    kind = line("Content-Type", "text/event-stream" if is_events else "application/x-ndjson")
    lines = [kind, NO_SNIFF, NO_STORE, *([ONLY_OWN] if rpc.name == "Watch" else [])]
    written = _events(rpc, first, messages_of) if is_events else _lines(first, messages_of)
    return Response(200, lines, Streamed(written))


async def _lines(first: asyncio.Future[Any], rest: Any) -> AsyncGenerator[bytes, None]:
    """A message on each line, some of them together."""
    async with aclosing(rest):
        part = bytearray()
        message = await first
        while message is not None:
            part += messages.line(message) + b"\n"
            if len(part) > PART:
                yield bytes(part)
                part.clear()
            try:
                message = await anext(rest, None)
            except DaprError as error:
                part += encode({"error": {"errorCode": error.row.code, "message": error.http_message}}) + b"\n"
                break
        if part:
            yield bytes(part)


async def _events(rpc: Rpc, first: asyncio.Future[Any], rest: Any) -> AsyncGenerator[bytes, None]:
    """Server-sent events; a comment now and then, by which either side notices that the other has gone."""
    name = "change" if rpc.name == "Watch" else rpc.name.lower()
    following = first
    try:
        yield b": dapr-state\n\n"
        while True:
            done, _ = await WAITING.wait([following], timeout=BEAT)
            if not done:
                yield b":\n\n"
                continue
            try:
                message = following.result()
            except DaprError as error:
                told = encode({"errorCode": error.row.code, "message": error.http_message})
                yield b"event: error\ndata: %b\n\n" % told
                return
            if message is None:
                return
            seen = message.revision if rpc.name == "Watch" else message.id
            yield b"id: %b\nevent: %b\ndata: %b\n\n" % (seen.encode(), name.encode(), messages.line(message))
            following = asyncio.ensure_future(anext(rest, None))
    finally:
        following.cancel()
        await asyncio.wait([following])
        await rest.aclose()


def _check_guard(request: Request) -> None:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if request.headers.get(GUARD) != "1" or (request.body and kind != "application/json"):
        raise errors.ADMIN_GUARD()  # noqa: RSE102  a row is called to make its error


async def _message(request: Request, rpc: Rpc, named: Mapping[str, str], query: Mapping[str, str]) -> Any:
    if request.body_error:
        raise errors.BODY_READ(cause=request.body_error)
    message = rpc.request()
    try:
        if len(request.body) > SMALL:
            await _read_large(request.body, message)
        elif request.body:
            json_format.Parse(request.body, message)
        for name, value in (*named.items(), *query.items()):
            _set(message, name, value)
    except (ValueError, json_format.ParseError, RecursionError, msgspec.MsgspecError) as error:
        raise errors.ADMIN_REQUEST(cause=_reason(error)) from error
    return message


class _Saved(msgspec.Struct, rename="camel", forbid_unknown_fields=True):
    """SaveEntry with a large value, which protobuf's own reader would take a fourth of a second for."""

    store_name: msgspec.Raw = msgspec.Raw()
    key: msgspec.Raw = msgspec.Raw()
    space: msgspec.Raw = msgspec.Raw()
    value: msgspec.Raw = msgspec.Raw()
    json: msgspec.Raw = msgspec.Raw()
    etag: msgspec.Raw = msgspec.Raw()
    only_new: bool = False
    expire_in: msgspec.Raw = msgspec.Raw()


_decode_saved: Final = msgspec.json.Decoder(_Saved).decode
_decode_text: Final = msgspec.json.Decoder(str).decode


async def _read_large(body: bytes, message: Any) -> None:
    if message.DESCRIPTOR.name != "SaveEntryRequest":
        raise ValueError(f"a request of this kind has {SMALL} octets or less")
    read, work = _decode_saved(body), Work()
    for name in ("store_name", "key", "space", "etag", "expire_in"):
        literal: msgspec.Raw = getattr(read, name)
        if len(literal) > SMALL:
            raise ValueError(f"{name} has {SMALL} octets or less")
        if literal:
            _set(message, name, _decode_text(literal))
    message.only_new = read.only_new
    if read.value:
        message.value = await _octets(bytes(read.value), work)
    if read.json:
        message.json = await json.text(bytes(read.json), work)


async def _octets(literal: bytes, work: Work) -> bytes:
    """What a text of base64 means."""
    text = (await json.text(literal, work)).encode("ascii") if b"\\" in literal else literal[1:-1]
    octets = bytearray()
    for at in range(0, len(text), BASE64_AT_ONCE):
        octets += binascii.a2b_base64(text[at : at + BASE64_AT_ONCE], strict_mode=True)
        if work.is_over():
            await work.pause()
    if b"=" in text[:-2]:
        raise ValueError("value is no base64")
    return bytes(octets)


def _set(message: Any, name: str, value: str) -> None:
    """A field by its name, of a path or a query."""
    *parents, last = name.split(".")
    for parent in parents:
        message = getattr(message, parent)
    field = messages.field_of(message.DESCRIPTOR, last)
    if field is None or (field.is_repeated and field.message_type):
        raise ValueError(f"there is no parameter {name}")
    if field.message_type and field.message_type.full_name == messages.DURATION:
        getattr(message, field.name).FromNanoseconds(_nanoseconds(value))
        return
    if field.type == field.TYPE_STRING and not field.is_repeated:  # protobuf's own reader takes its time for a long one
        setattr(message, field.name, value)
        return
    if field.message_type is None and field.type == field.TYPE_BOOL:
        value = value.lower() or "true"
        if value not in {"true", "false"}:
            raise ValueError(f"{name} is true or false")
        setattr(message, field.name, value == "true")
        return
    if field.enum_type:
        value = value.upper()
    given: Any = value.split(",") if field.is_repeated else value
    json_format.ParseDict({field.name: given}, message)


def _nanoseconds(text: str) -> int:
    return round(parse_duration(text) * 1e9)


def _reason(error: Exception) -> str:
    return str(error) or type(error).__name__
